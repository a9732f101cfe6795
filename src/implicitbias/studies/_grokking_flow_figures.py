"""Figures of the variables of `_grokking_flows`, from stored data."""

from typing import Any

import numpy as np

from implicitbias.plotting import curves_figure, rate_figure

# Curves against the slow time begin here.
_BEGIN = 1e-3
# Test errors from several starts are drawn within this factor of the level of generalisation.
_HIGH = 1e3


def flow_figures(point: str, data: Any, distances: dict[str, str]) -> dict[str, Any]:
    """Return figures of errors against t and lam t, of starts of several scales, and of distances against lam.

    Args:
        point: the setting.
        data: its dataset.
        distances: {label: name of a variable (decay,) or (decay, slow)} of the distances that are drawn against lam.
    """
    decays = data["run_decay"].values
    names = [f"$\\lambda$ = {decay:g}" if decay > 0.0 else "no weight decay" for decay in decays]
    times, train, test, norm = (data[f"run_{name}"].values for name in ("time", "train", "test", "norm"))
    panels = {
        label: {name: (times[i], values[i]) for i, name in enumerate(names)}
        for label, values in (("training error", train), ("test error", test), (r"$\|\theta\|$", norm))
    }
    collapsed = {}
    for i, decay in enumerate(decays[:-1]):
        slow = decay * times[i]
        collapsed[names[i]] = slow[slow >= _BEGIN], test[i][slow >= _BEGIN]
    drift = data["drift_time"].values
    limit = "drift, $\\lambda \\to 0$"
    collapsed[limit] = drift[drift >= _BEGIN], data["drift_test"].values[drift >= _BEGIN]
    level, late = float(data["test_level"]), data["scale_test"].values
    late = np.where((late <= _HIGH * level) & (late >= level / _HIGH), late, np.nan)
    scales = {
        f"scale {scale:g}": (data["scale_time"].values, late[i])
        for i, scale in enumerate(data["scale"].values)
    }
    tables = {label: data[name].values for label, name in distances.items()}
    lines = {label: np.max(v, axis=1) if v.ndim > 1 else v for label, v in tables.items()}
    decay_label, slow_label = "weight decay  $\\lambda$", "slow time  $\\lambda t$"
    return {
        f"{point}-curves": curves_figure(panels, "time  $t$", dashed=(names[-1],)),
        f"{point}-collapse": curves_figure(
            {"test error": collapsed}, slow_label, level=level, dashed=(limit,)
        ),
        f"{point}-scales": curves_figure({"test error": scales}, slow_label, level=level, logarithmic=False),
        f"{point}-rates": rate_figure(
            data["weight_decay"].values, lines, decay_label, "relative distance", 1.0
        ),
    }
