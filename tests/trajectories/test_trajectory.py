"""Tests of the result of a simulation: access by time and by log time, and labelled copies."""

import dataclasses

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.trajectories import DenseOutput, Stats


class Powers(DenseOutput):
    """Dense output with the state (t, t^2) and the dual variable (-t, 1), without an integration."""

    def state(self, times: ndarray) -> ndarray:
        return np.stack([times, times**2], axis=1)

    def dual(self, times: ndarray) -> ndarray:
        return np.stack([-times, np.ones_like(times)], axis=1)


TIMES = np.array([0.0, 1e-3, 0.5, 2.0, 1e100])


def trajectory(times: ndarray = TIMES, sampled: bool = False) -> ib.Trajectory:
    states = Powers().state(times)
    return ib.Trajectory(
        times=times,
        start=np.zeros(2),
        final=states[-1] if len(states) else np.zeros(2),
        status=ib.Status.REACHED_TIME,
        stats=Stats(7, 4, 3, 35, 7, 0.1),
        observables={"loss": times * 2, "gradient": np.outer(times, [1.0, 2.0, 3.0])},
        dense=Powers(),
        sampled=sampled,
    )


class TestState:
    def test_a_number_gives_a_vector_and_times_give_rows(self) -> None:
        np.testing.assert_array_equal(trajectory().state(0.25), [0.25, 0.0625])
        np.testing.assert_array_equal(trajectory().state([0.25, 0.5]), [[0.25, 0.0625], [0.5, 0.25]])
        np.testing.assert_array_equal(trajectory().dual(0.25), [-0.25, 1.0])
        assert trajectory().state(np.full((3, 4), 0.5)).shape == (3, 4, 2)
        assert trajectory().state([]).shape == (0, 2)
        assert trajectory().state(1).shape == (2,)

    def test_times_may_come_in_any_order(self) -> None:
        np.testing.assert_array_equal(trajectory().state([2.0, 0.0, 0.5])[:, 0], [2.0, 0.0, 0.5])

    def test_log_t_is_the_natural_logarithm(self) -> None:
        np.testing.assert_allclose(trajectory().state(log_t=np.log(0.5)), [0.5, 0.25], rtol=1e-15)
        np.testing.assert_array_equal(trajectory().state(log_t=-np.inf), [0.0, 0.0])
        # The rounding error of exp(log(t)) is |log t| eps. The last time must be accepted in spite of it.
        assert trajectory().state(log_t=np.log(TIMES[-1]))[0] == pytest.approx(1e100, rel=1e-12)

    def test_the_end_may_be_overshot_by_rounding_only(self) -> None:
        last = trajectory(TIMES[:4])
        np.testing.assert_array_equal(last.state(2.0 * (1 + 1e-15)), [2.0, 4.0])
        with pytest.raises(ib.InputError, match=r"\[0, 2\].*larger t1"):
            last.state(2.0 * (1 + 1e-9))

    @pytest.mark.parametrize("times", [-1e-9, [0.0, 3.0], float("nan"), np.inf])
    def test_times_outside_are_refused(self, times: object) -> None:
        with pytest.raises(ib.InputError, match="the trajectory covers"):
            trajectory(TIMES[:4]).state(times)

    @pytest.mark.parametrize("arguments", [{}, {"t": 1.0, "log_t": 0.0}])
    def test_exactly_one_clock(self, arguments: dict[str, float]) -> None:
        with pytest.raises(ib.InputError, match=r"exactly one of t and log_t.*trajectory\.state"):
            trajectory().state(**arguments)


class TestSampled:
    def test_kept_times_are_found_by_either_clock(self) -> None:
        kept = trajectory(sampled=True)
        np.testing.assert_array_equal(kept.state(TIMES[:4])[:, 0], TIMES[:4])
        # exp(log t) differs from t by rounding, but the row of t must be returned.
        np.testing.assert_array_equal(kept.state(log_t=kept.log_times[:4])[:, 0], TIMES[:4])
        np.testing.assert_array_equal(kept.dual(0.5), [-0.5, 1.0])

    @pytest.mark.parametrize("time", [0.25, 1e-4, 1.999999, 5.0])
    def test_other_times_are_refused(self, time: float) -> None:
        with pytest.raises(ib.InputError, match="without times for dense output"):
            trajectory(sampled=True).state(time)

    def test_a_single_time(self) -> None:
        kept = trajectory(TIMES[3:4], sampled=True)
        np.testing.assert_array_equal(kept.state(2.0), [2.0, 4.0])
        with pytest.raises(ib.InputError, match="covers"):
            kept.state(1.0)

    def test_no_time_at_all(self) -> None:
        kept = trajectory(TIMES[:0], sampled=True)
        assert repr(kept) == "Trajectory(0 times, 7 steps, REACHED_TIME)"
        with pytest.raises(ib.InputError, match="before the first"):
            kept.state(0.0)


class TestValue:
    def test_log_times(self) -> None:
        np.testing.assert_array_equal(trajectory().log_times, [-np.inf, *np.log(TIMES[1:])])

    def test_states_are_the_rows_at_its_times(self) -> None:
        short = trajectory(TIMES[:4])
        np.testing.assert_array_equal(short.states[:, 1], TIMES[:4] ** 2)
        with pytest.raises(ValueError, match="read-only"):
            short.states[0, 0] = 1.0

    def test_it_is_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            trajectory().status = ib.Status.CONVERGED  # type: ignore[misc]

    def test_it_says_what_it_is(self) -> None:
        assert repr(trajectory(TIMES[:4])) == "Trajectory(4 times to t=2, 7 steps, REACHED_TIME)"

    def test_a_labelled_copy(self) -> None:
        data = trajectory(TIMES[:4]).to_dataset()
        assert dict(data.sizes) == {"time": 4, "coordinate": 2, "gradient_0": 3}
        assert data["state"].dims == ("time", "coordinate")
        assert data["gradient"].dims == ("time", "gradient_0")
        assert float(data["loss"].sel(time=0.5)) == 1.0
        assert data.attrs == {"status": "REACHED_TIME", "steps": 7, "notes": ""}
        data["state"][0, 0] = 5.0  # a copy: the result stays as it is
        assert trajectory().states[0, 0] == 0.0
