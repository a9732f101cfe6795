"""Steepest descent in a gauge: its directions by hand, its margins against linear and quadratic programs, its rates."""

import cvxpy
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib

GAUGES = {"l1": ib.gauges.L1(), "l2": ib.gauges.L2(), "linf": ib.gauges.LInf(), "l3": ib.gauges.Lp(3.0)}
NORMS = {"l1": 1, "l2": 2, "linf": "inf", "l3": 3}


def separable(n: int = 30, d: int = 6) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ rng.standard_normal(d))


# Oracle: the formulas of normalised gradient, sign and coordinate descent, one step after another.
@pytest.mark.parametrize("kind", ["l1", "l2", "linf"])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_steps_by_hand(kind: str, loss: str) -> None:
    X, y = separable()
    descent = ib.SteepestDescent(ib.Classification(X, y, loss=loss), GAUGES[kind], step_size=0.3)
    w = np.zeros(6)
    for k in range(20):
        m = y * (X @ w)
        slope = np.exp(-m) if loss == "exponential" else 1.0 / (1.0 + np.exp(m))
        g = (slope * y) @ X
        largest = np.argmax(np.abs(g))
        v = {
            "l1": np.where(np.arange(6) == largest, np.sign(g), 0.0),
            "l2": g / np.linalg.norm(g),
            "linf": np.sign(g),
        }[kind]
        w = w + 0.3 / np.sqrt(k + 1) * v
    run = ib.simulate(descent, np.zeros(6), t1=descent.time(20))
    assert run.stats.steps == 20
    np.testing.assert_allclose(run.final, w, rtol=1e-12, atol=1e-13)
    assert run.times[-1] == pytest.approx(0.3 * np.sum(np.arange(1, 21) ** -0.5), rel=1e-14)


# Oracle: cvxpy for the largest margin of each gauge; theory: the gap is at most ln(n) / s plus the share of the steps.
@pytest.mark.parametrize("kind", GAUGES)
def test_the_margin_tends_to_the_largest_one(kind: str) -> None:
    X, y = separable()
    problem, rows = ib.Classification(X, y, loss="exponential"), y[:, None] * X
    v = cvxpy.Variable(6)
    size = cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(v, NORMS[kind])), [rows @ v >= 1]).solve(solver="CLARABEL")
    largest = 1.0 / size
    descent = ib.SteepestDescent(problem, GAUGES[kind], step_size=0.1)
    margin = ib.diagnostics.margin_in(problem, GAUGES[kind])
    run = ib.simulate(descent, np.zeros(6), t1=descent.time(5_000), observe={"margin": margin})
    late = run.times > 3.0
    gaps, times = largest - run.observables["margin"][late], run.times[late]
    assert np.all(gaps > -1e-7)
    # On a path of length s, a step of size eta costs at most eta^2 max ||x_i||^2 / 2 in ln L (the dual norm of x_i).
    dual = max(GAUGES[kind].polar().value(row) for row in rows)
    steps = np.searchsorted(descent._times(5_000), times * (1 - 1e-12))
    lost = 0.5 * dual**2 * np.cumsum(np.diff(descent._times(5_000)) ** 2)[np.maximum(steps - 1, 0)]
    assert np.all(gaps <= (np.log(30) + lost) / times)
    assert gaps[-1] < 0.5 * gaps[0]


def test_chosen_times_and_long_paths() -> None:
    X, y = separable()
    problem = ib.Classification(X, y)
    descent = ib.SteepestDescent(problem, ib.gauges.L2(), step_size=1e4, decay=0.0)
    run = ib.simulate(descent, np.zeros(6), times=[0.0, 3.1e4, 9.9e5])
    assert run.times.tolist() == [0.0, 3e4, 9.9e5]
    assert run.stats.steps == 99
    assert np.all(np.isfinite(run.final))  # the gradient itself is 0 in float64
    assert np.linalg.norm(run.final) > 1e3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2), ib.gauges.L2()), "a Classification and a Gauge"),
        ((ib.Classification(np.eye(2), [1, -1]), "l2"), "a Classification and a Gauge"),
        ((ib.Classification(np.eye(2), [1, -1]), ib.gauges.L2(), 0.0), "step_size is 0.0"),
        (
            (ib.Classification(np.eye(2), [1, -1]), ib.gauges.L2(), 1.0, 1.0),
            r"decay is 1.0, a number in \[0, 1\)",
        ),
        ((ib.Classification(np.eye(2), [1, -1]), ib.gauges.WeightedL1([1.0])), "w has shape"),
    ],
)
def test_bad_input(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ib.InputError, match=message):
        ib.SteepestDescent(*arguments)


def test_too_many_steps_are_refused() -> None:
    descent = ib.SteepestDescent(ib.Classification(np.eye(2), [1, -1]), ib.gauges.L2(), step_size=1e-6)
    with pytest.raises(ib.InputError, match=r"descent.time\(100_000\)"):
        ib.simulate(descent, np.zeros(2), t1=1e3)


# Oracle: the gradient of the cross-entropy by NumPy, and U V^T of its singular value decomposition.
def test_spectral_descent_on_several_classes() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 5))
    labels = np.argmax(X @ rng.standard_normal((5, 3)), axis=1)
    problem = ib.Classification(X, labels, loss="cross_entropy")
    descent = ib.SteepestDescent(problem, ib.gauges.Spectral(), step_size=0.5)
    w = np.zeros((5, 3))
    for k in range(5):
        p = np.exp(X @ w)
        p /= p.sum(axis=1, keepdims=True)
        U, _, V = np.linalg.svd(X.T @ (np.eye(3)[labels] - p), full_matrices=False)
        # The columns of the gradient sum to 0, so its rank is 2, and the third singular vectors do not count.
        w = w + 0.5 / np.sqrt(k + 1) * U[:, :2] @ V[:2]
    run = ib.simulate(descent, np.zeros((5, 3)), t1=descent.time(5))
    np.testing.assert_allclose(run.final, w, atol=1e-10)
    limit = ib.max_margin(problem, ib.gauges.Spectral())
    late = ib.simulate(descent, np.zeros((5, 3)), t1=descent.time(3000))
    size = ib.gauges.Spectral().value(late.final)
    margin = float(np.min(problem.margins(late.final))) / size
    assert 0.9 * limit.margin < margin <= limit.margin * (1 + 1e-9)


# Oracle: NumPy with margins that float64 can hold, and the leading term beyond.
@pytest.mark.parametrize("loss", ["exponential", "logistic", "cross_entropy"])
def test_row_weights_and_log_of_loss(loss: str) -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((9, 4))
    many = loss == "cross_entropy"
    labels = np.arange(9) % 3 if many else np.where(np.arange(9) % 2 == 0, 1, -1)
    problem = ib.Classification(X, labels, loss=loss)
    w = rng.standard_normal(problem.predictor_shape)
    weights = problem.row_weights(w)
    assert np.max(np.abs(weights)) == pytest.approx(1.0)
    if many:
        p = np.exp(X @ w) / np.exp(X @ w).sum(axis=1, keepdims=True)
        expected = np.eye(3)[labels] - p
    else:
        m = problem.y * (X @ w)
        expected = problem.y * (np.exp(-m) if loss == "exponential" else 1.0 / (1.0 + np.exp(m)))
    np.testing.assert_allclose(weights, expected / np.max(np.abs(expected)), rtol=1e-12)
    assert problem.log_of_loss(w) == pytest.approx(np.log(problem.loss(w)), rel=1e-12)
    if many:
        far = 1e5 * np.linalg.lstsq(X[:4], np.eye(3)[labels[:4]], rcond=None)[0]
        few = ib.Classification(X[:4], labels[:4], loss=loss)
        assert few.log_of_loss(far) == pytest.approx(-float(np.min(few.margins(far))), rel=1e-4)
        assert np.all(np.isfinite(few.row_weights(far)))


@pytest.mark.parametrize(("decay", "t1"), [(0.9999, 1e3), (0.5, 1e300), (0.0, 1e200)])
def test_an_end_that_takes_too_many_steps(decay: float, t1: float) -> None:
    descent = ib.SteepestDescent(ib.Classification(*separable()), ib.gauges.L2(), decay=decay)
    with pytest.raises(ib.InputError, match="at most 1e\\+08 are possible"):
        ib.simulate(descent, np.zeros(6), t1=t1)


@pytest.mark.parametrize("gauge", [ib.gauges.Weighted(ib.gauges.LInf(), 1e-140), ib.gauges.L2()], ids=repr)
def test_an_overflow_ends_the_run_at_the_last_finite_state(gauge: ib.gauges.Gauge) -> None:
    problem = ib.Classification([[100.0, 1.0], [-100.0, 1.0]], [1, -1], loss="exponential")
    # A point of gauge 1 has the size 1e140 in the first gauge, so that w overflows; in the second one its margins do.
    largest = 1.0 / gauge.value([1.0, 0.0])
    descent = ib.SteepestDescent(problem, gauge, step_size=0.4e308 / largest, decay=0.0)
    trajectory = ib.simulate(descent, np.zeros(2), t1=descent.time(2))
    assert trajectory.status is ib.Status.NOT_FINITE
    assert np.all(np.isfinite(trajectory.final))
    assert any("smaller step_size" in note for note in trajectory.notes)
