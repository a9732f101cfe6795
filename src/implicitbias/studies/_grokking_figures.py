"""Figures of the studies of grokking, from stored data."""

from typing import Any

import numpy as np

from implicitbias.plotting import curves_figure, rate_figure


def saddle_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the figure of the distances from the saddle along the runs."""
    tau = data["sample_tau"].values
    lines = {
        f"$\\lambda$ = {decay:g}": (tau, apart)
        for decay, apart in zip(data["weight_decay"].values, data["sample_apart"].values, strict=True)
    }
    panels = {"distance from the saddle": lines}
    return {f"{point}-escape": curves_figure(panels, "slow time  $\\lambda t$", logarithmic=False)}


def grokking_figures(point: str, data: Any) -> dict[str, Any]:
    """Return figures of the errors against t and lam t, of the distances from the drift, and of scales of the start."""
    decays = data["run_decay"].values
    names = [f"$\\lambda$ = {decay:g}" if decay > 0.0 else "no weight decay" for decay in decays]
    times, train, test, norm = (data[f"run_{name}"].values for name in ("time", "train", "test", "norm"))
    slow = data["drift_time"].values
    late = float(slow[-1])
    kept = [(decays[i] * times[i] <= late) & (decays[i] * times[i] >= 1e-3) for i in range(len(decays) - 1)]
    collapsed = {names[i]: (decays[i] * times[i][seen], test[i][seen]) for i, seen in enumerate(kept)}
    limit = "drift, $\\lambda \\to 0$"
    collapsed[limit] = (slow[1:], data["drift_test"].values[1:])
    panels = {
        "training error": {name: (times[i], train[i]) for i, name in enumerate(names)},
        "test error": {name: (times[i], test[i]) for i, name in enumerate(names)},
        "norm of the parameters": {name: (times[i], norm[i]) for i, name in enumerate(names)},
    }
    early = slow <= 2.0 * np.max(data["scale_generalised"].values)
    scales = {
        f"scale {scale:g}": (slow[early], data["scale_test"].values[i][early])
        for i, scale in enumerate(data["scale"].values)
    }
    distances = {"largest distance on [e, T]": np.max(data["apart"].values, axis=1)}
    distances["distance of the end"] = data["end_apart"].values
    level = float(data["test_level"])
    return {
        f"{point}-curves": curves_figure(panels, "time  $t$", dashed=(names[-1],)),
        f"{point}-collapse": curves_figure(
            {"test error": collapsed}, "slow time  $\\lambda t$", level=level, dashed=(limit,)
        ),
        f"{point}-scales": curves_figure(
            {"test error of the drift": scales}, "slow time  $\\tau$", level=level, logarithmic=False
        ),
        f"{point}-rates": rate_figure(
            data["weight_decay"].values, distances, "weight decay  $\\lambda$", "relative distance", 1.0
        ),
    }
