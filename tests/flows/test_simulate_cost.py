"""Tests of the cost of a simulation: precision scope, compilations and steps; and that no jump is missed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.diagnostics import jump_times

SHAPE = (12, 30)
ZERO = np.zeros(30)


def gaussian(seed: int) -> ib.LeastSquares:
    rng = np.random.default_rng(seed)
    return ib.LeastSquares(rng.standard_normal(SHAPE), rng.standard_normal(12))


def simulated(
    problem: ib.LeastSquares, exponent: float, slow_time: float, rtol: float = 1e-4
) -> tuple[float, ib.Trajectory]:
    """Return ln(1/alpha) and the trajectory of the flow from alpha = 10^-exponent to the given slow time."""
    size = exponent * np.log(10.0)
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * size))
    return size, ib.simulate(flow, np.zeros(problem.shape[1]), t1=slow_time * size, rtol=rtol)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """Return the messages of JAX's log of compilations."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "Compiling" in record.getMessage():
                found.append(record.getMessage())

    handler, logger = Handler(), logging.getLogger("jax")
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with jax.log_compiles():
            yield found
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)


# Oracle: JAX's log. Seed and scale of the data, log_scale, start, t1, rtol, max_steps: none is part of the program.
def test_nothing_compiles_twice_for_a_shape() -> None:
    def use(problem: ib.LeastSquares, log_scale: float, start: ndarray, t1: float, rtol: float) -> None:
        flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=log_scale))
        trajectory = ib.simulate(flow, start, t1=t1, rtol=rtol, max_steps=3000)
        trajectory.state([0.1 * t1, 0.9 * t1])
        ib.simulate(flow, list(start), times=[t1 / 2, t1])
        ib.simulate(flow, list(start), times=[t1 / 2, t1 * (1 - 1e-9), t1])

    use(gaussian(0), -100.0, ZERO, 300.0, 1e-5)  # more than one chunk of steps
    with compilations() as found:
        jax.jit(lambda x: x + 1.0)(np.ones(3))
    assert found, "the log is silent: the test sees nothing"
    with compilations() as found:
        use(gaussian(0), -1000.0, ZERO, 300.0, 1e-4)
        use(gaussian(1), -2.0, ZERO + 0.5, 3.0, 1e-4)
        use(gaussian(2), 3.0, ZERO, 1e6, 1e-6)
        use(gaussian(3), -5000.0, np.arange(30.0), 10.0, 1e-2)
    assert found == []


def _net(params: tuple[ndarray, ...], X: ndarray) -> jax.Array:
    return jax.numpy.tanh(X @ params[0]) @ params[1]


def _uses(
    kind: str, seed: int, scale: float, lam: float, t1: float, rtol: float, solver: str | None = None
) -> None:
    """Simulate each kind of flow, with its own data, scale, weight decay, end time and tolerance."""
    rng = np.random.default_rng(seed)
    X, y, signs = rng.standard_normal((6, 3)), rng.standard_normal(6), np.array([1, -1, 1, -1, 1, -1])
    start = (scale * rng.standard_normal((3, 4)), scale * rng.standard_normal(4))
    pair = (np.full(3, scale), np.zeros(3))
    network = ib.Problem(_net, X, y)
    diagonal = ib.LeastSquares(X, y).reparametrize(ib.HadamardProduct())
    signed = ib.Classification(X, signs).reparametrize(ib.HadamardProduct())
    flow, begin = {
        "network": (ib.GradientFlow(network, lam), start),
        "diagonal": (ib.GradientFlow(diagonal, lam), pair),
        "classes": (ib.GradientFlow(signed, lam), pair),
        "descent": (ib.GradientDescent(network, 0.1, lam), start),
    }[kind]
    ib.simulate(flow, begin, t1=t1, rtol=rtol, until=lambda t, s: t > 0.7 * t1, solver=solver)
    ib.simulate(flow, begin, times=[0.4 * t1, 0.4 * t1 * (1 + 1e-9), t1], rtol=rtol, solver=solver)
    ib.simulate(flow, begin, times=[t1], rtol=rtol, solver=solver)


# Oracle: JAX's log: data, scale of the start, weight decay, t1, rtol, until, times: none is part of the program.
@pytest.mark.parametrize(
    "kind", ["network", "diagonal", "descent", pytest.param("classes", marks=pytest.mark.slow)]
)
def test_nothing_compiles_twice_for_a_model(kind: str) -> None:
    # The two methods between which the default chooses for a network are two programs.
    for solver in ("explicit", "normal", None) if kind == "network" else (None,):
        _uses(kind, 0, 0.5, 0.1, 3.0, 1e-3, solver)
    with compilations() as found:
        _uses(kind, 1, 1e-2, 0.0, 30.0, 1e-6)  # many chunks of steps, where the first run had one
        _uses(kind, 2, 1.0, 1.0, 0.5, 1e-2)
    assert found == []


# Oracle: JAX's log: a first run compiles the loop of its steps once, however many chunks there are.
def test_the_loop_compiles_once() -> None:
    def net(params: ndarray, X: ndarray) -> jax.Array:
        return jax.numpy.tanh(X @ params)

    problem = ib.Problem(net, np.random.default_rng(0).standard_normal((6, 3)), np.ones(6))
    with compilations() as found:
        trajectory = ib.simulate(ib.GradientFlow(problem), np.ones(3), t1=30.0, rtol=1e-8, solver="kernel")
    assert trajectory.stats.steps > 128
    assert sum("jit(advance)" in message for message in found) == 1


# Oracle: the numbers are the same, bit for bit, whatever the caller has set.
@pytest.mark.parametrize("wide", [True, False])
def test_the_caller_s_precision_changes_nothing(wide: bool) -> None:
    _, expected = simulated(gaussian(0), 30, 5.0)
    with jax.enable_x64(wide):
        assert jax.numpy.ones(1).dtype == (np.float64 if wide else np.float32)
        size, found = simulated(gaussian(0), 30, 5.0)
        states, dual = found.state([1.0, 3.0 * size]), found.dual(3.0 * size)
        assert jax.numpy.ones(1).dtype == (np.float64 if wide else np.float32)
    np.testing.assert_array_equal(found.times, expected.times)
    np.testing.assert_array_equal(found.final, expected.final)
    np.testing.assert_array_equal(states, expected.state([1.0, 3.0 * size]))
    np.testing.assert_array_equal(dual, expected.dual(3.0 * size))
    for array in (found.times, found.final, states, dual):
        assert type(array) is np.ndarray
        assert array.dtype == np.float64


# Oracle: the promise: steps at alpha = 1e-1000 are at most twice those at 1e-30.
@pytest.mark.parametrize("seed", range(6))
def test_steps_are_flat_in_alpha(seed: int) -> None:
    problem = gaussian(seed)
    end = 1.2 * float(ib.saddle_path(problem).times[-1])
    (_, shallow), (_, deep) = simulated(problem, 30, end), simulated(problem, 1000, end)
    assert shallow.status.ok
    assert deep.status.ok
    assert deep.stats.steps <= 2 * shallow.stats.steps


def missed_jumps(problem: ib.LeastSquares, exponents: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return each (exponent, jump) whose distance from the path is not O(1 / ln(1/alpha)).

    In flow time a jump comes early or late by an amount that tends to a constant. A run 100 times as exact at
    alpha = 1e-3000 measures it; a jump that is not yet told apart from its neighbour has up to that one's.
    """
    path = ib.saddle_path(problem)

    def lateness(exponent: int, rtol: float) -> tuple[float, ndarray]:
        size, trajectory = simulated(problem, exponent, 1.2 * float(path.times[-1]), rtol)
        return size, np.abs(jump_times(trajectory, problem.loss, path.losses) - path.times[1:] * size)

    _, constant = lateness(3000, 1e-6)
    assert np.all(constant <= 0.05 * 3000 * np.log(10.0) * path.times[-1]), (
        "the reference misses a jump itself"
    )
    near = np.max([np.roll(constant, shift) for shift in (-1, 0, 1)], axis=0)
    missed = []
    for exponent in exponents:
        size, late = lateness(exponent, 1e-4)
        # Twice the constant, a unit of flow time for w to cross, and rtol of the clock.
        passed = late <= 2 * near + 10.0 + 2e-4 * path.times[1:] * size
        missed += [(exponent, int(k) + 1) for k in np.flatnonzero(~passed)]
    return missed


# Oracle: the predicted path. Once a step that overshot a whole jump was accepted, since both its ends agreed in w.
@pytest.mark.parametrize("seed", range(3))
def test_no_jump_is_skipped(seed: int) -> None:
    assert missed_jumps(gaussian(seed), (30, 1000)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 15))
def test_no_jump_is_skipped_on_many_designs(seed: int) -> None:
    assert missed_jumps(gaussian(seed), (30, 100, 300, 1000)) == []


# Oracle: y -> c y and a -> c a make w(t) into c w(c t): the very same steps, in another unit.
@pytest.mark.parametrize("unit", [1e-100, 1e-20, 1e-3, 1e20, 1e100])
def test_the_unit_of_y_is_only_a_unit(unit: float) -> None:
    problem = gaussian(0)
    size, expected = simulated(problem, 300, 5.0)
    flow = ib.MirrorFlow(
        ib.LeastSquares(problem.X, unit * problem.y), ib.HyperbolicEntropy(log_scale=-2 * size + np.log(unit))
    )
    trajectory = ib.simulate(flow, ZERO, t1=5.0 * size / unit)
    assert trajectory.status.ok
    # Rounding of c y and of ln(a) may change whether a step is accepted, so the number of steps may differ slightly.
    assert trajectory.stats.steps == pytest.approx(expected.stats.steps, rel=0.1)
    times = np.array([0.5, 2.0, 4.0]) * size
    # Rounding again: |ln a| eps = 3e-13 in the exponent, times the growth during jumps, and rtol where steps differ.
    np.testing.assert_allclose(
        trajectory.state(times / unit) / unit, expected.state(times), rtol=0, atol=1e-3
    )
