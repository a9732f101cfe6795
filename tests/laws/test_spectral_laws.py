"""Laws of the potentials of matrices: inverse, gradient, Hessian, divergence, rotations, diagonal matrices, horizon."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray

import implicitbias as ib
from implicitbias._core.precision import double_precision
from tests.laws.registry import SPECTRAL_POTENTIALS

everywhere = pytest.mark.parametrize("phi", list(SPECTRAL_POTENTIALS.values()), ids=list(SPECTRAL_POTENTIALS))
few = settings(max_examples=10)
shapes = st.sampled_from([(3, 3), (2, 4), (4, 2), (1, 3), (3, 1), (1, 1)])
seeds = st.integers(0, 10**6)
# Singular values: far apart, equal, nearly equal at several distances, and a factor of 1e4 apart.
spectra = st.sampled_from(
    [
        (2.0, 1.0, 0.3),
        (1.0, 1.0, 1.0),
        (1.0, 1.0 + 1e-9, 0.5),
        (1.0, 1.0 - 1e-5, 1.0 - 2e-5),
        (3.0, 3.0 * 1.02, 3.0),
        (5.0, 1.0, 5e-4),
    ]
)


def _orthogonal(rng: np.random.Generator, size: int) -> ndarray:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def _matrix(shape: tuple[int, int], spectrum: tuple[float, ...], seed: int) -> ndarray:
    """Return a matrix with some of these singular values and random singular vectors."""
    rng, rank = np.random.default_rng(seed), min(shape)
    left, right = _orthogonal(rng, shape[0])[:, :rank], _orthogonal(rng, shape[1])[:, :rank]
    return (left * np.array(spectrum[:rank])) @ right.T


# Law: the inverse mirror map undoes the mirror map, and the other way round.
@everywhere
@few
@given(shape=shapes, spectrum=spectra, seed=seeds)
def test_inverse(phi: ib.Potential, shape: tuple[int, int], spectrum: tuple[float, ...], seed: int) -> None:
    W = _matrix(shape, spectrum, seed)
    z = phi.mirror(W)
    np.testing.assert_allclose(phi.inverse_mirror(z), W, rtol=0, atol=1e-12)
    np.testing.assert_allclose(phi.mirror(phi.inverse_mirror(z)), z, rtol=0, atol=1e-8 * np.abs(z).max())


# Law: the mirror map is the gradient of the value, by central differences along a random direction.
@everywhere
@few
@given(shape=shapes, spectrum=spectra, seed=seeds)
def test_gradient(phi: ib.Potential, shape: tuple[int, int], spectrum: tuple[float, ...], seed: int) -> None:
    W = _matrix(shape, spectrum, seed)
    # The third derivatives of the p-norm with p = 1.5 grow with the reciprocal of the smallest singular value.
    v = 1e-3 * min(spectrum[: min(shape)]) * np.random.default_rng(seed + 1).standard_normal(shape)
    slope = phi.value(W + v) - phi.value(W - v)
    z = phi.mirror(W)
    noise = 8 * 2.0**-52 * abs(phi.value(W)) + 1e-14
    np.testing.assert_allclose(
        slope, 2 * np.sum(z * v), rtol=1e-4, atol=noise + 1e-5 * np.linalg.norm(z) * np.linalg.norm(v)
    )


# Law: the Hessian is the derivative of the mirror map, symmetric and positive, also at equal singular values.
@everywhere
@few
@given(shape=shapes, spectrum=spectra, seed=seeds)
def test_hessian(phi: ib.Potential, shape: tuple[int, int], spectrum: tuple[float, ...], seed: int) -> None:
    W = _matrix(shape, spectrum, seed)
    u, v = np.random.default_rng(seed + 1).standard_normal((2, *shape))
    # The third derivatives are of the size of the reciprocal square of the smallest singular value.
    step = 1e-3 * min(spectrum[: min(shape)])
    difference = (phi.mirror(W + step * v) - phi.mirror(W - step * v)) / (2 * step)
    product = phi.hessian_product(W, v)
    size = np.abs(product).max()
    np.testing.assert_allclose(product, difference, rtol=0, atol=2e-4 * size)
    assert np.sum(product * v) > 0.0
    np.testing.assert_allclose(
        np.sum(product * u), np.sum(phi.hessian_product(W, u) * v), rtol=1e-10, atol=1e-10 * size
    )
    np.testing.assert_allclose(phi.inverse_hessian_product(W, product), v, rtol=0, atol=1e-8)


# Oracle: JAX's derivative of the mirror map through the eigenvalue decomposition of W W^T, at separated values.
@pytest.mark.parametrize("name", ["p-norm, p = 3", "hyperbolic entropy, a = 1", "cosh"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_hessian_by_automatic_differentiation(name: str, shape: tuple[int, int]) -> None:
    phi, W = SPECTRAL_POTENTIALS[name], _matrix(shape, (2.0, 1.0, 0.3), 0)
    v = np.random.default_rng(1).standard_normal(shape)
    scalar = {
        "p-norm, p = 3": lambda s: s**2,
        "hyperbolic entropy, a = 1": lambda s: jnp.arcsinh(s) / 2,
        "cosh": jnp.sinh,
    }[name]

    def mirror(w: jax.Array) -> jax.Array:
        if shape[0] > shape[1]:
            w = w.T
        squares, left = jnp.linalg.eigh(w @ w.T)
        sizes = jnp.sqrt(squares)
        z = (left * (scalar(sizes) / sizes)) @ left.T @ w
        return z.T if shape[0] > shape[1] else z

    with double_precision():
        expected = jax.jvp(mirror, (jnp.asarray(W),), (jnp.asarray(v),))[1]
    np.testing.assert_allclose(phi.hessian_product(W, v), expected, rtol=1e-11, atol=1e-12)


# Law: divergences are not negative, and 0 only between equal points.
@everywhere
@few
@given(shape=shapes, spectrum=spectra, seed=seeds)
def test_divergence(
    phi: ib.Potential, shape: tuple[int, int], spectrum: tuple[float, ...], seed: int
) -> None:
    W, V = _matrix(shape, spectrum, seed), _matrix(shape, (1.5, 1.0, 0.2), seed + 1)
    assert phi.divergence(W, W) == 0.0
    assert phi.divergence(W, V) >= 0.0
    if np.abs(W - V).max() > 0.5:
        assert phi.divergence(W, V) > 0.0


# Law: rotations from both sides do not change the value, and they move the mirror map along.
@everywhere
@few
@given(shape=shapes, spectrum=spectra, seed=seeds)
def test_rotations(phi: ib.Potential, shape: tuple[int, int], spectrum: tuple[float, ...], seed: int) -> None:
    W, rng = _matrix(shape, spectrum, seed), np.random.default_rng(seed + 1)
    P, Q = _orthogonal(rng, shape[0]), _orthogonal(rng, shape[1])
    np.testing.assert_allclose(phi.value(P @ W @ Q), phi.value(W), rtol=1e-11)
    z = phi.mirror(W)
    np.testing.assert_allclose(phi.mirror(P @ W @ Q), P @ z @ Q, rtol=0, atol=1e-9 * np.abs(z).max())
    np.testing.assert_allclose(phi.mirror(W.T), z.T, rtol=0, atol=1e-9 * np.abs(z).max())


# Oracle: the scalar potential on the diagonal.
@everywhere
def test_diagonal_matrices_are_the_vector_case(phi: ib.Spectral) -> None:
    w, v = np.array([2.0, -0.5, 1.0]), np.array([1.0, 3.0, -1.0])
    scalar = phi.scalar
    np.testing.assert_allclose(phi.value(np.diag(w)), scalar.value(w), rtol=1e-14)
    np.testing.assert_allclose(phi.mirror(np.diag(w)), np.diag(scalar.mirror(w)), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        phi.hessian_product(np.diag(w), np.diag(v)),
        np.diag(scalar.hessian_product(w, v)),
        rtol=1e-12,
        atol=1e-14,
    )
    np.testing.assert_allclose(
        phi.horizon().value(np.diag(w)), scalar.horizon().value(np.sort(np.abs(w))[::-1]), rtol=1e-13
    )


# Law: far out, matrices of one level have one horizon gauge; for the hyperbolic entropy up to logarithms.
@everywhere
def test_far_level_sets_are_those_of_the_horizon(phi: ib.Potential) -> None:
    gauge, reached = phi.horizon(), []
    for seed in range(3):
        W = _matrix((2, 3), (1.0, 0.4), seed) if seed else _matrix((2, 3), (1.0, 0.1), seed)
        low, high = -300.0, 300.0
        for _ in range(60):
            middle = (low + high) / 2
            value = phi.value(np.exp(middle) * W)
            low, high = (low, middle) if not value <= 1e100 else (middle, high)
        reached.append(gauge.value(np.exp(low) * W))
    slow = 0.05 if repr(gauge) == "Nuclear()" else 1e-3
    np.testing.assert_allclose(reached, reached[0], rtol=slow)


# Law: the maps are the same under `jax.jit`.
@everywhere
def test_under_jit(phi: ib.Potential) -> None:
    W, v = _matrix((2, 3), (1.0, 0.4), 0), _matrix((2, 3), (0.5, 0.4), 1)
    with double_precision():
        z = eqx.filter_jit(phi.mirror_formula)(W)
        product = eqx.filter_jit(phi.hessian_formula)(W, v)
        many = jax.jit(jax.vmap(lambda row: phi.inverse_hessian_formula(z, row)))(jnp.stack([product] * 2))
    np.testing.assert_allclose(z, phi.mirror(W), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(product, phi.hessian_product(W, v), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(many[1], v, rtol=1e-11, atol=1e-11)


def test_limits_of_exponents() -> None:
    assert ib.Spectral(ib.SquaredNorm()).horizon().fingerprint() == ib.gauges.L2().fingerprint()
    assert repr(ib.Spectral(ib.PNorm(3)).horizon()) == "Schatten(p=3.0)"
    assert repr(ib.Spectral(ib.HyperbolicEntropy(0.1)).horizon()) == "Nuclear()"
    assert repr(ib.Spectral(ib.Cosh()).horizon()) == "Spectral()"


class Tilted(ib.SeparablePotential):
    """A potential that is not even."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return jnp.exp(w) - w - 1.0 + w**2

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return jnp.exp(w) - 1.0 + 2.0 * w

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return z

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return jnp.ones_like(z)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ib.Spectral(3), "scalar is a int, a potential that is a sum over coordinates"),
        (lambda: ib.Spectral(ib.QuadraticForm(np.eye(2))), "scalar is a QuadraticForm"),
        (lambda: ib.Spectral(ib.Spectral(ib.Cosh())), "scalar is a Spectral"),
        (lambda: ib.Spectral(ib.HyperbolicEntropy([1.0, 2.0])), "log_scale has 2 entries, one number"),
        (lambda: ib.Spectral(Tilted()), r"h is not even: h\(0.001\) = .* and h\(-0.001\)"),
        (lambda: ib.Spectral(ib.Cosh()) + ib.Cosh(), r"ib.Spectral\(phi\) \+ ib.Spectral\(psi\)"),
        (lambda: ib.Spectral(ib.Cosh()).compose(np.eye(2)), "compose was called on a Spectral"),
        (lambda: ib.Spectral(ib.Cosh()).value([1.0, 2.0]), r"w has shape \(2,\), 2 dimension"),
        (lambda: ib.Spectral(ib.Cosh()).value([[1.0, np.nan]]), "NaN"),
        (lambda: ib.Spectral(ib.Cosh()).divergence(np.eye(2), np.ones((2, 3))), "they must agree"),
        (lambda: ib.Spectral(ib.Cosh()).hessian_product(np.eye(2), np.ones((2, 3))), "they must agree"),
        (lambda: ib.gauges.Schatten(1), r"ib.gauges.Nuclear\(\) for p = 1"),
        (lambda: ib.gauges.Schatten(np.inf), r"ib.gauges.Spectral\(\) for p = infinity"),
        (lambda: ib.gauges.Schatten(3).value([1.0]), "a matrix is expected by Schatten"),
    ],
)
def test_bad_input_is_refused_in_words(make: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        make()  # type: ignore[operator]
