"""What a `SaddlePath` offers: starts, cuts, callbacks, evaluation, averages, exports."""

import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from sklearn.linear_model import Lasso

import implicitbias as ib


def _problem(n: int = 6, d: int = 15, seed: int = 0) -> ib.LeastSquares:
    rng = np.random.default_rng([n, d, seed])
    return ib.LeastSquares(rng.standard_normal((n, d)), rng.standard_normal(n))


def _deactivating() -> ib.SaddlePath:
    """The example of theory 1.10: coordinate 6 (1-based) returns to 0 at the last jump."""
    X = np.random.default_rng(0).standard_normal((5, 7))
    return ib.saddle_path(ib.LeastSquares(X, X @ [1, -2, 0, 0, 0, 0, 0]))


PATH = ib.saddle_path(_problem())


class TestStart:
    # Oracle: a start of zeros is no start.
    def test_a_zero_start_is_none(self) -> None:
        path = ib.saddle_path(_problem(), start=np.zeros(15))
        np.testing.assert_array_equal(path.coefficients, PATH.coefficients)

    # Oracle: a saddle of the path is a minimiser on its own signs, so nothing happens at time 0.
    def test_a_start_that_is_its_own_refit_is_not_repeated(self) -> None:
        path = ib.saddle_path(_problem(), start=PATH.coefficients[3])
        assert path.times[0] == 0.0
        assert path.times[1] > 0.0

    # Oracle: by hand: the sign of the start holds until its coordinate has crossed the box.
    def test_a_start_of_the_wrong_sign_needs_twice_the_time(self) -> None:
        problem = ib.LeastSquares(np.eye(2), [1.0, 0.0])
        plain, wrong = ib.saddle_path(problem), ib.saddle_path(problem, start=[-3.0, 0.0])
        assert wrong.coefficients.tolist() == [[-3, 0], [0, 0], [1, 0]]
        assert wrong.times.tolist() == [0, 0, 2 * plain.times[1]]
        assert wrong.dual.tolist() == [[-1, 0], [-1, 0], [1, 0]]

    # Oracle: theory 1.3: s - q is in the row space, <s, w> = ||w||_1 at the end.
    @pytest.mark.parametrize("seed", range(5))
    def test_the_dual_proves_the_end(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        start = np.where(rng.random(15) < 0.3, rng.standard_normal(15), 0.0)
        problem = _problem(seed=seed)
        path = ib.saddle_path(problem, start=start)
        w, s = path.coefficients[-1], path.dual[-1]
        off_row_space = np.linalg.svd(problem.X)[2][6:] @ (s - np.sign(start))
        np.testing.assert_allclose(off_row_space, 0.0, atol=1e-12)
        np.testing.assert_allclose(s @ w, np.sum(np.abs(w)), rtol=1e-12)
        assert path.certificate.holds

    # Oracle: theory 0.1: where a column is 0, its coordinate has no gradient and stays.
    def test_a_start_on_a_column_of_zeros_stays(self) -> None:
        path = ib.saddle_path(ib.LeastSquares([[1.0, 0.0], [2.0, 0.0]], [1.0, 2.0]), start=[0.0, -3.0])
        np.testing.assert_allclose(path.coefficients, [[0, -3], [1, -3]], rtol=1e-12)
        assert path.certificate.holds

    # Oracle: by hand: x w = 0 already holds and y = 0, so the flow rests at its start.
    def test_a_start_that_fits_by_cancellation_stays(self) -> None:
        path = ib.saddle_path(ib.LeastSquares([[1.0, -1.0], [2.0, -2.0]], [0.0, 0.0]), start=[2.0, 2.0])
        np.testing.assert_allclose(path.coefficients, [[2, 2]], rtol=1e-12)

    @pytest.mark.parametrize(
        ("start", "word"), [([1.0, 2.0], "2 entries"), ([np.nan] * 15, "NaN"), (3.0, "shape")]
    )
    def test_bad_starts_are_refused(self, start: object, word: str) -> None:
        with pytest.raises(ib.InputError, match=word):
            ib.saddle_path(_problem(), start=start)


class TestCuts:
    # Oracle: the complete path.
    @pytest.mark.parametrize("jumps", range(PATH.n_jumps + 2))
    def test_max_jumps_keeps_the_first_rows(self, jumps: int) -> None:
        path = ib.saddle_path(_problem(), max_jumps=jumps)
        kept = min(jumps, PATH.n_jumps)
        assert path.n_jumps == kept
        np.testing.assert_array_equal(path.coefficients, PATH.coefficients[: kept + 1])
        if jumps < PATH.n_jumps:
            assert path.status is ib.Status.REACHED_COUNT
            assert path.status.ok
            assert path.valid_until == PATH.times[jumps + 1]
            assert path.certificate.gap is None
            assert "cut" in path.certificate.sentence
        else:
            assert path.status is ib.Status.CONVERGED

    # Oracle: the complete path.
    @pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.5])
    def test_t_max_keeps_the_rows_until_then(self, share: float) -> None:
        t_max = share * PATH.times[-1]
        path = ib.saddle_path(_problem(), t_max=t_max)
        kept = int(np.sum(PATH.times <= t_max))
        np.testing.assert_array_equal(path.times, PATH.times[:kept])
        if kept < len(PATH.times):
            assert path.status is ib.Status.REACHED_TIME
            assert path.valid_until == PATH.times[kept]
            np.testing.assert_array_equal(path.at(t_max), PATH.at(t_max))

    def test_t_max_at_a_jump_includes_it(self) -> None:
        assert ib.saddle_path(_problem(), t_max=PATH.times[2]).n_jumps == 2

    # Oracle: the complete path from the same start: its refit at time 0 is row 1 and comes before any jump.
    @pytest.mark.parametrize("jumps", range(4))
    def test_max_jumps_counts_jumps_after_the_refit_of_a_start(self, jumps: int) -> None:
        start = np.where(np.arange(15) < 3, 1.0, 0.0)
        path, whole = (
            ib.saddle_path(_problem(), start=start, max_jumps=jumps),
            ib.saddle_path(_problem(), start=start),
        )
        np.testing.assert_array_equal(path.times, whole.times[: 2 + jumps])

    @pytest.mark.parametrize("name", ["max_jumps", "t_max"])
    def test_negative_limits_are_refused(self, name: str) -> None:
        with pytest.raises(ib.InputError, match=f"{name} is -1"):
            ib.saddle_path(_problem(), **{name: -1})

    def test_a_time_that_is_none_is_refused(self) -> None:
        with pytest.raises(ib.InputError, match="t_max is nan"):
            ib.saddle_path(_problem(), t_max=float("nan"))

    def test_a_matrix_for_a_problem_is_refused(self) -> None:
        import inspect

        # Unwrapped: with run-time type checks on, the annotation would speak first.
        with pytest.raises(ib.InputError, match=r"ib\.LeastSquares\(X, y\)"):
            inspect.unwrap(ib.saddle_path)(np.eye(3))


class TestOnJump:
    # Oracle: differences of the rows.
    def test_it_is_told_every_jump(self) -> None:
        seen: list[ib.Jump] = []
        path = ib.saddle_path(_deactivating().problem, on_jump=seen.append)
        assert [jump.number for jump in seen] == [1, 2, 3]
        assert [jump.time for jump in seen] == path.times[1:].tolist()
        assert [jump.loss for jump in seen] == path.losses[1:].tolist()
        assert [jump.entered.tolist() for jump in seen] == [[5], [0], [1]]
        assert [jump.left.tolist() for jump in seen] == [[], [], [5]]
        assert [jump.active for jump in seen] == [1, 2, 2]

    def test_a_true_answer_stops_the_walk(self) -> None:
        path = ib.saddle_path(_problem(), on_jump=lambda jump: jump.number == 2)
        assert path.n_jumps == 2
        assert path.status is ib.Status.STOPPED_BY_CALLER
        assert path.status.ok
        assert path.valid_until == PATH.times[3]
        assert path.certificate.gap is None

    def test_its_exceptions_are_the_callers(self) -> None:
        def stumble(jump: ib.Jump) -> None:
            raise KeyError(jump.number)

        with pytest.raises(KeyError):
            ib.saddle_path(_problem(), on_jump=stumble)


class TestAt:
    # Oracle: the definition: right-continuous and constant between jumps.
    def test_it_is_right_continuous(self) -> None:
        for k, time in enumerate(PATH.times):
            np.testing.assert_array_equal(PATH.at(time), PATH.coefficients[k])
            if k > 0:
                np.testing.assert_array_equal(PATH.at(np.nextafter(time, 0)), PATH.coefficients[k - 1])
        np.testing.assert_array_equal(PATH.at(1e300), PATH.coefficients[-1])

    def test_many_times_give_many_rows(self) -> None:
        times = [PATH.times[-1] + 1, 0.0, PATH.times[1]]
        assert PATH.at(times).shape == (3, 15)
        np.testing.assert_array_equal(PATH.at(times), [PATH.at(t) for t in times])
        assert PATH.at([]).shape == (0, 15)
        assert PATH.time_average(times).shape == (3, 15)

    @pytest.mark.parametrize("t", [-1.0, np.nan, np.inf, [0.0, -1e-9], [[0.0]]])
    @pytest.mark.parametrize("method", ["at", "time_average"])
    def test_times_off_the_path_are_refused(self, method: str, t: object) -> None:
        with pytest.raises(ib.InputError, match=r"^t "):
            getattr(PATH, method)(t)

    def test_a_cut_path_ends_where_it_was_cut(self) -> None:
        path = ib.saddle_path(_problem(), max_jumps=2)
        path.at(np.nextafter(path.valid_until, 0))
        with pytest.raises(ib.InputError, match="max_jumps"):
            path.at(path.valid_until)


class TestTimeAverage:
    # Oracle: numerical integration (QUADPACK, told where the jumps are; asked for 1e-10).
    @pytest.mark.parametrize("share", [0.2, 0.6, 1.0, 3.0])
    def test_it_is_the_integral_over_time(self, share: float) -> None:
        t = share * PATH.times[-1]
        inside = [jump for jump in PATH.times if 0 < jump < t]
        for i in range(15):
            total = quad(lambda u, i=i: PATH.at(u)[i], 0, t, points=inside, limit=200, epsabs=1e-10)[0]
            np.testing.assert_allclose(PATH.time_average(t)[i], total / t, atol=1e-9)

    def test_at_time_zero_it_is_the_start(self) -> None:
        assert PATH.time_average(0.0).tolist() == [0.0] * 15

    # Oracle: scikit-learn's Lasso with penalty 1/t (theory 1.9), where no coordinate returns to 0.
    # Its duality gap is asked for 1e-14; coefficients follow to about its root.
    @pytest.mark.parametrize("seed", range(8))
    def test_it_solves_the_lasso_where_nothing_deactivates(self, seed: int) -> None:
        problem = _problem(30, 6, seed)
        path = ib.saddle_path(problem)
        away = np.diff((path.coefficients != 0).astype(int), axis=0) < 0
        assert not away.any(), "choose a seed without deactivation"
        for t in (1.1 * path.times[1], path.times[-1], 5 * path.times[-1]):
            lasso = Lasso(alpha=1 / t, fit_intercept=False, tol=1e-14, max_iter=1_000_000)
            other = lasso.fit(problem.X, problem.y).coef_
            np.testing.assert_allclose(path.time_average(t), other, atol=1e-6)

    # Oracle: the same Lasso (theory 1.9): returning to 0 alone keeps the link; leaving |s_i| = 1 breaks it, until
    # the coordinate is back at the same side.
    @pytest.mark.parametrize("leaves", [False, True])
    def test_it_fails_only_where_a_coordinate_leaves_the_boundary(self, leaves: bool) -> None:
        path = _deactivating()
        if leaves:
            rng = np.random.default_rng(36)
            path = ib.saddle_path(ib.LeastSquares(rng.standard_normal((8, 6)), rng.standard_normal(8)))
        sets = [set(boundary.tolist()) for boundary in path.equicorrelation_sets]
        assert any(before - after for before, after in pairwise(sets)) == leaves
        worst = 0.0
        for t in np.linspace(path.times[1], path.times[-1], 20):
            lasso = Lasso(alpha=1 / t, fit_intercept=False, tol=1e-14, max_iter=1_000_000)
            other = lasso.fit(path.problem.X, path.problem.y).coef_
            worst = max(worst, float(np.max(np.abs(path.time_average(t) - other))))
        assert worst > 1e-2 if leaves else worst < 1e-6


class TestTables:
    # Oracle: the definition, in a loop.
    def test_arc_length_adds_the_chords(self) -> None:
        total, rows = 0.0, PATH.coefficients
        for k in range(len(rows)):
            total += np.linalg.norm(rows[k] - rows[k - 1]) if k else 0.0
            np.testing.assert_allclose(PATH.arc_length()[k], PATH.times[k] + total, rtol=1e-13)

    def test_arc_length_of_extreme_units_does_not_overflow(self) -> None:
        path = ib.saddle_path(ib.LeastSquares(1e-120 * np.eye(2), [3e120, 4e120]))
        np.testing.assert_allclose(path.arc_length()[-1], 7e240, rtol=1e-12)

    # Oracle: the dual from nu, and the table of coefficients.
    def test_sets_dual_and_coefficients_agree(self) -> None:
        path = _deactivating()
        assert path.coefficients_sparse.shape == path.coefficients.shape == (4, 7)
        for k in range(4):
            assert path.active_sets[k].tolist() == np.flatnonzero(path.coefficients[k]).tolist()
            assert (
                path.equicorrelation_sets[k].tolist() == np.flatnonzero(np.abs(path.dual[k]) == 1.0).tolist()
            )
            active = path.active_sets[k]
            assert set(active) <= set(path.equicorrelation_sets[k])
            np.testing.assert_array_equal(path.dual[k][active], np.sign(path.coefficients[k][active]))
        np.testing.assert_allclose(path.dual, path.nu @ path.problem.X, atol=1e-13)
        # Coordinate 6 has left the support and stays on the boundary.
        assert 5 in path.equicorrelation_sets[3]
        assert 5 not in path.active_sets[3]

    def test_the_dataset_holds_the_path(self) -> None:
        data = PATH.to_dataset()
        assert dict(data.sizes) == {"jump": len(PATH.times), "feature": 15}
        np.testing.assert_array_equal(data["coefficients"].values, PATH.coefficients)
        np.testing.assert_array_equal(data["dual"].values, PATH.dual)
        np.testing.assert_array_equal(data["time"].values, PATH.times)
        np.testing.assert_array_equal(data["loss"].values, PATH.losses)
        assert data.attrs["status"] == "CONVERGED"
        assert data.attrs["certificate_holds"] == 1

    # Oracle: the columns of the whole data set in which some coefficient is not 0.
    @pytest.mark.parametrize(
        "limits", [{}, {"max_jumps": 0}, {"max_jumps": 2}, {"start": [0.0, -1.0] + 13 * [0.0]}]
    )
    def test_the_dataset_of_the_active_features(self, limits: dict[str, Any]) -> None:
        path = ib.saddle_path(PATH.problem, **limits)
        used = np.flatnonzero(np.any(path.coefficients != 0.0, axis=0))
        assert path.ever_active.tolist() == used.tolist()
        assert len(used) < 15
        data, whole = path.to_dataset(active_only=True), path.to_dataset()
        assert data["column"].values.tolist() == used.tolist()
        assert data.attrs == whole.attrs
        assert data.attrs["columns"] == 15
        np.testing.assert_allclose(data["dual"], whole["dual"][:, used], atol=1e-14)
        assert data.drop_vars("dual").identical(whole.isel(feature=used).drop_vars("dual"))

    def test_pickle_brings_everything_back(self) -> None:
        copy = pickle.loads(pickle.dumps(PATH))
        for name in ("times", "coefficients", "dual", "nu", "losses", "unique", "strictly_complementary"):
            np.testing.assert_array_equal(getattr(copy, name), getattr(PATH, name))
        assert copy.status is PATH.status
        assert dict(copy.certificate.residuals) == dict(PATH.certificate.residuals)
        np.testing.assert_array_equal(copy.problem.X, PATH.problem.X)

    @pytest.mark.parametrize(
        "name", ["times", "coefficients", "dual", "nu", "losses", "unique", "strictly_complementary"]
    )
    def test_arrays_are_read_only(self, name: str) -> None:
        with pytest.raises(ValueError, match="read-only"):
            getattr(PATH, name)[0] = 0

    def test_stored_coefficients_and_sets_are_read_only(self) -> None:
        for array in (
            PATH.coefficients_sparse.data,
            PATH.equicorrelation_sets[1],
            PATH.active_sets[1],
            PATH.problem.X,
            PATH.problem.y,
        ):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0

    def test_fields_cannot_be_set(self) -> None:
        with pytest.raises(AttributeError):
            PATH.times = np.zeros(1)

    def test_the_summary_says_how_it_ended(self) -> None:
        assert repr(PATH) == f"SaddlePath({PATH.n_jumps} jumps, n=6, d=15, CONVERGED, certified=True)"


# Oracle: Python's own whole numbers, of any size.
def test_a_time_beyond_float64_is_the_end() -> None:
    assert ib.saddle_path(_problem(), t_max=10**400).times.tolist() == PATH.times.tolist()


def test_truth_is_no_number_of_jumps() -> None:
    with pytest.raises(ib.InputError, match="max_jumps is True"):
        ib.saddle_path(_problem(), max_jumps=True)
