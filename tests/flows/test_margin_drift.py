"""The norm drift under margins against small steps of its definition, and what it keeps."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.oracles.drift import swept

_rng = np.random.default_rng(0)
X = _rng.standard_normal((6, 10))
Y = np.sign(X[:, 0] + X[:, 1])
LEVEL = 12.0
DIFFERENCE = ib.Classification(X, Y, "exponential").reparametrize(ib.SquareDifference())


def margins(theta: ndarray) -> ndarray:
    u, v = theta[:10], theta[10:]
    return Y * (X @ (u**2 - v**2))


def jacobian(theta: ndarray) -> ndarray:
    u, v = theta[:10], theta[10:]
    return 2 * Y[:, None] * np.hstack([X * u, -X * v])


def flat(state: Any) -> ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in state])


@pytest.fixture(scope="module")
def start() -> Any:
    ones = np.ones(10)
    flow = ib.GradientFlow(DIFFERENCE)
    return ib.simulate(flow, (ones, ones), log_t1=LEVEL).final


@pytest.fixture(scope="module")
def drift(start: Any) -> ib.Trajectory:
    return ib.simulate(ib.NormDrift(DIFFERENCE, margin=LEVEL), start, t1=8.0, rtol=1e-6)


# Oracle: the catching-up scheme in theta, of first order in its step, so that its error is halved with the step.
def test_it_follows_the_catching_up_scheme(drift: ib.Trajectory) -> None:
    times = np.array([0.3, 1.0, 2.0, 4.0])
    ours = np.stack([flat(drift.state(t)) for t in times])
    coarse, fine = (swept(margins, jacobian, flat(drift.state(0.0)), LEVEL, times, n) for n in (250, 500))
    extrapolated = 2 * fine - coarse
    np.testing.assert_allclose(ours, extrapolated, atol=2e-4)
    assert np.max(np.abs(ours - fine)) < 0.7 * np.max(np.abs(ours - coarse))
    assert drift.stats.events >= 3
    assert drift.stats.steps < 60


def test_margins_stay_and_pulls_do_not_undo(drift: ib.Trajectory) -> None:
    times = np.linspace(0.0, 8.0, 200)
    states = np.stack([flat(drift.state(t)) for t in times])
    found = np.stack([margins(theta) for theta in states])
    # Dense output is less accurate than the ends of steps.
    assert np.min(found) > LEVEL * (1.0 - 1e-5)
    ends = np.stack([margins(flat(drift.state(t))) for t in drift.times])
    assert np.min(ends) > LEVEL * (1.0 - 1e-8)
    # z = Z^T nu, and Z has independent rows.
    nu = np.linalg.lstsq((Y[:, None] * X).T, np.stack([drift.dual(t) for t in times]).T, rcond=None)[0].T
    change = np.diff(nu, axis=0)
    assert np.min(change) > -1e-6 * np.max(nu)
    free = np.minimum(found[1:], found[:-1]) > LEVEL * (1.0 + 1e-4)
    assert np.any(free)
    assert np.max(np.abs(change[free])) < 1e-6 * np.max(nu)
    norms = np.linalg.norm(states, axis=1)
    assert np.all(np.diff(norms) <= 1e-9 * norms[0])


# Oracle: the linear program of the largest l_1 margin.
def test_it_ends_at_the_largest_l1_margin(drift: ib.Trajectory) -> None:
    exact = ib.max_margin(DIFFERENCE.problem, "l1")
    late = ib.simulate(ib.NormDrift(DIFFERENCE, margin=LEVEL), drift.final, t1=200.0)
    u, v = late.final
    np.testing.assert_allclose((u**2 - v**2) / LEVEL, exact.point, atol=1e-7)
    assert ib.certify(DIFFERENCE, late.final, ib.MinParameterNorm()).holds
    assert "order of 1 / 12" in late.notes[0]


# Oracle: by hand. Above the level no row pulls, and theta decays like e^-tau.
def test_margins_above_the_level_decay_freely(start: Any) -> None:
    large = tuple(3.0 * leaf for leaf in start)
    least = np.min(margins(flat(large)))
    reached = np.log(least / LEVEL) / 2
    drift = ib.simulate(ib.NormDrift(DIFFERENCE, margin=LEVEL), large, t1=2.0, rtol=1e-6)
    np.testing.assert_allclose(
        flat(drift.state(0.9 * reached)), flat(large) * np.exp(-0.9 * reached), rtol=1e-6
    )
    after = margins(flat(drift.state(1.01 * reached)))
    np.testing.assert_allclose(np.min(after), LEVEL, rtol=1e-6)
    np.testing.assert_allclose(drift.times[np.argmin(np.abs(drift.times - reached))], reached, rtol=1e-8)


# Oracle: by hand. The signed rows (1, 0), (-1, 0) have the combination 0.
def test_inseparable_data_are_refused_with_a_proof() -> None:
    mixed = ib.Classification([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1, -1, 1]).reparametrize(
        ib.HadamardProduct()
    )
    start = (np.ones(2), np.ones(2))
    with pytest.raises(ib.InfeasibleError, match="no linear classifier separates the data") as caught:
        ib.simulate(ib.NormDrift(mixed, margin=LEVEL), start, t1=1.0)
    assert caught.value.certificate.holds
    np.testing.assert_allclose(caught.value.combination, [0.5, 0.5, 0.0], atol=1e-12)


# Oracle: one of two equal rows alone. Rows that depend on each other share their pull.
def test_dependent_rows(start: Any, drift: ib.Trajectory) -> None:
    twice = np.vstack([X, X[:1]])
    problem = ib.Classification(twice, np.append(Y, Y[0]), "exponential").reparametrize(ib.SquareDifference())
    found = ib.simulate(ib.NormDrift(problem, margin=LEVEL), start, t1=8.0, rtol=1e-6)
    assert found.status.ok
    np.testing.assert_allclose(flat(found.final), flat(drift.final), atol=1e-5)


def three_classes(theta: Any, X: Any) -> jax.Array:
    W, V = theta
    return (X @ W) ** 2 @ V


# Oracle: the catching-up scheme again, with margins of three classes of a network and their Jacobian by hand.
def test_a_network_with_three_classes() -> None:
    rng = np.random.default_rng(1)
    inputs, labels = rng.standard_normal((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    problem = ib.Problem(three_classes, inputs, labels, "cross_entropy")
    W = rng.standard_normal((3, 12))
    V = np.linalg.lstsq((inputs @ W) ** 2, 20.0 * np.eye(3)[labels], rcond=None)[0]
    others = np.array([[c for c in range(3) if c != label] for label in labels])
    rows = np.arange(6)

    def scores(theta: ndarray) -> tuple[ndarray, ndarray]:
        hidden = inputs @ theta[:36].reshape(3, 12)
        return hidden, theta[36:].reshape(12, 3)

    def values(theta: ndarray) -> ndarray:
        hidden, out = scores(theta)
        f = hidden**2 @ out
        return (f[rows, labels][:, None] - f[rows[:, None], others]).ravel()

    def slopes(theta: ndarray) -> ndarray:
        hidden, out = scores(theta)
        found = []
        for i in rows:
            for c in others[i]:
                inner = np.outer(inputs[i], 2 * hidden[i] * (out[:, labels[i]] - out[:, c]))
                outer = np.outer(hidden[i] ** 2, np.eye(3)[labels[i]] - np.eye(3)[c])
                found.append(np.concatenate([inner.ravel(), outer.ravel()]))
        return np.array(found)

    drift = ib.simulate(ib.NormDrift(problem, margin=15.0), (W, V), t1=1.0, rtol=1e-6)
    assert drift.status.ok
    assert drift.stats.held >= 3
    times = np.array([0.2, 0.5, 1.0])
    coarse, fine = (swept(values, slopes, flat(drift.state(0.0)), 15.0, times, n) for n in (500, 1000))
    ours = np.stack([flat(drift.state(t)) for t in times])
    np.testing.assert_allclose(ours, 2 * fine - coarse, atol=2e-4)
    assert np.min(values(flat(drift.final))) > 15.0 * (1 - 1e-6)


def test_a_run_goes_on_from_its_checkpoint(start: Any, tmp_path: Path) -> None:
    flow, file = ib.NormDrift(DIFFERENCE, margin=LEVEL), tmp_path / "run.npz"

    def interrupt(fraction: float, text: str) -> None:
        raise KeyboardInterrupt

    whole = ib.simulate(flow, start, t1=3.0)
    cut = ib.simulate(flow, start, t1=3.0, checkpoint=file, progress=interrupt)
    assert cut.status.name == "INTERRUPTED"
    again = ib.simulate(flow, start, t1=3.0, checkpoint=file)
    np.testing.assert_array_equal(flat(again.final), flat(whole.final))
    assert again.stats.events == whole.stats.events


def test_few_steps_end_early(start: Any) -> None:
    flow = ib.NormDrift(DIFFERENCE, margin=LEVEL)
    assert ib.simulate(flow, start, t1=8.0, max_steps=9).status.name == "MAX_STEPS"
    assert repr(flow).endswith("margin=12)")


@pytest.mark.parametrize("margin", [0.0, -1.0, np.inf, np.nan, True, "large"])
def test_margins_that_are_refused(margin: Any) -> None:
    with pytest.raises(ib.InputError, match=r"margin is .* a positive, finite number is expected"):
        ib.NormDrift(DIFFERENCE, margin=margin)


def test_other_losses_and_starts_are_refused(start: Any) -> None:
    with pytest.raises(ib.InputError, match="only the losses 'logistic'"):
        ib.NormDrift(ib.LeastSquares(X, Y), margin=3.0)
    with pytest.raises(ib.InputError, match=r"ib.NormDrift\(problem, margin="):
        ib.NormDrift(DIFFERENCE)
    ones = np.ones(10)
    with pytest.raises(ib.InputError, match=r"6 of 6 margins of the start are not positive.*log_t1=12"):
        ib.simulate(ib.NormDrift(DIFFERENCE, margin=LEVEL), (ones, ones), t1=1.0)


# Oracle: by hand: the margins of tanh are below 1. Steps to an event where pulls overflow must not be taken.
def test_a_level_that_the_model_cannot_reach() -> None:
    signs = np.resize([1.0, -1.0], 30)
    rows = np.column_stack([signs, np.random.default_rng(0).standard_normal(30)])
    problem = ib.Problem(lambda w, X: jnp.tanh(X @ w), rows, signs, "logistic")
    words = r"they stop at 1\. The likely cause is a model whose margins are bounded"
    with np.errstate(invalid="raise"), pytest.raises(ib.InputError, match=words):
        ib.simulate(ib.NormDrift(problem, margin=8.0), np.array([3.0, 0.0]), t1=1.0, max_steps=2000)
