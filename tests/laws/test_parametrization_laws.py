"""Laws of every parametrization: pull-back, metric, tangent kernel of entries, potential, symmetries, closed flows."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations import Diagonal, ExponentialFlow, FactoredMatrix, TwoLayerDiagonal
from implicitbias.parametrizations._charts import ForPotential
from tests.laws.registry import MIRRORED, PARAMETRIZATIONS, SLOW
from tests.potentials._formulas import slope as slope_of


def over(names: list[str]) -> pytest.MarkDecorator:
    cases = [
        pytest.param(*PARAMETRIZATIONS[name], id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in names
    ]
    return pytest.mark.parametrize(("G", "theta"), cases)


def of_type(kind: type) -> list[str]:
    return [name for name, (G, _) in PARAMETRIZATIONS.items() if isinstance(G, kind)]


everywhere = over(list(PARAMETRIZATIONS))
everywhere_diagonal = over(of_type(Diagonal))
everywhere_factored = over(of_type(FactoredMatrix))


def ravel(theta: Any) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in jax.tree.leaves(theta)])


def unravel(flat: np.ndarray, like: Any) -> Any:
    leaves, treedef = jax.tree.flatten(like)
    parts = np.split(flat, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        treedef, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    )


def jacobian(G: ib.Parametrization, theta: Any) -> np.ndarray:
    """Rows J^T e, one for each entry of w."""
    w = G(theta)
    units = np.eye(w.size).reshape(w.size, *w.shape)
    return np.array([ravel(G.pullback(theta, unit)) for unit in units])


def jaxed(method: Any, *arguments: Any) -> np.ndarray:
    """A traced method on arrays, compiled, as the flows call it."""
    with double_precision():
        # JAX takes a hash of a method, and maps that hold arrays have none.
        return jax.tree.map(np.asarray, jax.jit(partial(method))(*arguments))


# Law: <g, G(theta + h e) - G(theta - h e)> / 2h = <J^T g, e>, to order h^2 = 1e-12 times third derivatives, which are
# about 5e3 for the spirals of an embedding and below 30 for the others.
@everywhere
def test_the_pullback_is_the_transposed_jacobian(G: ib.Parametrization, theta: Any) -> None:
    gradient = np.random.default_rng(0).standard_normal(G(theta).shape)
    back, flat, h = ravel(G.pullback(theta, gradient)), ravel(theta), 1e-6
    for i in range(flat.size):
        e = h * np.eye(flat.size)[i]
        up, down = G(unravel(flat + e, theta)), G(unravel(flat - e, theta))
        np.testing.assert_allclose(back[i], np.sum(gradient * (up - down)) / (2 * h), rtol=0, atol=1e-8)


# Law: what comes back from the pull-back has the structure, shapes and type of theta, and is read-only.
@everywhere
def test_the_pullback_is_shaped_as_theta(G: ib.Parametrization, theta: Any) -> None:
    w = G(theta)
    back = G.pullback(theta, np.ones(w.shape))
    assert jax.tree.structure(back) == jax.tree.structure(theta)
    for got, leaf in zip([w, *jax.tree.leaves(back)], [w, *jax.tree.leaves(theta)], strict=True):
        assert type(got) is np.ndarray
        assert got.dtype == np.float64
        assert got.shape == leaf.shape
        assert not got.flags.writeable


# Law: a gradient of another shape than w is refused; so is one that is not finite.
@everywhere
def test_a_gradient_of_another_shape_is_refused(G: ib.Parametrization, theta: Any) -> None:
    shape = G(theta).shape
    with pytest.raises(ib.InputError, match=r"gradient has shape .*, they must agree"):
        G.pullback(theta, np.ones((*shape[:-1], shape[-1] + 1)))
    with pytest.raises(ib.InputError, match=r"gradient holds 1 NaN"):
        G.pullback(theta, np.where(np.arange(np.prod(shape)).reshape(shape) == 0, np.nan, 1.0))


# Law: the formula in JAX and the map in NumPy are one: equal up to the rounding of sums in another order.
@everywhere
def test_the_formula_is_the_map(G: ib.Parametrization, theta: Any) -> None:
    np.testing.assert_allclose(jaxed(G.formula, theta), G(theta), rtol=1e-14, atol=1e-15)


# Law: J J^T is diagonal, and `metric` is its diagonal.
@everywhere_diagonal
def test_the_metric_is_the_diagonal_of_the_tangent_kernel(G: Diagonal, theta: Any) -> None:
    J, metric = jacobian(G, theta), jaxed(G.metric, theta)
    assert metric.shape == G(theta).shape
    np.testing.assert_allclose(J @ J.T, np.diag(metric.ravel()), rtol=1e-13, atol=0)


# Law: the kernel of entries is J J^T at those entries: all of them, and the first ones twice.
@everywhere_factored
def test_the_entry_kernel_is_the_tangent_kernel_at_the_entries(G: FactoredMatrix, theta: Any) -> None:
    shape = G(theta).shape
    rows, cols = (np.concatenate([axis.ravel(), axis.ravel()[:2]]) for axis in np.indices(shape))
    J = jacobian(G, theta)[np.ravel_multi_index((rows, cols), shape)]
    got = jaxed(G.entry_kernel, theta, rows, cols)
    np.testing.assert_allclose(got, J @ J.T, rtol=1e-13, atol=1e-13)


# Law: J J^T, the metric of w, is the slope of the inverse mirror at the start: d w = -J J^T grad L dt.
@over(list(MIRRORED))
def test_the_metric_is_that_of_the_potential(G: ib.Parametrization, theta: Any) -> None:
    phi, J = G.potential(theta), jacobian(G, theta)
    slope = slope_of(phi, phi.mirror(G(theta)))
    np.testing.assert_allclose(J @ J.T, np.diag(slope), rtol=1e-12, atol=1e-14)


# Law: a map that is made for a potential has its inverse Hessian as metric, up to the error that it states.
@over(of_type(ForPotential))
def test_a_map_that_is_made_for_a_potential_has_its_metric(G: ForPotential, theta: Any) -> None:
    phi, J, w = G.potential(theta), jacobian(G, theta), G(theta)
    inverse = np.array([phi.inverse_hessian_product(w, unit) for unit in np.eye(w.size)])
    np.testing.assert_allclose(phi.mirror(w), G.made_for.mirror(w), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(J @ J.T, inverse, rtol=0, atol=(1e-12 + 3 * G.error) * np.max(np.abs(inverse)))


# Law: a map without a potential says so, and what to type.
@over(
    [
        name
        for name in PARAMETRIZATIONS
        if not name.startswith("for ") and name not in MIRRORED and "matri" not in name
    ]
)
def test_the_others_say_that_there_is_no_potential(G: ib.Parametrization, theta: Any) -> None:
    with pytest.raises(
        ib.InputError, match=r"no potential: .*ib\.GradientFlow\(problem\.reparametrize\(G\)\)"
    ):
        G.potential(theta)


# Law: coordinates in another order: w, pull-back and metric in that order (where no coordinate has its own function).
@over([name for name in of_type(Diagonal) if "for each" not in name])
def test_permuted_coordinates_permute_everything(G: Diagonal, theta: Any) -> None:
    w = G(theta)
    order = np.random.default_rng(1).permutation(len(w))
    gradient = np.random.default_rng(2).standard_normal(w.shape)
    moved = jax.tree.map(lambda leaf: leaf[order], theta)
    np.testing.assert_array_equal(G(moved), w[order])
    expected = jax.tree.map(lambda leaf: leaf[order], G.pullback(theta, gradient))
    jax.tree.map(np.testing.assert_array_equal, G.pullback(moved, gradient[order]), expected)
    np.testing.assert_array_equal(jaxed(G.metric, moved), jaxed(G.metric, theta)[order])


# Law: rows of the factors in another order: rows (and columns) of W in that order; columns turned: the same W.
@everywhere_factored
def test_permuted_rows_permute_the_matrix(G: FactoredMatrix, theta: Any) -> None:
    U, V = theta
    rng = np.random.default_rng(3)
    if isinstance(G, ib.MatrixProduct):
        rows, cols = rng.permutation(len(U)), rng.permutation(len(V))
    else:
        rows = cols = rng.permutation(len(U))
    # Sums of products in the same order, though blocked otherwise.
    np.testing.assert_allclose(G((U[rows], V[cols])), G(theta)[np.ix_(rows, cols)], rtol=1e-14, atol=1e-15)
    turn_U, turn_V = (np.linalg.qr(rng.standard_normal((k, k)))[0] for k in (U.shape[1], V.shape[1]))
    turned = (U @ turn_U, V @ (turn_U if isinstance(G, ib.MatrixProduct) else turn_V))
    np.testing.assert_allclose(G(turned), G(theta), rtol=0, atol=1e-14)


TWO_LAYERS = [ib.HadamardProduct(), ib.SquareDifference()]
maps = pytest.mark.parametrize("G", TWO_LAYERS, ids=["u * v", "u^2 - v^2"])
STARTS = {
    "generic": ([1.0, -0.5, 0.2], [0.3, 0.1, -1.0]),
    "p0 = 0 or q0 = 0": ([0.5, 0.5, 0.0], [0.5, -0.5, 0.7]),
    "zero": ([0.0, 0.3, 0.0], [0.2, 0.0, 0.0]),
    "nearly balanced": ([1.0, -0.4, 1e-9], [1.0 + 1e-9, 0.4, -2.0]),
    "tiny": ([1e-200, -3e-200, 0.0], [0.0, 1e-200, 2e-200]),
}


@jax.jit
def everything(flow: ExponentialFlow, z: jax.Array, s: jax.Array) -> Any:
    """theta, w, both derivatives of w by JAX, and both as the closed-form flow gives them."""
    w, dw_dz = jax.jvp(lambda z: flow.predictor(z, s), (z,), (jnp.ones_like(z),))
    dw_ds = jax.jvp(lambda s: flow.predictor(z, s), (s,), (jnp.ones_like(s),))[1]
    return flow.theta(z, s), w, dw_dz, dw_ds, flow.slope(z, s), flow.decay_slope(z, s)


def at(flow: ExponentialFlow, z: Any, s: float) -> Any:
    with double_precision():
        return jax.tree.map(np.asarray, everything(flow, np.atleast_1d(z), np.full(np.size(z), s)))


# Law: the closed form is the flow theta' = -J^T g - lam theta, for any g: SciPy's Runge-Kutta at rtol 1e-12.
@maps
@pytest.mark.parametrize("start", STARTS.values(), ids=list(STARTS))
@pytest.mark.parametrize("lam", [0.0, 0.3])
def test_the_closed_form_is_the_flow(G: TwoLayerDiagonal, start: Any, lam: float) -> None:
    theta0 = np.array(start)
    scale = np.max(np.abs(theta0))
    swing, steady, end = np.array([1.5, -2.0, 0.7]), np.array([-0.4, 0.3, 1.0]), 2.0

    def field(t: float, flat: np.ndarray) -> np.ndarray:
        u, v = flat.reshape(2, 3)
        g = swing * np.cos(3 * t) + steady
        # The rows of J written out by hand: no code of the library stands in the oracle.
        back = (g * v, g * u) if isinstance(G, ib.HadamardProduct) else (2 * g * u, -2 * g * v)
        return -np.concatenate(back) - lam * flat

    reference = solve_ivp(field, (0, end), theta0.ravel(), method="DOP853", rtol=1e-12, atol=1e-14 * scale)
    z, flow = -(swing * np.sin(3 * end) / 3 + steady * end), G.closed_form_flow(tuple(theta0))
    got = np.array(at(flow, z, lam * end)[0])
    # 1e-12 a step and some hundred steps; ln 1e-200 carries 5e-14.
    np.testing.assert_allclose(got, reference.y[:, -1].reshape(2, 3), rtol=2e-10, atol=2e-11 * scale)
    np.testing.assert_array_equal(got == 0.0, reference.y[:, -1].reshape(2, 3) == 0.0)


sizes = st.sampled_from([0.0, 1e-200, 1e-30, 1e-3, 0.5, 1.0, 1.0 + 1e-12, 30.0])
signed = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1])
dual = st.floats(-20, 20)


# Law: G(theta(z, s)) = predictor(z, s); the metric there is the slope; both derivatives are JAX's own.
@maps
@settings(max_examples=60)
@given(u=signed, v=signed, z=st.one_of(dual, st.just(0.0)), s=st.floats(0, 5))
def test_the_closed_form_is_consistent(G: TwoLayerDiagonal, u: float, v: float, z: float, s: float) -> None:
    theta0 = np.array([u]), np.array([v])
    theta, w, dw_dz, dw_ds, slope, decay_slope = at(G.closed_form_flow(theta0), z, s)
    # exp carries the rounding of its argument, here at most 2 (461 + 40 + 5), as relative error: 1e3 2^-52.
    close = 1e-12
    # Squares below the normal numbers are flushed to zero.
    np.testing.assert_allclose(G(theta), w, rtol=close, atol=1e-307 + close * slope[0])
    with double_precision():
        metric = np.asarray(G.metric(tuple(jnp.asarray(part) for part in theta)))
    np.testing.assert_allclose(metric, slope, rtol=close, atol=1e-306)
    np.testing.assert_allclose(dw_dz, slope, rtol=close, atol=1e-306)
    np.testing.assert_allclose(dw_ds, decay_slope, rtol=close, atol=1e-306 + close * slope[0])
    if z == 0.0 and s == 0.0:
        np.testing.assert_allclose(theta, theta0, rtol=close, atol=0)


# Law: w is odd under q <-> p: the other order of the layers (u^2 - v^2) or the other sign of v (u v), and z -> -z.
@maps
@settings(max_examples=30)
@given(u=signed, v=signed, z=dual, s=st.floats(0, 5))
def test_the_closed_form_is_odd(G: TwoLayerDiagonal, u: float, v: float, z: float, s: float) -> None:
    other = (u, -v) if isinstance(G, ib.HadamardProduct) else (v, u)
    start, turned = (tuple(np.array([x]) for x in pair) for pair in ((u, v), other))
    _, w, *_, slope, _ = at(G.closed_form_flow(start), z, s)
    _, w_turned, *_ = at(G.closed_form_flow(turned), -z, s)
    np.testing.assert_allclose(w_turned, -w, rtol=1e-12, atol=1e-15 * slope[0])
