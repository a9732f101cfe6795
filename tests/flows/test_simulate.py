"""Tests of `simulate`: the kept times and states, the stopping conditions, and the progress reports."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.flows import _recorder

END = 400.0


def _problem() -> ib.LeastSquares:
    """Return the example of theory 1.10."""
    X = np.random.default_rng(0).standard_normal((5, 7))
    return ib.LeastSquares(X, X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))


PROBLEM = _problem()
# alpha = e^-100: three jumps, at about t = 66, 141 and 167.
FLOW = ib.MirrorFlow(PROBLEM, ib.HyperbolicEntropy(log_scale=-200.0))
ZERO = np.zeros(7)


@pytest.fixture(scope="module")
def dense() -> ib.Trajectory:
    return ib.simulate(FLOW, ZERO, t1=END, observe={"loss": lambda t, w: PROBLEM.loss(w)})


# At this tolerance a run has more than 100 steps: a limit or an interrupt stops it inside of a chunk or between two.
FINE = 1e-8


@pytest.fixture(scope="module")
def fine() -> ib.Trajectory:
    return ib.simulate(FLOW, ZERO, t1=END, rtol=FINE)


class TestOutput:
    def test_dense_output_covers_the_whole_range(self, dense: ib.Trajectory) -> None:
        assert dense.times[0] == 0.0
        assert dense.times[-1] == pytest.approx(END, rel=1e-15)
        assert np.all(np.diff(dense.times) > 0)
        assert dense.status is ib.Status.REACHED_TIME
        np.testing.assert_array_equal(dense.state(0.0), ZERO)
        np.testing.assert_array_equal(dense.start, ZERO)
        # The end of the last step and its interpolant at 1: rounding of nu, times |2 z| = 200.
        np.testing.assert_allclose(dense.state(END), dense.final, rtol=1e-10, atol=1e-300)

    # Oracle: the same integration, because the steps do not depend on which times are kept.
    def test_asked_times_agree_with_dense_output(self, dense: ib.Trajectory) -> None:
        times = np.linspace(0.0, END, 150)
        sampled = ib.simulate(FLOW, ZERO, times=times)
        np.testing.assert_array_equal(sampled.times, times)
        np.testing.assert_allclose(sampled.states, dense.state(times), rtol=1e-10, atol=1e-300)
        np.testing.assert_allclose(sampled.dual(times), dense.dual(times), rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(sampled.final, dense.final)
        assert sampled.stats.steps == dense.stats.steps

    def test_times_may_begin_late_and_end_early(self, dense: ib.Trajectory) -> None:
        sampled = ib.simulate(FLOW, ZERO, t1=END, times=[0.3, 66.6, 150.0], observe={"t": lambda t, w: t})
        np.testing.assert_allclose(sampled.states, dense.state([0.3, 66.6, 150.0]), rtol=1e-10)
        np.testing.assert_array_equal(sampled.observables["t"], [0.3, 66.6, 150.0])
        np.testing.assert_array_equal(sampled.final, dense.final)

    def test_many_times_in_one_step_and_none_in_others(self) -> None:
        times = np.sort(np.concatenate([np.linspace(10.0, 10.5, 700), [390.0, 400.0]]))
        sampled = ib.simulate(FLOW, ZERO, times=times)
        np.testing.assert_array_equal(sampled.times, times)
        assert sampled.states.shape == (702, 7)

    def test_log_t1_is_the_natural_logarithm(self, dense: ib.Trajectory) -> None:
        other = ib.simulate(FLOW, ZERO, log_t1=np.log(END))
        assert other.times[-1] == pytest.approx(END, rel=1e-14)
        # Rounding of t1 moves every step by as much: eps |2 z| = 4e-14, times the growth of a jump.
        np.testing.assert_allclose(other.final, dense.final, rtol=0, atol=1e-9)

    def test_observables_are_evaluated_at_the_kept_times(self, dense: ib.Trajectory) -> None:
        assert list(dense.observables) == ["loss"]
        np.testing.assert_array_equal(dense.observables["loss"], [PROBLEM.loss(w) for w in dense.states])

    def test_observables_may_have_any_shape(self) -> None:
        observe: dict[str, Callable[[float, ndarray], object]] = {
            "number": lambda t, w: 1,
            "array": lambda t, w: np.outer(w, w),
            "word": lambda t, w: "big" if np.max(np.abs(w)) > 0.5 else "small",
        }
        trajectory = ib.simulate(FLOW, ZERO, times=[0.0, 100.0, 400.0], observe=observe)
        assert trajectory.observables["array"].shape == (3, 7, 7)
        assert trajectory.observables["word"].tolist() == ["small", "big", "big"]
        assert trajectory.to_dataset()["array"].shape == (3, 7, 7)

    def test_the_numbers_of_the_cost_add_up(self, dense: ib.Trajectory) -> None:
        stats = dense.stats
        assert stats.steps == stats.accepted + stats.rejected == stats.factorizations
        assert stats.accepted == len(dense.times) - 1
        assert stats.rejected > 0  # A jump cannot be foreseen, so some steps are rejected.
        assert 0.0 < stats.seconds < 600.0

    def test_dense_output_has_a_budget(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_recorder, "DENSE_BYTES", 10_000)
        with pytest.raises(ib.ImplicitBiasError, match="times="):
            ib.simulate(FLOW, ZERO, t1=END)
        assert ib.simulate(FLOW, ZERO, times=[END]).status.ok

    # Oracle: a run with a 100 times smaller rtol. Between steps the interpolant has the order of the step.
    def test_dense_output_is_as_exact_as_the_steps(self, dense: ib.Trajectory) -> None:
        exact = ib.simulate(FLOW, ZERO, t1=END, rtol=1e-7)
        ends = dense.times[1:]
        at_ends = np.max(np.abs(dense.state(ends) - exact.state(ends)))
        between = (dense.times[1:] + dense.times[:-1]) / 2
        inside = np.max(np.abs(dense.state(between) - exact.state(between)))
        # Jump times are off by a few rtol of t = 100, while w moves at speed 1 there.
        assert at_ends < 0.05
        assert inside < 2 * at_ends + 1e-4

    # Oracle: the tolerance itself: rtol 1e-4 is kept in w away from jumps, where errors in time do not show.
    def test_plateaus_are_resolved_to_rtol(self, dense: ib.Trajectory) -> None:
        exact = ib.simulate(FLOW, ZERO, t1=END, rtol=1e-7)
        quiet = [30.0, 60.0, 110.0, 130.0, 155.0]
        np.testing.assert_allclose(dense.state(quiet), exact.state(quiet), rtol=0, atol=2e-4)


class TestEarlyEnds:
    @pytest.mark.parametrize("limit", [1, 7, 64, 100])
    def test_max_steps_returns_what_was_reached(self, limit: int, fine: ib.Trajectory) -> None:
        cut = ib.simulate(FLOW, ZERO, t1=END, max_steps=limit, rtol=FINE)
        assert cut.status is ib.Status.MAX_STEPS
        assert not cut.status.ok
        assert "max_steps" in cut.status.value
        assert cut.stats.steps == limit
        assert 0.0 < cut.times[-1] < END
        np.testing.assert_array_equal(cut.times, fine.times[: len(cut.times)])
        # The same steps, whose last is interpolated at 1 on one side.
        np.testing.assert_allclose(cut.final, fine.state(cut.times[-1]), rtol=1e-10, atol=1e-300)
        assert str(limit) in repr(cut)

    def test_max_steps_before_the_first_asked_time(self) -> None:
        cut = ib.simulate(FLOW, ZERO, times=[300.0, END], max_steps=3, observe={"t": lambda t, w: t})
        assert cut.status is ib.Status.MAX_STEPS
        assert len(cut.times) == len(cut.observables["t"]) == 0
        assert "MAX_STEPS" in repr(cut)
        assert cut.final.shape == (7,)
        with pytest.raises(ib.InputError, match="before the first"):
            cut.state(300.0)

    @pytest.mark.parametrize("asked", [None, np.linspace(0.0, END, 300)], ids=["dense", "times="])
    @pytest.mark.parametrize("calls", [1, 2, 50, 90])
    def test_an_interrupt_in_a_callback_keeps_the_rows_before_it(
        self, calls: int, asked: ndarray | None
    ) -> None:
        seen: list[ndarray] = []

        def observe(_: float, w: ndarray) -> float:
            if len(seen) == calls:
                raise KeyboardInterrupt
            seen.append(w.copy())
            return float(len(seen))

        cut = ib.simulate(FLOW, ZERO, t1=END, times=asked, rtol=FINE, observe={"calls": observe})
        assert cut.status is ib.Status.INTERRUPTED
        assert not cut.status.ok
        assert len(cut.times) == calls
        np.testing.assert_array_equal(cut.observables["calls"], np.arange(1, calls + 1))
        np.testing.assert_array_equal(cut.states, seen)
        # One state by itself or in a block of them: rounding.
        np.testing.assert_allclose(cut.final, seen[-1], rtol=1e-14, atol=0)
        np.testing.assert_array_equal(cut.state(cut.times[-1]), cut.final)

    def test_an_interrupt_between_chunks(self, fine: ib.Trajectory) -> None:
        def progress(fraction: float, text: str) -> None:
            raise KeyboardInterrupt

        cut = ib.simulate(FLOW, ZERO, t1=END, progress=progress, rtol=FINE)
        assert cut.status is ib.Status.INTERRUPTED
        assert cut.stats.accepted == len(cut.times) - 1 > 0
        np.testing.assert_array_equal(cut.times, fine.times[: len(cut.times)])
        np.testing.assert_allclose(cut.final, fine.state(cut.times[-1]), rtol=1e-10, atol=1e-300)

    def test_an_interrupt_with_nothing_kept_passes_through(self) -> None:
        def observe(_: float, w: ndarray) -> float:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ib.simulate(FLOW, ZERO, t1=END, observe={"x": observe})

    def test_an_error_in_a_callback_passes_through(self) -> None:
        def observe(_: float, w: ndarray) -> float:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ib.simulate(FLOW, ZERO, t1=END, observe={"x": observe})


class TestProgress:
    def test_fractions_grow_to_one(self) -> None:
        told: list[tuple[float, str]] = []
        ib.simulate(
            FLOW, ZERO, t1=END, rtol=FINE, progress=lambda fraction, text: told.append((fraction, text))
        )
        fractions = [fraction for fraction, _ in told]
        assert len(fractions) >= 2
        assert all(0.0 <= fraction <= 1.0 for fraction in fractions)
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        assert all(text.startswith("t = ") for _, text in told)


class TestResults:
    def test_they_are_read_only_float64(self, dense: ib.Trajectory) -> None:
        for array in (dense.times, dense.start, dense.final, dense.states, dense.observables["loss"]):
            assert type(array) is np.ndarray
            assert array.dtype == np.float64
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0.0

    def test_a_start_that_changes_later_changes_nothing(self) -> None:
        start = np.full(7, 0.5)
        trajectory = ib.simulate(FLOW, start, t1=1.0)
        start[:] = 7.0
        np.testing.assert_array_equal(trajectory.start, np.full(7, 0.5))

    def test_any_array_like_will_do_as_a_start(self) -> None:
        expected = ib.simulate(FLOW, ZERO, t1=1.0).final
        for start in ([0] * 7, tuple([0.0] * 7), np.zeros(7, dtype=np.float32), np.zeros(14)[::2]):
            np.testing.assert_array_equal(ib.simulate(FLOW, start, t1=1.0).final, expected)
