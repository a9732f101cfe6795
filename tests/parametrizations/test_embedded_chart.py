"""Tests of maps for potentials that are no sum over coordinates: their metric is the inverse Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

PHI = ib.Potential.from_function(
    lambda w: 0.5 * jnp.sum(w**2) + 0.2 * jnp.sqrt(1 + jnp.sum(w**2)) + 0.1 * w[0] * jnp.tanh(w[1]),
    dimension=2,
)
W0 = np.array([0.2, -0.3])


def exact_hessian(w: np.ndarray) -> np.ndarray:
    """The Hessian of PHI, by hand."""
    r, t = np.sqrt(1 + w @ w), np.tanh(w[1])
    s = 1 - t**2
    mixed = np.array([[0.0, s], [s, -2 * w[0] * t * s]])
    return np.eye(2) * (1 + 0.2 / r) - 0.2 * np.outer(w, w) / r**3 + 0.1 * mixed


def test_the_metric_is_the_inverse_hessian() -> None:
    G = ib.parametrization_for(PHI, W0, largest=1.5)
    assert G.error <= 1.001e-6
    np.testing.assert_allclose(G(G.start), W0, atol=1e-14)
    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacfwd(G.formula))
        # These points are no points of the grid on which the error was measured.
        for w in np.array([[0.2, -0.3], [0.91, -1.13], [-1.49, 1.48], [0.013, 1.2]]):
            theta = G.theta_of(w)
            J = np.asarray(jacobian(jnp.asarray(theta)))
            np.testing.assert_allclose(np.asarray(G.formula(jnp.asarray(theta))), w, rtol=0, atol=1e-13)
            np.testing.assert_allclose(J @ J.T @ exact_hessian(w), np.eye(2), rtol=0, atol=2e-6)
            # The gradients of w are tangent to the image of the embedding: J^+ = DF.
            slope = np.asarray(jax.jacfwd(G.embedding)(jnp.asarray(w)))
            np.testing.assert_allclose(np.linalg.pinv(J), slope, rtol=0, atol=1e-8)
        assert np.all(np.isnan(G.formula(jnp.asarray(G.theta_of([1.6, 0.0])))))


@pytest.mark.parametrize(
    ("potential", "d", "largest", "message"),
    [
        (PHI, 2, None, r"largest is None.*embedded in a bounded region only; type largest=1\.5"),
        (PHI, 2, 0.4, r"largest is 0\.4, a finite number above all"),
        (ib.Cosh().compose(np.eye(2) + 0.3), 2, 6.0, r"Hessian .* varies too much .*largest=1\.5"),
        (ib.Cosh().compose(np.eye(4) + 0.3), 4, 1.0, r"of 4 entries.*for up to 3 entries only"),
    ],
)
def test_what_is_not_embedded_is_refused(
    potential: ib.Potential, d: int, largest: float | None, message: str
) -> None:
    with pytest.raises(ib.InputError, match=message):
        ib.parametrization_for(potential, np.full(d, 0.5), largest=largest)
