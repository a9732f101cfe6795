"""Minimisers with a nuclear norm, by FISTA with shrunk singular values: no factors enter."""

import numpy as np
from numpy import ndarray


def least_nuclear(
    rows: ndarray,
    cols: ndarray,
    values: ndarray,
    shape: tuple[int, int],
    penalty: float,
    symmetric: bool = False,
) -> ndarray:
    """argmin 1/(2n) sum (W[rows, cols] - values)^2 + penalty ||W||_*, over symmetric W where asked.

    The gradient is Lipschitz with the largest multiplicity of an entry over n. Symmetric W: the gradient is
    symmetrised, and shrinkage keeps what is symmetric so.
    """
    n = len(values)
    step = n / np.bincount(rows * shape[1] + cols).max()
    W = ahead = np.zeros(shape)
    momentum = 1.0
    for _ in range(200_000):
        gradient = np.zeros(shape)
        np.add.at(gradient, (rows, cols), (ahead[rows, cols] - values) / n)
        if symmetric:
            gradient = (gradient + gradient.T) / 2
        U, s, V = np.linalg.svd(ahead - step * gradient)
        k = len(s)
        new = (U[:, :k] * np.maximum(s - step * penalty, 0.0)) @ V[:k]
        if np.sum((ahead - new) * (new - W)) > 0.0:  # restart: the momentum points uphill
            momentum = 1.0
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        moved = np.max(np.abs(new - ahead))
        ahead = new + (momentum - 1) / grown * (new - W)
        W, momentum = new, grown
        if moved <= 1e-13:
            return W
    raise AssertionError("FISTA did not converge: the oracle is wrong")
