"""Figures that the studies of early and late phases share."""

from typing import Any

import numpy as np

from implicitbias.studies._early_late_claims import Words


def phase_figures(point: str, data: Any, words: Words) -> dict[str, Any]:
    """Return the runs on the axis of the predicted time and of the paper's time, and the run of the paper.

    If the dataset has the path of interpolants, it is beside the runs.
    """
    from implicitbias.plotting import curves_figure

    shown = (
        ("score", words.score.removeprefix("the ")),
        ("cos_l2", f"cosine to {words.early}"),
        ("cos_l1", f"cosine to {words.late}"),
    )
    near = data["place"].values <= 12.0
    x, names = data["place"].values[near], _names(data)
    panels = {
        label: {name: (x, values[near]) for name, values in zip(names, data[key].values, strict=True)}
        | (
            {"lam -> 0, without training": (data["path_place"].values, data[f"path_{key}"].values)}
            if "path_place" in data
            else {}
        )
        for key, label in shown
    }
    t = x + data["transition"].values[:, None]
    logs = np.log(data["alpha"].values)
    rows = zip(names, t / logs[:, None], data["score"].values, strict=True)
    own = data["own_slow_time"].values
    return {
        f"{point}-collapse": curves_figure(panels, "$\\lambda (t - T)$", logarithmic=False),
        f"{point}-logarithm": curves_figure(
            {shown[0][1]: {name: (time, values[near]) for name, time, values in rows}},
            "$\\lambda t / \\ln \\alpha$",
            logarithmic=False,
        ),
        f"{point}-own": curves_figure(
            {label: {"alpha = 0.286": (own, data[f"own_{key}"].values)} for key, label in shown},
            "$\\lambda t$",
        ),
    }


def _names(data: Any) -> list[str]:
    pairs = zip(data["alpha"].values, data["weight_decay"].values, strict=True)
    return [f"alpha = {alpha:g}, lam = {decay:g}" for alpha, decay in pairs]
