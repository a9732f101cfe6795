"""Tests of the criterion for a metric that is a function of w, against small cases that are decided by hand."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

RNG = np.random.default_rng(2)
U, V = RNG.standard_normal((2, 2, 2))


def paths(theta: Any) -> Any:
    """The products of weights along the paths of two ReLU units with biases, which are the path-lifting."""
    incoming = jnp.vstack([theta["W"], theta["b"]])
    return jnp.einsum("ij,jk->ijk", incoming, theta["V"]).ravel()


# By hand: for W = U V^T the directions that keep W are (U A, -V A^T), and those that keep U^T U - V^T V too satisfy
# A^T S + S A + A T + T A^T = 0 with S = U^T U and T = V^T V. The metric changes by U (A + A^T) U^T. A is antisymmetric
# for S - T = c I (relaxed balance), and in general it is not. For u v, all brackets are rounding errors.
RELAXED = np.linalg.cholesky(U.T @ U + 0.7 * np.eye(2)).T
CASES: dict[str, tuple[Any, Any, bool, int]] = {
    "U V^T": (ib.MatrixProduct(), (U, V), False, 1),
    "U V^T, balanced up to c I": (ib.MatrixProduct(), (U, RELAXED), True, 1),
    "U U^T": (lambda theta: theta @ theta.T, U, True, 1),
    "u v": (ib.HadamardProduct(), (U[0], V[0]), True, 0),
    "path-lifting": (paths, {"W": U, "b": np.array([0.1, -0.2]), "V": V}, True, 0),
}


@pytest.mark.parametrize(("G", "theta0", "holds", "free"), CASES.values(), ids=list(CASES))
def test_maps_that_are_decided_by_hand(G: Any, theta0: Any, holds: bool, free: int) -> None:
    verdict = ib.intrinsic_metric(G, theta0)
    assert verdict.holds is holds, verdict
    assert verdict.free == free
    assert verdict.change < 1e-10 or verdict.change > 1e-2
    assert ("no function of w" in verdict.sentence) is not holds


# Oracle: finite differences. Along the witness, w and the conserved U^T U - V^T V stay, and the metric does not.
def test_the_witness_changes_the_metric_and_nothing_else() -> None:
    verdict = ib.intrinsic_metric(ib.MatrixProduct(), (U, V))

    def parts(h: float) -> tuple[np.ndarray, ...]:
        (A, B), (dA, dB) = verdict.theta, verdict.direction
        A, B = A + h * dA, B + h * dB
        metric = np.kron(A @ A.T, np.eye(2)) + np.kron(np.eye(2), B @ B.T)
        return A @ B.T, A.T @ A - B.T @ B, metric

    w, law, metric = (np.max(np.abs(a - b)) / 2e-4 for a, b in zip(parts(1e-4), parts(-1e-4), strict=True))
    assert w < 1e-7
    assert law < 1e-7
    assert metric > 1e-2


def test_a_start_that_does_not_move_is_refused() -> None:
    with pytest.raises(ib.InputError, match=r"all 0, or not finite.*without zeros"):
        ib.intrinsic_metric(ib.HadamardProduct(), (np.zeros(2), np.zeros(2)))
