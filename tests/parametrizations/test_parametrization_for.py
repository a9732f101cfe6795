"""`ib.parametrization_for`: the gradient flow in theta is the mirror flow in w, and `SmoothedPNorm` against mpmath."""

from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import implicitbias as ib
from implicitbias.potentials import tilted

X = np.random.default_rng(3).standard_normal((2, 4))
PROBLEM = ib.LeastSquares(X, [1.0, -0.5])
W0 = np.array([0.0, 0.5, -1.0, 0.0])
POTENTIALS: dict[str, ib.Potential] = {
    "cosh": ib.Cosh(),
    "smoothed": ib.SmoothedPNorm(1.5, 1e-3),
    "entropy": ib.HyperbolicEntropy(1e-2),
    "scales": 3 * ib.HyperbolicEntropy([1e-3, 1e-2, 0.1, 1.0]),
    "quadratic": ib.QuadraticForm(X.T @ X + np.eye(4)),
}


@pytest.mark.parametrize("name", POTENTIALS)
def test_the_metric_is_the_inverse_hessian(name: str) -> None:
    """J J^T = (Hess phi)^-1, by automatic differentiation of G, at the start and elsewhere."""
    phi = POTENTIALS[name]
    G = ib.parametrization_for(phi, W0)
    np.testing.assert_allclose(G(G.start), W0, atol=1e-9)
    w = np.array([0.3, -2.0, 1e-3, 5.0])
    for theta, at in ((G.start, W0), (G.theta_of(w), w)):
        np.testing.assert_allclose(G(theta), at, rtol=1e-9, atol=1e-9)
        with jax.enable_x64(True):
            parts = jax.tree.leaves(jax.jacfwd(G.formula)(jax.tree.map(jnp.asarray, theta)))
        metric = sum(np.asarray(J) @ np.asarray(J).T for J in parts)
        inverse = np.array([phi.inverse_hessian_product(at, e) for e in np.eye(4)])
        np.testing.assert_allclose(metric, inverse, rtol=1e-7, atol=1e-12)


def test_gradient_flow_is_mirror_flow() -> None:
    phi = POTENTIALS["smoothed"]
    G = ib.parametrization_for(phi, W0)
    theta = ib.simulate(ib.GradientFlow(PROBLEM.reparametrize(G)), G.start, t1=3.0, rtol=1e-10).final
    w = ib.simulate(ib.MirrorFlow(PROBLEM, phi), W0, t1=3.0, rtol=1e-10).final
    np.testing.assert_allclose(G(theta), w, atol=1e-8)


# Oracle: mpmath's quadrature of h''.
@pytest.mark.parametrize(("p", "width"), [(1.5, 1e-3), (1.05, 1e-6), (1.9, 0.1)])
def test_smoothed_p_norm(p: float, width: float) -> None:
    phi = ib.SmoothedPNorm(p, width)
    for w in (1e-3 * width, 0.5 * width, 3.0 * width, 2.0):
        exact = mpmath.quad(
            lambda v: (p - 1) * (v * v + mpmath.mpf(width) ** 2) ** ((p - 2) / mpmath.mpf(2)),
            [0, min(width, w), w],
        )
        np.testing.assert_allclose(phi.mirror([w])[0], float(exact), rtol=1e-11)
        np.testing.assert_allclose(phi.inverse_mirror(phi.mirror([w]))[0], w, rtol=1e-11)
        missing = w**p / p - phi.value([w])
        assert -1e-15 <= missing <= phi.excess * width ** (p - 1.0) * w


@pytest.mark.parametrize(
    ("potential", "words"),
    [
        (ib.PNorm(1.5), "SmoothedPNorm"),
        (ib.PNorm(3), "second derivative of the potential is 0"),
        (ib.Cosh().compose(np.eye(4) + 0.1), "Nash"),
        ("l1", "a potential is expected"),
    ],
)
def test_bad_input(potential: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.parametrization_for(potential, W0)
    with pytest.raises(ib.InputError, match="between 1 and 2"):
        ib.SmoothedPNorm(2.5, 0.1)


# Matrices with the singular vectors of one matrix, of which the last direction is used by no row.
RNG = np.random.default_rng(8)
LEFT, RIGHT = np.linalg.qr(RNG.standard_normal((3, 3)))[0], np.linalg.qr(RNG.standard_normal((4, 3)))[0]
MATRICES = np.einsum("pr,nr,qr->npq", LEFT, RNG.standard_normal((9, 2)) @ np.eye(2, 3), RIGHT)
START = (LEFT * [0.5, -1.0, 0.2]) @ RIGHT.T
LABELS = RNG.permutation([1, 1, 1, 1, -1, -1, -1, -1, -1])


# Oracle: the end of the mirror flow of the matrix potential, which is computed from its dual over all matrices.
def test_matrices_with_common_singular_vectors() -> None:
    phi, problem = ib.Spectral(ib.HyperbolicEntropy(0.1)), ib.Classification(MATRICES, LABELS)
    G = ib.parametrization_for(phi, START, data=MATRICES)
    np.testing.assert_allclose(G(G.start), START, atol=1e-9)
    np.testing.assert_allclose(G(G.theta_of(2.0 * START)), 2.0 * START, atol=1e-9)
    end = G(ib.simulate(ib.GradientFlow(problem.reparametrize(G)), G.start, t1=1e4, rtol=1e-8).final)
    np.testing.assert_allclose(end, ib.interpolant(problem, phi, START).point, atol=1e-6)


# Oracle: J J^T is the inverse of the Hessian c I.
def test_a_multiple_of_the_squared_frobenius_norm() -> None:
    G = ib.parametrization_for(ib.Spectral(3.0 * ib.SquaredNorm()), START)
    np.testing.assert_allclose(G(G.start), START, rtol=1e-15)
    unit = RNG.standard_normal((3, 4))
    pulled = G.pullback(G.start, unit)
    np.testing.assert_allclose(G(pulled), unit / 3.0, rtol=1e-14)
    with pytest.raises(ib.InputError, match="theta has shape"):
        G(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("potential", "options", "words"),
    [
        (ib.Spectral(ib.Cosh()), {}, "singular values.*data=X"),
        (ib.Spectral(ib.Cosh()), {"data": RNG.standard_normal((2, 3, 4))}, "no common singular vectors: "),
        (ib.Spectral(ib.Cosh()), {"data": MATRICES[:, :2]}, "matrices of the shape"),
        (tilted(ib.Spectral(ib.Cosh()), START), {}, r"an ib\.Spectral potential is expected"),
        (ib.Spectral(ib.PNorm(3)), {"data": MATRICES}, "second derivative of the potential is 0"),
    ],
)
def test_matrices_that_are_refused(potential: Any, options: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.parametrization_for(potential, START, **options)


def test_data_are_for_matrices() -> None:
    with pytest.raises(ib.InputError, match="leave data out"):
        ib.parametrization_for(ib.Cosh(), W0, data=MATRICES)


@pytest.mark.parametrize("potential", [ib.HyperbolicEntropy(0.5), ib.SquaredNorm(), ib.Cosh()])
@pytest.mark.parametrize("largest", [-1.0, 0.5, np.nan, np.inf, "10", [10.0], [1.0, [2.0, 3.0]]])
def test_a_bad_bound_is_refused_for_all_maps(potential: Any, largest: Any) -> None:
    with pytest.raises(ib.InputError, match=r"largest is .*above 0\.5, is expected; type largest=1\.5"):
        ib.parametrization_for(potential, [0.5], largest=largest)


def test_equal_maps_have_equal_hashes() -> None:
    for potential in (ib.HyperbolicEntropy([0.5]), ib.SquaredNorm()):
        one, other = (ib.parametrization_for(potential, [w0]) for w0 in (0.0, -0.0))
        assert one == other
        assert hash(one) == hash(other)
        assert {one: 1}[other] == 1
        assert one != ib.parametrization_for(potential, [1.0])
    assert hash(ib.HyperbolicEntropy([0.5, 1.0])) == hash(ib.HyperbolicEntropy([0.5, 1.0]))
