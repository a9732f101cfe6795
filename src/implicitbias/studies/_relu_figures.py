"""Figures of the study of grokking in two-layer ReLU networks, from stored data."""

from typing import Any

from implicitbias.plotting import functions_figure
from implicitbias.studies._grokking_flow_figures import flow_figures

_MOMENTS = ("data fitted", "generalised", "end")


def relu_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the figures of the function at three times, of errors, of the slow time, of starts, and of distances."""
    x, times = data["input_value"].values, data["function_time"].values
    functions = {
        f"{moment}, t = {time:.3g}": values
        for moment, time, values in zip(_MOMENTS, times, data["function"].values, strict=True)
    }
    distances = {
        "parameters from the drift, largest on [e, T]": "apart",
        "function at the end from the KKT point": "end_apart",
    }
    picture = functions_figure(
        x,
        functions,
        data["teacher_function"].values,
        (data["train_input"].values, data["train_target"].values),
        f"$f(x)$ at three times, $\\lambda$ = {float(data['function_decay']):g}",
    )
    return {f"{point}-functions": picture} | flow_figures(point, data, distances)
