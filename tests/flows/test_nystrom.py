"""Randomised low-rank preconditioners: the approximation is accurate, and the flow does not depend on it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows import _algebra_sizes
from implicitbias.flows._lagged_algebras import spectrum

RNG = np.random.default_rng(0)
ROWS = 40


def spectrum_of(eigenvalues: np.ndarray, rank: int) -> tuple[Any, np.ndarray]:
    """Return the spectrum that is found for a matrix with these eigenvalues, and its eigenvectors as columns."""
    basis, _ = np.linalg.qr(RNG.standard_normal((len(eigenvalues), len(eigenvalues))))
    test = RNG.standard_normal((len(eigenvalues), rank))
    with double_precision():
        found = spectrum(jnp.asarray((basis * eigenvalues) @ basis.T @ test), jnp.asarray(test))
        return jax.tree.map(np.asarray, found), basis


# Oracle: the eigenvalues of which the matrix is made. Those beyond the rank are 1e-9 of the largest one together.
def test_the_largest_eigenvalues_are_found() -> None:
    eigenvalues = 10.0 ** -np.arange(ROWS)
    found, basis = spectrum_of(eigenvalues, 9)
    np.testing.assert_allclose(found.values[::-1][:4], eigenvalues[:4], rtol=1e-4)
    overlaps = np.abs(np.sum(found.vectors[:, ::-1][:, :4] * basis[:, :4], axis=0))
    np.testing.assert_allclose(overlaps, 1.0, atol=1e-4)


# A matrix of rank 3 is its own approximation of rank 9, and the directions that it lacks are zero, not noise.
def test_a_matrix_of_low_rank() -> None:
    eigenvalues = np.zeros(ROWS)
    eigenvalues[:3] = 5.0, 2.0, 1e-3
    found, basis = spectrum_of(eigenvalues, 9)
    again = (found.vectors * found.values) @ found.vectors.T
    np.testing.assert_allclose(again, (basis * eigenvalues) @ basis.T, atol=1e-10)
    assert np.count_nonzero(np.linalg.norm(found.vectors, axis=0) > 0.5) == 3


def test_a_matrix_of_zeros() -> None:
    found, _ = spectrum_of(np.zeros(ROWS), 4)
    assert np.all(found.vectors == 0.0)
    assert np.all(np.isfinite(found.values))


def layered(p: Any, X: Any) -> Any:
    return jnp.tanh(X @ p[0]) @ p[1]


def entangled(p: Any, X: Any) -> Any:
    """The same function as `layered`, written so that no dense layers are found."""
    return jnp.sum(jnp.tanh(jnp.sum(X[:, :, None] * jnp.sin(p[0]), axis=1)) * jnp.sin(p[1]), axis=1)


# Oracle: the flow with the factorised kernel. The rank is a fifth of the rows, so that iterations are still needed. On
# these data no error of a step is so near to rtol that one algebra accepts the step and another one rejects it.
@pytest.mark.parametrize("model", [layered, entangled])
def test_a_low_rank_saves_iterations(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_algebra_sizes, "_RANKS", (8, 8))
    rng = np.random.default_rng(4)
    inputs, start = rng.standard_normal((ROWS, 5)), (rng.standard_normal((5, 60)), rng.standard_normal(60))
    flow = ib.GradientFlow(ib.Problem(model, inputs, rng.standard_normal(ROWS)), 1e-3)
    direct, products, nystrom = (
        ib.simulate(flow, start, times=[1e3], solver=name) for name in ("kernel", "products", "nystrom")
    )
    ends = [np.concatenate([np.ravel(leaf) for leaf in run.final]) for run in (direct, nystrom)]
    assert np.linalg.norm(ends[1] - ends[0]) < 1e-5 * np.linalg.norm(ends[0])
    assert nystrom.stats.steps == products.stats.steps == direct.stats.steps
    assert nystrom.stats.iterations < 0.8 * products.stats.iterations
    assert nystrom.stats.algebras == (("nystrom", nystrom.stats.steps),)
