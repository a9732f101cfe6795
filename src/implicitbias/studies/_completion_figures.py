"""Figures of the study of grokking in matrix completion, from stored data."""

from typing import Any

from implicitbias.plotting import curves_figure
from implicitbias.studies._grokking_flow_figures import flow_figures


def completion_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the figures of errors, of singular values, of the slow time, of starts, and of distances."""
    times, values = data["singular_time"].values, data["singular_value"].values
    lines = {f"$\\sigma_{{{k + 1}}}$": (times, values[:, k]) for k in range(values.shape[1])}
    label = f"singular values of $UV^T$, $\\lambda$ = {float(data['singular_decay']):g}"
    distances = {
        "factors from the drift, largest on [e, T]": "apart",
        "matrix at the end from the limit": "end_apart",
    }
    figures = flow_figures(point, data, distances)
    return figures | {f"{point}-singular-values": curves_figure({label: lines}, "time  $t$")}
