"""Figures of deeper diagonal networks, and of the samples that both phases need."""

from typing import Any

_SHOWN = (
    ("accuracy", "test accuracy"),
    ("cos_l2", "cosine to the largest $l_2$ margin"),
    ("cos_l1", "cosine to the largest $l_1$ margin"),
)


def depth_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the cosines and the accuracy of all depths on the axis of the predicted time."""
    from implicitbias.plotting import curves_figure

    names = [
        f"L = {L:.0f}, {name}"
        for L, name in zip(data["depth"].values, _names(data), strict=True)
    ]  # fmt: skip
    panels = {
        label: {name: (data["place"].values, row) for name, row in zip(names, data[key].values, strict=True)}
        for key, label in _SHOWN
    }
    return {f"{point}-collapse": curves_figure(panels, "$L \\lambda (t - T)$", logarithmic=False)}


def samples_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the test accuracy of both classifiers over the number of samples."""
    from implicitbias.plotting import curves_figure

    panels = {
        f"test accuracy, largest ${label}$ margin": {
            f"d = {d}": (n, accuracy)
            for d, n, accuracy in zip(
                data["d"].values, data[f"{key}_n"].values, data[f"{key}_accuracy"].values, strict=True
            )
        }
        for key, label in (("l2", "l_2"), ("l1", "l_1"))
    }
    return {f"{point}-accuracy": curves_figure(panels, "samples n")}


def _names(data: Any) -> list[str]:
    pairs = zip(data["alpha"].values, data["weight_decay"].values, strict=True)
    return [f"alpha = {alpha:g}, lam = {decay:g}" for alpha, decay in pairs]
