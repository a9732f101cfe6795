"""`ib.design_regularizer`: its bounds against mpmath, HiGHS, and a minimiser of SciPy, and real training."""

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import minimize

import implicitbias as ib
from tests.oracles.lp import least_l1

N, D = 2, 6
_rng = np.random.default_rng(27)
DATA = [(_rng.standard_normal((N, D)), _rng.standard_normal(N)) for _ in range(3)]


def least(p: float, X: ndarray, y: ndarray) -> float:
    """Return the least l_p norm of an interpolant: by HiGHS, by the pseudoinverse, or by BFGS in the null space."""
    if p == 1.0:
        return least_l1(X, y)[0]
    start = np.linalg.lstsq(X, y, rcond=None)[0]
    null = np.linalg.svd(X)[2][len(X) :].T
    if p == 2.0:
        return float(np.linalg.norm(start))
    answer = minimize(
        lambda c: np.sum(np.abs(start + null @ c) ** p),
        np.zeros(null.shape[1]),
        jac=lambda c: null.T @ (p * np.sign(start + null @ c) * np.abs(start + null @ c) ** (p - 1)),
        options={"gtol": 1e-10},
    )
    return float(answer.fun ** (1 / p))


@pytest.mark.parametrize(("p", "closeness"), [(1.0, 0.5), (1.0, 0.05), (1.5, 0.5), (1.5, 0.01), (1.2, 0.1)])
def test_the_end_is_within_the_bound(p: float, closeness: float) -> None:
    """The computed ends; the size is the exact least norm, for which the bound is the closeness."""
    for X, y in DATA:
        norm = least(p, X, y)
        design = ib.design_regularizer(p, D, closeness, norm)
        assert design.bound <= closeness * (1 + 1e-9)
        w = ib.interpolant(ib.LeastSquares(X, y), design.potential).point
        got = np.linalg.norm(w, p)
        assert norm * (1 - 1e-7) <= got <= norm * (1 + design.bound) * (1 + 1e-7)


@pytest.mark.parametrize("wanted", ["l1", "l1.5", "l2"])
def test_training_ends_within_the_bound(wanted: str) -> None:
    X, y = DATA[0]
    p = float(wanted[1:])
    # The lower bound of the least norm that the documentation gives.
    size = float(np.linalg.norm(y) / np.linalg.norm(X, axis=0).max() * D ** (1 / p - 1))
    norm = least(p, X, y)
    assert size <= norm
    design = ib.design_regularizer(wanted, D, 0.05, size)
    problem = ib.LeastSquares(X, y)
    G = design.parametrization
    np.testing.assert_array_equal(G(design.start), np.zeros(D))
    trained = G(ib.simulate(ib.GradientFlow(problem.reparametrize(G)), design.start, t1=1e4, rtol=1e-8).final)
    np.testing.assert_allclose(X @ trained, y, atol=1e-6)
    np.testing.assert_allclose(trained, ib.interpolant(problem, design.potential).point, atol=1e-6)
    assert np.linalg.norm(trained, p) <= norm * (1 + design.excess(norm)) * (1 + 1e-6)
    assert design.excess(norm) <= design.bound <= 0.05 * (1 + 1e-9)


def test_a_start_that_is_too_large_misses_the_closeness() -> None:
    """The end for the scale 1 is longer than the closeness allows, so that the scale of the design is needed."""
    X, y = DATA[0]
    w = ib.interpolant(ib.LeastSquares(X, y), ib.HyperbolicEntropy(1.0)).point
    assert np.abs(w).sum() > 1.05 * least(1.0, X, y)


# Oracle: the two equations of the bounds, solved by mpmath.
def test_the_excess_solves_its_equation() -> None:
    def q(x: Any) -> Any:
        return x * mpmath.asinh(x) - mpmath.sqrt(x * x + 1) + 1

    with mpmath.workdps(60):
        for d, closeness, factor in ((5, 0.1, 3.0), (1000, 0.05, 1.0), (50, 3.0, 1e-3)):
            design = ib.design_regularizer("l1", d, closeness, 2.0)
            t = mpmath.mpf(1.0 + design.excess(factor * 2.0))
            r = factor * 2 / mpmath.exp(mpmath.mpf(float(design.potential.log_scale)))  # type: ignore[attr-defined]
            np.testing.assert_allclose(float(d * q(t * r / d) / q(r)), 1.0, rtol=1e-10)
        for p in (1.1, 1.5, 1.9):
            design = ib.design_regularizer(p, 30, 0.2, 1e-3)
            width = mpmath.mpf(float(design.potential.width))  # type: ignore[attr-defined]
            c = (p - 1) * mpmath.quad(
                lambda u, p=p: u ** (p - 2) - (1 + u * u) ** ((p - 2) / 2),
                [0, 1e-9, 1e-3, 1, 100, mpmath.inf],
            )
            k = p * c * 30 ** (1 - 1 / p) * (width / 1e-3) ** (p - 1)
            t = 1.0 + design.excess(1e-3)
            np.testing.assert_allclose(t**p, float(1 + k * t), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("l3", 4), "MirrorFlow"),
        (("linf", 4), "between 1 and 2"),
        (("nuclear", 4), "between 1 and 2"),
        ((True, 4), "between 1 and 2"),
        (("l1", 0), "number of entries"),
        (("l1", 2.5), "number of entries"),
        (("l1", 4, 0.0), "closeness is 0.0"),
        (("l1", 4, 0.1, np.inf), "size is inf"),
        (("l1", 1000, 1e-3), "the closest possible is closeness=0.005"),
        (("l1.01", 1000, 1e-3), "the closest possible"),
    ],
)
def test_bad_input(arguments: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.design_regularizer(*arguments)
    with pytest.raises(ib.InputError, match="least_norm is -1"):
        ib.design_regularizer("l2", 4).excess(-1)
