"""The limit of the transition as the weight decay tends to 0: a path of interpolants, which needs no training."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias.studies._early_late_evidence import Training, measurements
from implicitbias.studies._sinh_interpolant import sinh_interpolant


def path_variables(training: Training, rows: ndarray, targets: ndarray) -> dict[str, Any]:
    r"""Return the scores and cosines along the path of interpolants, and the places of the path.

    At lam (t - T) = p, the weights are $w = a \sinh(Z^\top \nu)$ with $Z w = M$, times the margins M, and
    $a = 2 e^{-2p} / r$, where r = |theta| / |h| at u = v = 1. This is the path for classification as long as the
    multiplier of each row grows.
    """
    places = training.experiment.transition_places()
    nu, path, grown = np.zeros(len(rows)), [], []
    for place in places:
        scale = np.full(rows.shape[1], 2.0 * np.exp(-2.0 * place) / training.ends.reach)
        after = sinh_interpolant(rows, targets, scale, np.zeros(rows.shape[1]), nu)
        grown.append(np.min((after - nu) * np.sign(targets)))
        nu = after
        path.append(scale * np.sinh(rows.T @ nu))
    found = measurements(training, np.array(path))
    wanted = ("score", "cos_l2", "cos_l1")
    return {f"path_{key}": ("path_place", found[key]) for key in wanted} | {
        "path_place": ("path_place", places),
        "path_growth": ("path_place", np.array(grown)),
    }
