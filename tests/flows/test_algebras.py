"""Algebras: the flow does not depend on how its linear systems are solved, and the choice follows the cost."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows import _algebra_choice
from implicitbias.flows._algebra_choice import AlgebraChoice
from implicitbias.flows._algebra_names import NAMES
from implicitbias.flows._gauss_newton import gauss_newton_system
from implicitbias.flows._guide import Report, Way
from implicitbias.flows._limits import Limits
from implicitbias.flows._stepper import Cursor
from implicitbias.flows._tsit5 import DENSE, EMBEDDED, STAGES
from implicitbias.predictors import _traced, traced
from tests.flows._nets import CASES, N, X, case_reference, flat_rows

TIMES = np.array([0.5, 3.0, 20.0])
RTOL = 1e-6
every_algebra = pytest.mark.parametrize("algebra", NAMES)


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def run(name: str, algebra: Any, weight_decay: float = 1e-2, rtol: float = RTOL, **options: Any) -> Any:
    case = CASES[name]
    flow = ib.GradientFlow(case.problem(), weight_decay)
    return ib.simulate(flow, case.start, times=TIMES, rtol=rtol, solver=algebra, **options)


# Oracle: SciPy's DOP853 at rtol 1e-12 on the loss as the test writes it.
@every_algebra
@pytest.mark.parametrize("name", ["squared, two outputs", "three classes"])
def test_every_algebra_gives_the_flow(name: str, algebra: str) -> None:
    trajectory = run(name, algebra)
    expected = case_reference(CASES[name], 1e-2, TIMES)
    found = flat_rows(trajectory.state(TIMES), len(TIMES))
    scale = np.linalg.norm(expected, axis=1)
    assert np.all(np.linalg.norm(found - expected, axis=1) < 20 * RTOL * scale)
    assert trajectory.stats.algebras == ((algebra, trajectory.stats.steps),)


# The two kernels differ by rounding only, so that even the steps are the same.
def test_the_kernel_of_layers_is_the_plain_one() -> None:
    layers, plain = (run("squared, two outputs", name) for name in ("layers", "kernel"))
    np.testing.assert_allclose(flat(layers.final), flat(plain.final), rtol=1e-10, atol=1e-12)
    assert layers.stats.steps == plain.stats.steps


# Oracle: the run that holds the whole Jacobian. 400 x 17 entries take more than 40 kB, and 17 x 17 do not.
def test_normal_equations_over_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_traced, "_BLOCK_BYTES", 8 * 17 * 30)  # 14 blocks of 30 rows, the last one not full
    rng = np.random.default_rng(0)
    inputs, start = rng.standard_normal((400, 2)), pair_of(rng, 2, 4)
    problem = ib.Problem(
        lambda p, X: jnp.tanh(X @ p[0] + p[1]) @ p[2] + p[3], inputs, rng.standard_normal(400)
    )
    finals = [
        ib.simulate(
            ib.GradientFlow(problem, 1e-3), start, t1=50.0,
            solver=ib.GaussNewtonRosenbrock(max_bytes=max_bytes, algebra="normal"),
        ).final
        for max_bytes in (2**20, 40_000)
    ]  # fmt: skip
    np.testing.assert_allclose(flat(finals[0]), flat(finals[1]), rtol=1e-9)


def pair_of(rng: np.random.Generator, inputs: int, width: int) -> tuple[np.ndarray, ...]:
    shapes = ((inputs, width), (width,), (width,), (1,))
    return tuple(rng.standard_normal(shape) for shape in shapes)


# Oracle: a tight run. Tenfold smaller rtol gives about tenfold smaller errors by every algebra of order 3 and more.
@pytest.mark.parametrize("algebra", [name for name in NAMES if name != "stabilised"])
def test_errors_follow_the_tolerance(algebra: str) -> None:
    expected = case_reference(CASES["squared"], 1e-2, TIMES)[-1]
    tolerances = np.array([1e-4, 1e-6, 1e-8])
    errors = [
        np.linalg.norm(flat(run("squared", algebra, rtol=rtol).final) - expected) / np.linalg.norm(expected)
        for rtol in tolerances
    ]
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert 0.7 < slope < 1.3
    assert np.all(np.array(errors) < 20 * tolerances)


# Oracle: a tight run. The method has order 2, and its error estimate of size h^3 is compared with rtol, so that errors
# are in proportion to rtol^(2/3).
def test_errors_of_stabilised_steps_follow_their_order() -> None:
    expected = case_reference(CASES["squared"], 1e-2, TIMES)[-1]
    tolerances = np.array([1e-3, 1e-4, 1e-5, 1e-6])
    errors = [apart(run("squared", "stabilised", rtol=rtol).final, expected) for rtol in tolerances]
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert 0.55 < slope < 0.8
    assert errors[0] < 10 * tolerances[0]


def apart(found: Any, expected: Any) -> float:
    return float(np.linalg.norm(flat(found) - expected) / np.linalg.norm(expected))


def test_a_lagged_factor_saves_iterations() -> None:
    rng = np.random.default_rng(0)
    inputs, start = rng.standard_normal((30, 5)), (rng.standard_normal((5, 40)), rng.standard_normal(40))
    problem = ib.Problem(lambda p, X: jnp.tanh(X @ p[0]) @ p[1], inputs, rng.standard_normal(30))
    flow = ib.GradientFlow(problem, 1e-3)
    products, lagged, direct = (
        ib.simulate(flow, start, t1=1e3, solver=name).stats for name in ("products", "lagged", "kernel")
    )
    assert products.steps == lagged.steps == direct.steps
    assert direct.iterations == 0 < lagged.iterations < 0.5 * products.iterations


# Oracle: the tableau of diffrax.
def test_the_explicit_method_is_that_of_tsitouras() -> None:
    tableau = diffrax.Tsit5.tableau
    for ours, theirs in zip(STAGES, tableau.a_lower, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    np.testing.assert_allclose(np.append(STAGES[-1], 0.0) - EMBEDDED, tableau.b_error, rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(DENSE.sum(axis=1), np.append(STAGES[-1], 0.0), atol=1e-13)
    nodes = np.array([0.0, *(sum(row) for row in STAGES)])
    # Dense output of order 4: sum_i b_i(x) c_i^q = x^(q + 1) / (q + 1) for each x.
    for q in range(4):
        expected = np.where(np.arange(4) == q, 1 / (q + 1), 0.0)
        np.testing.assert_allclose(nodes**q @ DENSE, expected, atol=1e-12)


def test_dense_output_of_the_explicit_method_is_accurate() -> None:
    case = CASES["squared"]
    trajectory = ib.simulate(
        ib.GradientFlow(case.problem()), case.start, t1=20.0, rtol=RTOL, solver="explicit"
    )
    times = np.linspace(0.1, 20.0, 40)
    expected = case_reference(case, 0.0, times)
    apart = np.abs(flat_rows(trajectory.state(times), 40) - expected).max()
    assert apart < 30 * RTOL * np.abs(expected).max()


def test_an_algebra_that_is_not_possible_is_refused() -> None:
    problem = ib.Problem(lambda p, X: jnp.sum(jnp.sin(X * p), axis=1), X, np.zeros(N))
    flow = ib.GradientFlow(problem)
    with pytest.raises(ib.InputError, match="'layers' is not possible here, because the model has no dense"):
        ib.simulate(flow, np.ones(3), t1=1.0, solver="layers")
    with pytest.raises(ib.InputError, match="'auto' or one of 'layers', 'kernel'"):
        ib.simulate(flow, np.ones(3), t1=1.0, solver="cholesky")
    small = ib.GaussNewtonRosenbrock(max_bytes=8, algebra="kernel")
    with pytest.raises(ib.InputError, match="'kernel' is not possible here, because with n k = 6"):
        ib.simulate(flow, np.ones(3), t1=1.0, solver=small)
    with pytest.raises(ib.InputError, match="'auto' or one of 'layers', 'kernel', 'normal', 'products'"):
        ib.GaussNewtonRosenbrock(algebra="explicit")
    with pytest.raises(ib.InputError, match="only a GradientFlow has a choice of algebras"):
        ib.simulate(
            ib.MirrorFlow(ib.LeastSquares(X, np.ones(N)), ib.HyperbolicEntropy(1e-2)),
            np.zeros(3),
            t1=1.0,
            solver="kernel",
        )


# Oracle: the flow in dual variables, which has no choice of algebras.
@pytest.mark.parametrize("algebra", ["kernel", "explicit"])
def test_a_diagonal_network_in_theta(algebra: str) -> None:
    problem = ib.LeastSquares(X, np.arange(N) / N).reparametrize(ib.HadamardProduct())
    flow, start = ib.GradientFlow(problem, 1e-2), (np.full(3, 0.5), np.full(3, 0.2))
    duals = ib.simulate(flow, start, t1=10.0, rtol=1e-8)
    theta = ib.simulate(flow, start, t1=10.0, rtol=1e-8, solver=algebra)
    assert duals.stats.algebras == ()
    assert theta.stats.algebras[0][0] == algebra
    np.testing.assert_allclose(flat(theta.final), flat(duals.final), rtol=1e-6)


def test_the_algebra_is_kept_in_a_file(tmp_path: Any) -> None:
    trajectory = run("squared", "products")
    trajectory.save(tmp_path / "run.npz")
    assert ib.Trajectory.load(tmp_path / "run.npz").stats == trajectory.stats


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the choice by cost apply to small problems, too, and look for better algebras all the time."""
    monkeypatch.setattr(_algebra_choice, "SMALL", 0.0)
    monkeypatch.setattr(_algebra_choice, "_REGRET", 1e-4)


# Oracle: SciPy's DOP853. The choice depends on times, the answer does not.
@pytest.mark.usefixtures("measuring")
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_the_choice_does_not_change_the_flow(weight_decay: float) -> None:
    trajectory = run("squared, two outputs", None, weight_decay)
    expected = case_reference(CASES["squared, two outputs"], weight_decay, TIMES)
    found = flat_rows(trajectory.state(TIMES), len(TIMES))
    assert np.linalg.norm(found - expected) < 20 * RTOL * np.linalg.norm(expected)
    assert sum(count for _, count in trajectory.stats.algebras) == trajectory.stats.steps


class Model:
    """A choice of algebras whose measurements the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, end: float, radius: float, **seconds: float) -> None:
        self.radius = radius
        monkeypatch.setattr(_algebra_choice, "SMALL", 0.0)
        monkeypatch.setattr(_algebra_choice, "radius_at", lambda system, u: self.radius)
        monkeypatch.setattr(_algebra_choice, "_seconds", lambda function, *_: 1e-3)
        case, found = CASES["squared, two outputs"], []

        class Stop(Exception):
            pass

        def caught(self: AlgebraChoice, system: Any) -> Way:
            found.append(self)
            raise Stop

        with monkeypatch.context() as patch:
            patch.setattr(AlgebraChoice, "first", caught)
            with pytest.raises(Stop):
                ib.simulate(ib.GradientFlow(case.problem()), case.start, t1=end)
        self.choice: AlgebraChoice = found[0]
        self.choice.measured.update(seconds)
        self.choice.radius = radius
        with double_precision():
            self.way = self.choice.first(self.choice.system)

    def after(self, attempts: int, covered: float, seconds: float, t: float) -> str:
        """Return the name of the algebra after a part of the integration with this cost."""
        u = np.ones(len(flat(CASES["squared, two outputs"].start)) + 2 * N)
        cursor = cursor_at(t, u, covered / attempts)
        with double_precision():
            self.way = self.choice.next(self.way, Report(cursor, attempts, covered, seconds))
        return self.way.name


def cursor_at(t: float, u: np.ndarray, h: float) -> Cursor:
    return Cursor(
        np.asarray(t),
        u,
        np.asarray(h),
        np.asarray(0),
        np.asarray(True),
        np.asarray(0),
        (),
        np.asarray(h),
    )


SLOW = dict.fromkeys(("layers", "kernel", "normal", "lagged", "nystrom"), 10.0)


# A flow of 10 time units of the fastest mode: 6 gradients a step are cheaper than any linear solve.
def test_a_flow_that_is_not_stiff_begins_explicit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(monkeypatch, end=10.0, radius=1.0, **SLOW)
    assert model.way.name == "explicit"
    assert model.after(64, 5.0, 0.4, t=5.0) == "explicit"


# The curvature grows 1e5 times on the way: the explicit method would then need 3e5 steps for the rest.
def test_the_explicit_method_is_left_when_stiffness_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(monkeypatch, end=10.0, radius=1.0, **SLOW | {"layers": 0.02})
    assert model.way.name == "explicit"
    model.radius = 1e5
    assert model.after(64, 64 * 2e-5, 0.4, t=1.0) == "layers"


# With a step of 0.02 s for the factorisation and 6 ms for the explicit method, a flow over 1e6 units is stiff.
def test_a_stiff_flow_begins_with_the_cheapest_factorisation(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(
        monkeypatch, end=1e6, radius=1.0, layers=0.02, kernel=0.1, normal=1.0, lagged=0.1, nystrom=0.1
    )
    assert model.way.name == "layers"


# Late in a flow with weight decay, factorised steps are as long as before, and stabilised ones have grown. The measured
# times favour the factorisation at equal steps, but not in the time that they cover.
def test_steps_that_stay_short_are_left_for_those_that_were_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(monkeypatch, end=1e6, radius=1.0, **SLOW | {"layers": 0.03})
    stabilised = model.choice._way("stabilised")
    model.way = stabilised
    assert model.after(20, 20 * 1e3, 20 * 0.05, t=1e5) == "stabilised"
    model.way = model.choice._way("layers")
    model.choice.patience = 0.1
    assert model.after(20, 20 * 50.0, 20 * 0.03, t=1.01e5) == "stabilised"
    assert model.after(20, 20 * 1e3, 20 * 0.05, t=1.2e5) == "stabilised"


# Oracle: a dense Hessian. The Gauss-Newton part alone would be too small for the stages of a stabilised step.
def test_the_curvature_of_stabilised_steps_is_that_of_the_model_too() -> None:
    case = CASES["squared, two outputs"]
    problem = case.problem()
    shape, theta = problem.checked_params(case.start)
    with double_precision():
        objective = problem.double_objective
        predictor = traced(objective.readout)
        limits = Limits(end=1.0, rtol=1e-4, max_steps=10)
        system, u = gauss_newton_system(predictor, objective.mean_loss, shape, theta, 1e-2, limits)

        def loss(point: Any) -> Any:
            return objective.mean_loss.value(predictor(shape.unflatten(point)))

        hessian = np.asarray(jax.hessian(loss)(jnp.asarray(theta))) + 1e-2 * np.eye(len(theta))
        vector = np.cos(np.arange(len(theta)))
        found = np.asarray(system.hessian_product(jnp.asarray(u))(jnp.asarray(vector)))
    np.testing.assert_allclose(found, hessian @ vector, rtol=1e-10)


# A factorisation that turns out to take 5 s is left for the normal equations, which take 0.1 s.
def test_a_factorisation_that_is_slower_than_expected_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(
        monkeypatch, end=1e6, radius=1.0, layers=0.02, kernel=5.0, normal=0.1, lagged=5.0, nystrom=5.0
    )
    assert model.way.name == "layers"
    assert model.after(4, 4e4, 20.0, t=4e4) == "normal"


# On a processor the load of the machine changes times by less than this factor, and a wrong count by more.
@pytest.mark.parametrize(("factor", "trusted"), [(0.3, 1.0), (3.0, 1.0), (20.0, 20.0)])
def test_times_replace_counts_only_where_they_differ_much(
    monkeypatch: pytest.MonkeyPatch, factor: float, trusted: float
) -> None:
    model = Model(monkeypatch, end=1e6, radius=1.0, kernel=10.0, normal=10.0, lagged=10.0, nystrom=10.0)
    model.way = model.choice._way("layers")
    counted = model.choice.cost("layers", 1.0)
    model.after(4, 4e4, 4 * factor * counted, t=4e4)
    assert model.choice.measured["layers"] == pytest.approx(trusted * counted)
