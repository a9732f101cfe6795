"""Figures of the study of separable data, from stored data."""

from typing import Any

import numpy as np

from implicitbias.plotting import (
    PlaneFlow,
    balls_figure,
    bounded_figure,
    bounds_figure,
    plane_figure,
    shortfall_figure,
)
from implicitbias.studies._separable_claims import flows_of

# Raw trajectories and losses are drawn until this logarithm of the time.
_EARLY = 30.0


def shortfalls(data: Any) -> Any:
    """Return the figure of the shortfalls of all potentials along their flows."""
    lines = {}
    for flow in flows_of(data):
        margins, sizes = flow.smallest("sample_w"), flow.row["sample_size"].values
        known = np.isfinite(margins) & (sizes > 0.0)
        margins, sizes = margins[known], sizes[known]
        lines[flow.name] = margins, 1.0 - margins / sizes / flow.number("limit_margin")
    return shortfall_figure(lines)


def plane_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the figure of the paper, the balls of all potentials, and the gaps of steepest descents."""
    angles = data["ray_angle"].values
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    names = [str(name) for name in data["potential"].values]
    balls = dict(zip(names, data["ball_radius"].values, strict=True))
    drawn = dict(zip(names, data["drawn_radius"].values, strict=True))
    paper = str(data.attrs["paper"]).split("; ")
    flows = [
        PlaneFlow(
            flow.name, flow.row["sample_log_time"].values[known], flow.row["sample_w"].values[known],
            flow.row["sample_size"].values[known], flow.row["sample_log_loss"].values[known],
            rays * balls[flow.name][:, None], flow.target,
        )
        for flow in flows_of(data) if flow.name in paper
        for known in [np.isfinite(flow.row["sample_log_time"].values)]
    ]  # fmt: skip
    level = f"sublevel set at $e^{{{float(data['drawn_level']):g}}}$"
    return {
        f"{point}-figure": plane_figure(data["X"].values, data["y"].values, flows, _EARLY),
        f"{point}-balls": balls_figure(rays, balls, drawn, level),
    }


def descents(data: Any) -> Any:
    """Return the figure of the gaps of the margins of steepest descents, with their bounds."""
    n, panels = len(data["y"]), {}
    for kind, title in (("constant", "small constant steps"), ("decaying", r"steps $\eta / \sqrt{k}$")):
        lines = {}
        for k, name in enumerate(str(name) for name in data["gauge"].values):
            steps, times, squares, margins = (
                data[f"{kind}_{part}"].values[k] for part in ("steps", "time", "squares", "margin")
            )
            bound = (np.log(n) + data["descent_radius"].values[k] ** 2 * squares / 2.0) / times
            lines[name] = steps, data["descent_best"].values[k] - margins, bound
        panels[title] = lines
    return bounds_figure(panels, "number of steps k")


def bounded(data: Any) -> Any:
    """Return the figure of the norm of a flow on data that are not separable."""
    norms = np.linalg.norm(data["sample_w"].values, axis=1)
    return bounded_figure(
        data["sample_log_time"].values, norms, float(np.linalg.norm(data["least_w"].values))
    )
