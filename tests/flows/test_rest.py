"""Tests of flows that have converged: rest is certified and crossed, and the accuracy before it is kept."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows._large_rest import HessianProducts
from implicitbias.flows._limits import Limits
from implicitbias.flows._rest import Curvature, rest_near

LAM = 1e-3


class Case(NamedTuple):
    """A problem, the start, and the flat objective with weight decay as a function of flat parameters."""

    problem: ib.Problem
    start: Any


def _tanh(params: Any, X: Any) -> Any:
    W, b, a = params
    return jnp.tanh(X @ W + b) @ a


def _attention(params: Any, X: Any) -> Any:
    Q, K, V, o = params
    scores = jnp.einsum("nid,njd->nij", X @ Q, X @ K) / np.sqrt(Q.shape[1])
    return jnp.einsum("nij,njd->nid", jax.nn.softmax(scores, axis=-1), X @ V).mean(axis=1) @ o


def tanh_case() -> Case:
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((12, 4)), rng.standard_normal(12)
    start = (rng.standard_normal((4, 12)), rng.standard_normal(12) / 2, rng.standard_normal(12) / 3)
    return Case(ib.Problem(_tanh, X, y), start)


def attention_case() -> Case:
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((10, 4, 3)), rng.standard_normal(10)
    start = tuple(rng.standard_normal(shape) for shape in ((3, 4), (3, 4), (3, 4), (4,)))
    return Case(ib.Problem(_attention, X, y), start)


CASES = {"tanh": tanh_case, "attention": attention_case}


def flat(params: Any) -> ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in params])


class Oracle(NamedTuple):
    """The speed and the Hessian of the penalised loss, written out by hand, at flat parameters."""

    speed: Any
    hessian: Any


def oracle(case: Case) -> Oracle:
    model, X, y = case.problem.model, np.asarray(case.problem.X), np.asarray(case.problem.y)
    with jax.enable_x64(True):
        _, unravel = ravel_pytree(jax.tree.map(jnp.asarray, case.start))

        def objective(u: Any) -> Any:
            return jnp.sum((model(unravel(u), X) - y) ** 2) / (2 * len(y)) + LAM / 2 * jnp.sum(u**2)

        slope, hessian = jax.jit(jax.grad(objective)), jax.jit(jax.hessian(objective))

    def double(function: Any) -> Any:
        def call(u: ndarray) -> ndarray:
            with jax.enable_x64(True):
                return np.asarray(function(u))

        return call

    return Oracle(double(lambda u: -slope(u)), double(hessian))


# Oracle: the gradient and the Hessian of the penalised loss at the final state. Without rest, the tanh net takes 3908
# steps to 1e6, and the attention net 0.3 steps for each unit of lam t / 3.
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("end", [1e8, 1e300])
def test_a_converged_net_takes_few_steps_to_any_time(name: str, end: float) -> None:
    case = CASES[name]()
    trajectory = ib.simulate(ib.GradientFlow(case.problem, LAM), case.start, t1=end)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.stats.steps < 300
    assert trajectory.times[-1] == end
    exact, theta = oracle(case), flat(trajectory.final)
    # The distance to the rest point is at most |H^+ theta'|, and it must be a minimum.
    values, vectors = np.linalg.eigh(exact.hessian(theta))
    assert values[0] > -1e-12
    curved = values > 1e-12
    distance = vectors[:, curved] @ ((vectors.T @ exact.speed(theta))[curved] / values[curved])
    assert np.linalg.norm(distance) <= 1e-4 * np.linalg.norm(theta)


# Oracle: SciPy's LSODA with the exact Jacobian and rtol 1e-10, before, at and after the beginning of rest.
@pytest.mark.parametrize("name", CASES)
def test_the_accuracy_before_rest_is_kept(name: str) -> None:
    case = CASES[name]()
    times = np.array([1e2, 1e3, 3e3, 1e4, 3e4])
    exact = oracle(case)
    expected = solve_ivp(
        lambda _, u: exact.speed(u),
        (0.0, times[-1]),
        flat(case.start),
        method="LSODA",
        jac=lambda _, u: -exact.hessian(u),
        rtol=1e-10,
        atol=1e-13,
        t_eval=times,
    ).y.T
    trajectory = ib.simulate(ib.GradientFlow(case.problem, LAM), case.start, t1=1e6, times=times)
    for found, wanted in zip(trajectory.flat_states, expected, strict=True):
        assert np.linalg.norm(found - wanted) <= 10 * 1e-4 * np.linalg.norm(wanted)


def test_rest_is_told_with_its_evidence() -> None:
    case = attention_case()
    trajectory = ib.simulate(ib.GradientFlow(case.problem, LAM), case.start, log_t1=690.0)
    assert trajectory.stats.steps < 300
    assert len(trajectory.notes) == 1
    assert "the flow is at rest" in trajectory.notes[0]
    assert "least eigenvalue of the Hessian" in trajectory.notes[0]


# Oracle: the search with the whole Hessian. The attention network has symmetries, along which the curvature is 0.
@pytest.mark.parametrize("name", CASES)
def test_products_with_the_hessian_find_the_same_rest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]()
    flow = ib.GradientFlow(case.problem, LAM)
    whole = ib.simulate(flow, case.start, t1=1e300)
    monkeypatch.setattr("implicitbias.flows._gauss_newton._MOST_FOR_WHOLE", 0)
    trajectory = ib.simulate(flow, case.start, t1=1e300)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.stats.steps < 300
    assert "the flow is at rest" in trajectory.notes[0]
    expected = flat(whole.final)
    assert np.linalg.norm(flat(trajectory.final) - expected) <= 1e-4 * np.linalg.norm(expected)
    assert np.linalg.norm(oracle(case).speed(flat(trajectory.final))) < 1e-12


# Oracle: LAPACK with the Hessian of the penalised loss, which is positive there, beside a minimum.
def test_newton_steps_and_eigenvalues_by_products_are_those_of_the_hessian() -> None:
    case = tanh_case()
    point = flat(ib.simulate(ib.GradientFlow(case.problem, LAM), case.start, t1=1e5).final)
    point = point * (1.0 + 1e-6 * np.cos(np.arange(len(point))))
    exact = oracle(case)
    speed, hessian = exact.speed(point), exact.hessian(point)
    with double_precision():
        shape, theta = ib.GradientFlow(case.problem, LAM).checked_start(case.start)
        engine: Any = ib.GradientFlow(case.problem, LAM).engine(shape, theta, Limits(1.0, 1e-4, 10), 2**30)
        u = np.concatenate([point, np.zeros(len(case.problem.y))])
        found = HessianProducts(engine.system, u, speed, 1.0, 1e-4)
        step, least = found.newton_step(), found.least()
    expected = np.linalg.solve(hessian, speed)
    assert step is not None
    assert least is not None
    assert np.linalg.norm(hessian @ (step - expected)) <= 1e-4 * np.linalg.norm(speed)
    assert least == pytest.approx(np.linalg.eigvalsh(hessian)[0], rel=1e-3)


# Oracle: a saddle has a negative eigenvalue: a tiny start that waits there for long must not be taken for rest.
@pytest.mark.parametrize("most", [1500, 0])
def test_a_saddle_is_not_rest(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("implicitbias.flows._gauss_newton._MOST_FOR_WHOLE", most)

    def product(p: Any, X: Any) -> Any:
        return X @ (p[0] * p[1])

    problem = ib.Problem(product, np.ones((1, 1)), np.ones(1))
    start = (np.array([1e-12]), np.array([0.0]))
    trajectory = ib.simulate(ib.GradientFlow(problem), start, t1=1e6)
    assert (trajectory.final[0] * trajectory.final[1]).item() == pytest.approx(1.0, abs=1e-6)


def quadratic(eigenvalues: list[float], center: list[float], drift: list[float]) -> Any:
    def curvature(theta: ndarray) -> Curvature:
        speed = -np.array(eigenvalues) * (theta - np.array(center)) + np.array(drift)
        return Curvature(speed, np.diag(eigenvalues), 1.0, float(np.linalg.norm(theta)))

    return curvature


# Oracle: the minimum of a quadratic function is known; each other case lacks one condition of rest.
def test_rest_needs_all_its_conditions() -> None:
    theta, center = np.array([1.0, 2.0]), [1.00001, 2.0]

    def near(point: ndarray) -> bool:
        return bool(np.linalg.norm(point - theta) <= 1e-4)

    found = rest_near(quadratic([2.0, 1.0], center, [0.0, 0.0]), theta, near)
    assert found is not None
    np.testing.assert_allclose(found.point, center, rtol=1e-14)
    assert found.least == 1.0
    assert rest_near(quadratic([2.0, 0.0], center, [0.0, 0.0]), theta, near) is not None
    assert rest_near(quadratic([2.0, -1.0], center, [0.0, 0.0]), theta, near) is None
    assert rest_near(quadratic([2.0, 0.0], center, [0.0, 1e-9]), theta, near) is None
    # A valley: the slow direction is far from its rest, and its speed is much below that of the fast direction.
    assert rest_near(quadratic([2.0, 1e-9], [1.00001, 3.0], [0.0, 0.0]), theta, near) is None
    assert rest_near(quadratic([2.0, 1.0], [1.1, 2.0], [0.0, 0.0]), theta, near) is None
    assert rest_near(quadratic([2.0, np.nan], center, [0.0, 0.0]), theta, near) is None


# Oracle: a run without the exact Jacobian. At a tight rtol the accuracy makes steps short, and the exact Jacobian, with
# which a step of this network takes 50 times longer, does not make them longer: it is given up after 8 steps. It is
# tried again after four times as many steps, so that the number of tries grows like the logarithm of the steps.
def test_an_exact_jacobian_that_does_not_help_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    X, y, start = rng.standard_normal((12, 3)), rng.standard_normal(12), rng.standard_normal((5, 60))

    def network(theta: Any, X: Any) -> jax.Array:
        return jnp.tanh(X @ theta[:3] + theta[3]) @ theta[4]

    flow = ib.GradientFlow(ib.Problem(network, X, y))
    tried = ib.simulate(flow, start, t1=1e4, rtol=1e-8)
    tries, rest = divmod(dict(tried.stats.algebras)["exact"], 8)
    assert rest == 0
    assert 1 <= tries <= 1 + np.log(tried.stats.steps / 32) / np.log(4)
    assert sum(steps for _, steps in tried.stats.algebras) == tried.stats.steps
    monkeypatch.setattr("implicitbias.flows._gauss_newton._MOST_FOR_EXACT", 0)
    never = ib.simulate(flow, start, t1=1e4, rtol=1e-8)
    assert never.stats.accepted == tried.stats.accepted
    np.testing.assert_array_equal(never.final, tried.final)
