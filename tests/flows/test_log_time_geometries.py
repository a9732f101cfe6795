"""Mirror flows in log time for steep potentials, several classes, extreme starts, and data at the limits of float64."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib

TIMES = np.array([0.03, 1.0, 30.0, 1000.0])


def separable(n: int = 40, d: int = 10, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    teacher = rng.standard_normal(d)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ teacher)


def three_classes() -> ib.Classification:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 5))
    labels = np.argmax(X @ rng.standard_normal((5, 3)), axis=1)
    return ib.Classification(X, labels, loss="cross_entropy")


# Oracle: SciPy's Radau in plain time, in dual variables.
@pytest.mark.parametrize("potential", [ib.Cosh(), 0.5 * ib.Cosh()], ids=["cosh", "half"])
def test_plain_time_gives_the_same_for_steep_potentials(potential: ib.Potential) -> None:
    X, y = separable(15)
    start = np.linspace(0.2, 0.7, 10)

    def field(_: float, z: ndarray) -> ndarray:
        return (np.exp(-y * (X @ potential.inverse_mirror(z))) * y) @ X / len(y)

    plain = solve_ivp(
        field, (0.0, 1000.0), potential.mirror(start), method="LSODA", t_eval=TIMES, rtol=1e-9, atol=1e-11
    )
    expected = np.array([potential.inverse_mirror(z) for z in plain.y.T])
    flow = ib.MirrorFlow(ib.Classification(X, y, loss="exponential"), potential)
    run = ib.simulate(flow, start, t1=1000.0, rtol=1e-6)
    np.testing.assert_allclose(run.state(TIMES), expected, rtol=0, atol=3e-4)


# Oracle: mpmath, for one margin w with (d / dt) h'(w) = e^-w from 0: t is the integral of h''(u) e^u.
@pytest.mark.parametrize("p", [3.0, 10.0])
def test_l_p_from_zero_where_the_curvature_is_zero(p: float) -> None:
    problem = ib.Classification([[1.0], [-1.0]], [1, -1], loss="exponential")
    run = ib.simulate(ib.MirrorFlow(problem, ib.PNorm(p)), [0.0], log_t1=100.0, rtol=1e-7)
    assert run.status is ib.Status.REACHED_TIME
    for w in (0.3, 2.0, 20.0):
        with mpmath.workdps(30):
            t = mpmath.quad(lambda u: (p - 1) * u ** (p - 2) * mpmath.exp(u), [0, w / 2, w])
            log_t = float(mpmath.log(t))
        np.testing.assert_allclose(run.state(log_t=log_t), [w], rtol=1e-3)


# Oracle: by hand: cosh(w) w' = e^-w from 0 gives t = (e^(2 w) - 1) / 4 + w / 2.
@pytest.mark.parametrize("log_t", [-3.0, 2.0, 100.0, 23_000.0])
def test_cosh_of_one_margin(log_t: float) -> None:
    problem = ib.Classification([[1.0], [-1.0]], [1, -1], loss="exponential")
    run = ib.simulate(ib.MirrorFlow(problem, ib.Cosh()), [0.0], log_t1=log_t, rtol=1e-7)
    w = float(run.final[0])
    if log_t > 50.0:
        assert w == pytest.approx((log_t + np.log(4.0)) / 2.0, rel=1e-5)
    else:
        assert np.expm1(2 * w) / 4 + w / 2 == pytest.approx(np.exp(log_t), rel=1e-4)


# Oracle: the largest margin in the l_infinity norm, and the law ln t = (1 + margin) max |w| of theory.
def test_cosh_follows_its_law_far_beyond_the_overflow_of_its_dual_variable() -> None:
    X, y = separable()
    problem = ib.Classification(X, y, loss="exponential")
    largest = ib.max_margin(problem, "linf").margin
    margin = ib.diagnostics.margin_in(problem, ib.gauges.LInf())
    run = ib.simulate(ib.MirrorFlow(problem, ib.Cosh()), np.zeros(10), log_t1=23_000.0)
    assert run.status is ib.Status.REACHED_TIME
    logs = np.array([300.0, 3000.0, 23_000.0])
    states = run.state(log_t=logs)
    gaps = np.array([1.0 - margin(0.0, w) / largest for w in states])
    assert np.all(gaps > 0.0)
    # The gap falls like 1 / ln t.
    slope = np.polyfit(np.log(logs), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.05)
    ratios = logs / ((1.0 + largest) * np.max(np.abs(states), axis=1))
    np.testing.assert_allclose(ratios, 1.0, atol=0.01)
    assert abs(ratios[2] - 1.0) < 1e-3
    assert np.all(np.isfinite(run.final))
    assert np.max(np.abs(run.final)) > 1e4


# Oracle: SciPy's Radau in plain time, with the softmax by NumPy.
@pytest.mark.parametrize(
    "potential",
    [ib.SquaredNorm(), ib.HyperbolicEntropy(scale=0.1), ib.Cosh()],
    ids=["l2", "hypentropy", "cosh"],
)
def test_several_classes_in_plain_time(potential: ib.Potential) -> None:
    problem = three_classes()
    X, onehot = np.asarray(problem.X), np.eye(3)[problem.y]
    start = 0.1 * np.random.default_rng(1).standard_normal((5, 3))

    def field(_: float, z: ndarray) -> ndarray:
        q = np.exp(X @ potential.inverse_mirror(z).reshape(5, 3))
        return (X.T @ (onehot - q / q.sum(axis=1, keepdims=True)) / 12).ravel()

    plain = solve_ivp(
        field,
        (0.0, 1000.0),
        potential.mirror(start.ravel()),
        method="Radau",
        t_eval=TIMES,
        rtol=1e-8,
        atol=1e-10,
    )
    expected = np.array([potential.inverse_mirror(z) for z in plain.y.T]).reshape(-1, 5, 3)
    run = ib.simulate(ib.MirrorFlow(problem, potential), start, t1=1000.0, rtol=1e-6)
    np.testing.assert_allclose(run.state(TIMES), expected, rtol=0, atol=1e-4)


# Oracle: the certified classifier of largest margin of Crammer and Singer.
def test_several_classes_converge_to_the_largest_margin() -> None:
    problem = three_classes()
    limit = ib.max_margin(problem, "l2")
    run = ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), np.zeros((5, 3)), log_t1=23_000.0)
    assert run.status is ib.Status.REACHED_TIME
    assert run.final.shape == (5, 3)
    assert ib.diagnostics.distance_to(limit)(0.0, run.final) < 1e-3
    np.testing.assert_allclose(run.final.sum(axis=1), 0.0, atol=1e-8 * np.abs(run.final).max())


# Law: two classes of the cross-entropy give the logistic loss of the difference of the two columns.
def test_two_classes_of_the_cross_entropy_are_logistic() -> None:
    X, y = separable()
    many = ib.Classification(X, y, loss="cross_entropy")
    two = ib.simulate(ib.MirrorFlow(many, ib.SquaredNorm()), np.zeros((10, 2)), log_t1=200.0, rtol=1e-6)
    # The difference moves at twice the speed of each column.
    flow = ib.MirrorFlow(ib.Classification(X, y), 0.5 * ib.SquaredNorm())
    one = ib.simulate(flow, np.zeros(10), log_t1=200.0, rtol=1e-6)
    np.testing.assert_allclose(two.final[:, 1] - two.final[:, 0], one.final, rtol=1e-4)


def test_partly_separable_data_say_what_happened_and_what_to_type() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.3, 1.0], [0.3, 1.0], [-0.3, -1.0]])
    problem = ib.Classification(rows, [1, 1, 1, 1, -1, 1], loss="exponential")
    run = ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), np.zeros(2), log_t1=1000.0, max_steps=2000)
    assert run.status is ib.Status.ROUNDING
    assert not run.status.ok
    (note,) = run.notes
    assert "ln t = " in note
    assert "ib.max_margin(problem, potential)" in note
    assert 25.0 < run.log_times[-1] < 40.0
    with pytest.raises(ib.InfeasibleError) as caught:
        ib.max_margin(problem, ib.SquaredNorm())
    combination = caught.value.combination
    np.testing.assert_allclose((combination * problem.y) @ rows, 0.0, atol=1e-12)


def test_margins_beyond_the_digits_of_float64_say_so() -> None:
    X, y = separable()
    flow = ib.MirrorFlow(ib.Classification(X, y, loss="exponential"), ib.SquaredNorm())
    run = ib.simulate(flow, np.zeros(10), log_t1=1e300)
    assert run.status is ib.Status.ROUNDING
    assert "rounding errors of the margins" in run.notes[0]
    assert run.log_times[-1] > 1e12


# Law: a start with margins of 1e5, right or wrong, overflows nothing, and at ln t = 23 000 the margin is near ln t.
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    "potential",
    [ib.SquaredNorm(), ib.HyperbolicEntropy(scale=0.1), ib.Cosh(), ib.PNorm(3.0)],
    ids=["l2", "hypentropy", "cosh", "p3"],
)
def test_starts_with_margins_of_1e5(potential: ib.Potential, sign: float) -> None:
    X = 1e3 * np.random.default_rng(0).standard_normal((12, 5))
    problem = ib.Classification(X, np.where(X[:, 0] > 0, 1, -1))
    start = sign * 100.0 * np.eye(5)[0]
    assert np.max(np.abs(problem.margins(start))) > 1e5
    run = ib.simulate(ib.MirrorFlow(problem, potential), start, log_t1=23_000.0)
    assert run.status is ib.Status.REACHED_TIME
    assert np.min(problem.margins(run.final)) == pytest.approx(23_000.0, rel=5e-3)


def test_a_diffrax_term_of_several_classes_is_refused() -> None:
    flow = ib.MirrorFlow(three_classes(), ib.SquaredNorm())
    with pytest.raises(ib.InputError, match=r"w of shape \(5, 3\).*ib.simulate"):
        flow.term()


def test_the_matrix_of_a_steep_potential_stays_within_its_budget() -> None:
    flow = ib.MirrorFlow(ib.Classification(*separable()), ib.Cosh())
    with pytest.raises(ib.ImplicitBiasError, match=r"max_bytes=800"):
        ib.simulate(flow, np.zeros(10), t1=1.0, solver=ib.GaussNewtonRosenbrock(max_bytes=100))


# Oracle: the same potential as a sum that the library composes, whose mirror map has formulas.
def test_a_potential_from_a_function() -> None:
    X, y = separable(20, 3)
    A = np.array([[1.0, 0.6, 0.0], [-0.3, 1.0, 0.2], [0.0, 0.1, 1.0]])
    own = ib.Potential.from_function(
        lambda w: jnp.sum(jnp.abs(A @ w) ** 3) / 3.0 + 0.5 * jnp.sum(w**2), dimension=3
    )
    known = ib.PNorm(3).compose(A) + ib.SquaredNorm()
    problem = ib.Classification(X, y, loss="exponential")
    runs = [
        ib.simulate(ib.MirrorFlow(problem, phi), np.zeros(3), log_t1=300.0, rtol=1e-7) for phi in (own, known)
    ]
    assert all(run.status is ib.Status.REACHED_TIME for run in runs)
    np.testing.assert_allclose(runs[0].final, runs[1].final, rtol=1e-5)
