"""Figures that several studies draw from stored data."""

from typing import Any

import numpy as np

from implicitbias.plotting import PathPicture, Run, path_figure, path_over_simulation


def path_figures(point: str, data: Any) -> dict[str, Any]:
    """Return the figure of the path, and the figure of the path over the simulations with stored samples."""
    picture = PathPicture.of_dataset(data)
    runs = []
    for k, label in enumerate(data["shown"].values):
        times = data["sample_time"].values[k]
        known = np.isfinite(times)
        rows = [data[name].values[k][known] for name in ("sample_w", "sample_loss")]
        runs.append(Run(str(label), times[known], *rows))
    return {
        f"{point}-path": path_figure(picture),
        f"{point}-simulations": path_over_simulation(picture, runs),
    }
