"""The predicted path against the simulated flow, which share no computation: theory 1.8."""

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.diagnostics import ScaleSweep, rate_slopes
from tests.agreements._flows import (
    Simulation,
    deactivation,
    flow_from,
    gaussian,
    swept,
)
from tests.oracles.lp import least_l1

EXPONENTS = (3, 10, 30, 100, 300, 1000)
SIZES = np.array(EXPONENTS) * np.log(10.0)
SMALL = 1 / SIZES
RTOL = 1e-6
END = 3.0  # slow time; the last jump of the example is at 1.67


@pytest.fixture(scope="module")
def path() -> ib.SaddlePath:
    return ib.saddle_path(deactivation())


@pytest.fixture(scope="module")
def runs() -> list[Simulation]:
    return [flow_from(deactivation(), exponent, END, rtol=RTOL) for exponent in EXPONENTS]


@pytest.fixture(scope="module")
def sweep(path: ib.SaddlePath, runs: list[Simulation]) -> ScaleSweep:
    return swept(deactivation(), path, runs)


@pytest.fixture(scope="module")
def wide_path() -> ib.SaddlePath:
    return ib.saddle_path(gaussian())


@pytest.fixture(scope="module")
def wide_runs(wide_path: ib.SaddlePath) -> list[Simulation]:
    return [flow_from(gaussian(), exponent, 1.2 * float(wide_path.times[-1])) for exponent in EXPONENTS]


class TestDeactivation:
    def test_the_example_is_the_one_of_the_theory(self, path: ib.SaddlePath) -> None:
        np.testing.assert_allclose(path.times, [0, 0.6582, 1.4125, 1.6725], atol=5e-5)
        assert path.strictly_complementary.tolist() == [True, True, True, False]

    def test_every_jump_time_has_slope_1(self, sweep: ScaleSweep) -> None:
        errors = sweep.jump_errors
        # At 1e-3 neighbouring jumps still touch; from 1e-10 on the constant is reached within 3 %.
        np.testing.assert_allclose(rate_slopes(SMALL[1:], errors[1:]), 1.0, atol=0.01)
        np.testing.assert_allclose(rate_slopes(SMALL, np.max(errors, axis=1)), 1.0, atol=0.1)
        assert np.all(np.max(errors, axis=1)[1:] < np.max(errors, axis=1)[:-1])

    # Oracle: by hand. Until coordinate i has grown nothing else moves: with g = |grad_i| at 0 and w* the first saddle,
    # w' = 2 sqrt(w^2 + a^2) g (1 - w / w*), so t = L / g + [ln(2 w) - ln(1 - w / w*)] / (2 g), where a = e^-2L -> 0.
    # The loss is half way where 1 - w / w* = sqrt(1/2).
    @pytest.mark.parametrize("place", range(2, 6))
    def test_the_first_jump_comes_when_the_closed_form_says(
        self, place: int, path: ib.SaddlePath, sweep: ScaleSweep
    ) -> None:
        g, top = 1 / path.times[1], np.max(np.abs(path.coefficients[1]))
        expected = (np.log(2 * top * (1 - np.sqrt(0.5))) - np.log(np.sqrt(0.5))) / (2 * g)
        found = (sweep.jump_times[place, 0] - path.times[1]) * SIZES[place]
        # Other coordinates are below alpha^(2 (1 - |s_i|)): 1e-10 at 1e-30. RTOL of the clock is left.
        assert found == pytest.approx(expected, abs=RTOL * path.times[1] * SIZES[place] + 1e-5)

    def test_strictly_complementary_saddles_are_reached_fast(
        self, path: ib.SaddlePath, sweep: ScaleSweep
    ) -> None:
        strict = path.strictly_complementary
        wanted = path.at(sweep.middles)[strict]
        errors = np.max(np.abs(sweep.states[:, strict] - wanted), axis=2)
        # Row 0 is w = 0, left like alpha: 5e-11 at 1e-10. The others decay like a power of alpha, too.
        assert np.all(errors[EXPONENTS.index(10), 0] < 1e-10)
        assert np.all(rate_slopes(SMALL[1:4], errors[1:4]) > 3.0)
        assert np.all(errors[-2:] < RTOL)

    def test_a_degenerate_saddle_is_reached_with_slope_1(
        self, path: ib.SaddlePath, runs: list[Simulation]
    ) -> None:
        last = path.coefficients[-1]
        errors = np.array([np.max(np.abs(run.at(np.array([2.0, 3.0])) - last), axis=1) for run in runs])
        np.testing.assert_allclose(rate_slopes(SMALL[2:], errors[2:]), 1.0, atol=0.02)
        # and like 1 / (t - t_jump)
        ratio = errors[-1, 0] / errors[-1, 1]
        assert ratio == pytest.approx((3.0 - path.times[-1]) / (2.0 - path.times[-1]), rel=0.01)

    # Oracle: by hand. Coordinate 5 is forgotten: |s_5| = 1, w_5 -> 0, grad_5 = 0. The active ones A follow at once,
    # delta_A = -H_AA^-1 H_A5 w_5, so z_5' = -S w_5 with S the Schur complement H_55 - H_5A H_AA^-1 H_A5, and
    # w_5' = 2 |w_5| z_5' gives |w_5| = 1 / (2 S (t - t_jump)) in flow time.
    def test_the_constant_of_the_degenerate_saddle(self, path: ib.SaddlePath) -> None:
        problem = deactivation()
        H = problem.X.T @ problem.X / 5
        active = path.active_sets[-1]
        (forgotten,) = np.setdiff1d(path.equicorrelation_sets[-1], active)
        follow = np.linalg.solve(H[np.ix_(active, active)], H[active, forgotten])
        schur = H[forgotten, forgotten] - H[forgotten, active] @ follow
        size = 1 / (2 * schur * (3.0 - path.times[-1]) * SIZES[-1])
        expected = path.coefficients[-1].copy()
        sign = np.sign(path.dual[-1, forgotten])
        expected[forgotten] = sign * size
        expected[active] -= sign * size * follow
        # The next order in 1 / L is 2.4e-3 of w_5, which is 1e-6. An rtol of 1e-8 leaves an error of 1e-4 of w_5.
        tight = flow_from(deactivation(), EXPONENTS[-1], END, rtol=RTOL / 100)
        np.testing.assert_allclose(tight.at(np.array(3.0)), expected, rtol=0, atol=2.6e-3 * size)


class TestGaussian:
    def test_jump_times_have_slope_1(self, wide_path: ib.SaddlePath, wide_runs: list[Simulation]) -> None:
        errors = swept(gaussian(), wide_path, wide_runs).jump_errors
        assert rate_slopes(SMALL, np.max(errors, axis=1)) == pytest.approx(1.0, abs=0.05)
        # Each one, where the jumps are told apart and rtol of the clock does not count: 1e-100 to 1e-1000.
        gap = np.minimum(np.diff(wide_path.times), np.append(np.diff(wide_path.times)[1:], np.inf))
        apart = gap > 0.1
        assert np.sum(apart) >= 6
        np.testing.assert_allclose(rate_slopes(SMALL[3:], errors[3:, apart]), 1.0, atol=0.15)

    def test_every_saddle_is_passed(self, wide_path: ib.SaddlePath, wide_runs: list[Simulation]) -> None:
        assert wide_path.strictly_complementary.all()
        gaps = np.append(np.diff(wide_path.times), 1.0)
        long = gaps * SIZES[-1] > 100.0  # the others are not told apart at 1e-1000 either
        assert np.sum(long) >= 10
        found = swept(gaussian(), wide_path, wide_runs).states[-1]
        # rtol = 1e-4 of w, whose largest coordinate is about 1.
        np.testing.assert_allclose(found[long], wide_path.coefficients[long], rtol=0, atol=1e-3)

    # Oracle: HiGHS: the least l1 norm among interpolants; it shares nothing with the path or the flow.
    def test_the_end_is_the_least_l1_norm(self, wide_runs: list[Simulation]) -> None:
        problem = gaussian()
        value, w = least_l1(problem.X, problem.y)
        final = wide_runs[-1].trajectory.final
        # All three errors (LP 1e-10, flow rtol) are far below.
        np.testing.assert_allclose(final, w, rtol=0, atol=1e-5)
        assert np.sum(np.abs(final)) == pytest.approx(value, rel=1e-5)

    def test_the_end_is_not_the_least_l1_norm_at_a_large_scale(self) -> None:
        problem = gaussian()
        value, _ = least_l1(problem.X, problem.y)
        flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(scale=100.0))
        final = ib.simulate(flow, np.zeros(30), t1=10.0).final
        assert np.max(np.abs(problem.residual(final))) < 1e-3
        assert np.sum(np.abs(final)) > 1.05 * value


def pretrained(seed: int) -> tuple[ib.LeastSquares, ndarray]:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((5, 7)), rng.standard_normal(5)
    return ib.LeastSquares(X, y), np.where(rng.random(7) < 0.5, rng.standard_normal(7), 0.0)


# The limit relation, by hand: arcsinh(w_i / a) = arcsinh(w0_i / a) + 2 (X^T nu)_i with a = e^-2L, and
# arcsinh(x / a) = sign(x) (2 L + ln|2 x|) + o(1). So z_i / L = sign(w0_i) + (X^T nu)_i / L + O(1 / L): the flow begins
# at the dual q = sign(w0) whatever the sizes, and in the flow time O(1) = slow time 0 fits w on those signs.
def check_pretrained(seed: int, exponent: float) -> int:
    """Number of plateaus that were long enough to be compared."""
    problem, start = pretrained(seed)
    path = ib.saddle_path(problem, start=start)
    end = 1.2 * float(path.times[-1]) + 0.5
    run = flow_from(problem, exponent, end, start=start)
    np.testing.assert_array_equal(path.coefficients[0], start)
    np.testing.assert_array_equal(run.trajectory.start, start)
    # Slow time 1e-3 .. 1: the first saddle is there, at the same slow time, while only flow time O(1) has passed.
    times = np.append((path.times[:-1] + path.times[1:]) / 2, end)
    gaps = np.append(np.diff(path.times), np.inf)
    clear = (gaps * run.size > 200.0) & path.strictly_complementary
    found = run.at(times[clear])
    size = np.max(np.abs(path.coefficients))
    slow = np.max(np.abs(found - path.coefficients[clear]), axis=1) > 1e-2 * size
    assert not slow.any(), f"seed {seed}: plateaus {np.flatnonzero(clear)[slow]}"
    return int(np.sum(clear))


@pytest.mark.parametrize("seed", range(4))
def test_a_pretrained_start(seed: int) -> None:
    assert check_pretrained(seed, 1000) >= 4


@pytest.mark.slow
def test_many_pretrained_starts() -> None:
    assert sum(check_pretrained(seed, 1000) for seed in range(4, 64)) > 200


# Oracle: the flow itself: jump times have slope 1 from a pretrained start, too.
def test_jump_times_from_a_pretrained_start() -> None:
    problem, start = pretrained(0)
    path = ib.saddle_path(problem, start=start)
    later = path.times > 0.0
    end = 1.2 * float(path.times[-1])
    runs = [flow_from(problem, exponent, end, start=start, rtol=RTOL) for exponent in (30, 100, 300, 1000)]
    sweep = swept(problem, path, runs)
    np.testing.assert_allclose(rate_slopes(1 / sweep.units, sweep.jump_errors[:, later[1:]]), 1.0, atol=0.1)


# Oracle: by hand: the refit is reached in flow time O(1): the same one at every alpha.
@pytest.mark.parametrize("exponent", [1000, 10_000])
def test_the_first_refit_takes_no_slow_time(exponent: float) -> None:
    problem, start = pretrained(0)
    path = ib.saddle_path(problem, start=start)
    assert path.times[1] == 0.0
    assert np.max(np.abs(path.coefficients[1] - start)) > 0.1
    run = flow_from(problem, exponent, 1.0, start=start)
    # Its slowest mode, 2 |w_1| lambda with |w_1| = 0.027, has died out by t = 2000: slow time 0.87 and 0.087.
    np.testing.assert_allclose(run.trajectory.state(2000.0), path.coefficients[1], rtol=0, atol=1e-3)
