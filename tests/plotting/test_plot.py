"""Figures are built, say what they should, and can be saved; how they look is for people."""

import inspect
from io import BytesIO
from typing import Any

import matplotlib.pyplot
import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import implicitbias as ib
from implicitbias.diagnostics import ScaleSweep
from implicitbias.plotting import PathPicture, Run, path_figure, path_over_simulation, rate_figure


def _problem(names: list[str] | None = None) -> ib.LeastSquares:
    X = np.random.default_rng(0).standard_normal((5, 7))
    y = X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    return ib.LeastSquares(X if names is None else pandas.DataFrame(X, columns=names), y)


def saved(figure: Figure) -> bytes:
    """The picture, drawn: what a broken label or limit would stop."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=40)
    picture = file.getvalue()
    assert picture.startswith(b"\x89PNG")
    return picture


def _run(path: ib.SaddlePath, trajectory: ib.Trajectory) -> Run:
    sweep = ScaleSweep(path, (trajectory,), np.array([100.0]), path.problem.loss)
    return Run("alpha = e^-100", *sweep.sampled(0, 1.15 * float(path.times[-1])))


def texts(figure: Figure) -> set[str]:
    """Every annotation, title and label."""
    found = {
        text.get_text() for axis in figure.axes for text in (*axis.texts, axis.xaxis.label, axis.yaxis.label)
    }
    return found | {axis.get_title(loc="left") for axis in figure.axes}


@pytest.fixture(scope="module")
def trajectory() -> ib.Trajectory:
    problem = _problem()
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-200.0))
    observe = {"loss": lambda t, w: problem.loss(w), "state twice": lambda t, w: 2 * w}
    return ib.simulate(flow, np.zeros(7), t1=200.0, observe=observe)


class TestPaths:
    def test_a_path(self) -> None:
        path = ib.saddle_path(_problem())
        figure = ib.plot(path)
        assert [axis.get_ylabel() for axis in figure.axes] == ["coefficient", "loss"]
        assert {"$w_{0}$", "$w_{1}$", "$w_{5}$"} <= texts(figure)
        assert any("3 jumps, certified" in text for text in texts(figure))
        saved(figure)

    # Oracle: the lines' own data: jumps where the path jumps, to where it jumps.
    def test_its_lines_are_the_path(self) -> None:
        path = ib.saddle_path(_problem())
        lines = [line for line in ib.plot(path).axes[0].lines if line.get_drawstyle() == "steps-post"]
        drawn = {tuple(np.asarray(line.get_ydata())[:-1]) for line in lines}
        used = np.unique(path.coefficients_sparse.indices)
        assert drawn == {tuple(path.coefficients[:, i]) for i in used}
        assert all(np.array_equal(np.asarray(line.get_xdata())[:-1], path.times) for line in lines)

    @pytest.mark.parametrize("limits", [{"max_jumps": 0}, {"max_jumps": 1}, {"t_max": 1.0}, {"t_max": 0.0}])
    def test_a_path_that_was_cut_ends_where_it_is_known(self, limits: dict[str, Any]) -> None:
        path = ib.saddle_path(_problem(), **limits)
        figure = ib.plot(path)
        assert figure.axes[0].get_xlim()[1] <= path.valid_until
        saved(figure)

    @pytest.mark.parametrize(
        "y", [np.zeros(3), np.array([0.0, 0.0, 1.0])], ids=["y = 0", "y orthogonal to X"]
    )
    def test_a_path_without_jumps(self, y: np.ndarray) -> None:
        path = ib.saddle_path(ib.LeastSquares(np.eye(3)[:, :2], y))
        assert path.n_jumps == 0
        figure = ib.plot(path)
        assert any("0 jumps" in text for text in texts(figure))
        saved(figure)

    def test_a_pretrained_path(self) -> None:
        saved(ib.plot(ib.saddle_path(_problem(), start=np.array([0.0, 1.0, -1.0, 0, 0, 0, 0]))))

    def test_names_of_a_data_frame_are_shown(self) -> None:
        figure = ib.plot(ib.saddle_path(_problem(["age", "sex_id", "bmi", "d", "e", "f %", "g"])))
        assert {"age", "sex_id", "f %"} <= texts(figure)
        saved(figure)

    # What matplotlib would read as mathematics, and fail on.
    # The font has no character for a tab, and matplotlib would warn.
    def test_a_tab_is_drawn_as_an_escape(self) -> None:
        figure = ib.plot(ib.saddle_path(_problem(["a\tb", "second", "c", "d", "e", "f", "g"])))
        saved(figure)
        assert r"a\tb" in {text.get_text() for text in figure.axes[0].texts}

    @pytest.mark.parametrize(
        "name", ["US$ per $", "$", "$%$", r"\frac{", "a_b^c", "{", "价格", "a\nb", "", " "]
    )
    def test_any_name_can_be_drawn(self, name: str) -> None:
        names = ["first", "second", "c", "d", "e", "f", "g"]
        names[0] = name
        figure = ib.plot(ib.saddle_path(_problem(names)))
        drawn = {text.get_text() for text in figure.axes[0].texts}
        assert any(text.replace("\\$", "$") == name for text in drawn)
        if name.isascii():  # the default font has no Chinese, and says so
            saved(figure)

    def test_jumps_decades_apart_get_a_logarithm(self) -> None:
        path = ib.saddle_path(ib.LeastSquares(np.diag([1.0, 1e-3]), [1.0, 1.0]))
        figure = ib.plot(path)
        assert figure.axes[0].get_xscale() == "log"
        saved(figure)

    def test_one_jump_and_a_single_coordinate(self) -> None:
        saved(ib.plot(ib.saddle_path(ib.LeastSquares([[1.0], [2.0]], [1.0, 2.0]))))

    def test_magnitudes_of_any_unit(self) -> None:
        for unit in (1e-100, 1e100):
            problem = _problem()
            saved(ib.plot(ib.saddle_path(ib.LeastSquares(problem.X, unit * problem.y))))


class TestModels:
    # Oracle: the lines' own data.
    def test_a_cross_validated_regressor(self) -> None:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((40, 6))
        model = ib.SaddlePathRegressorCV(cv=4).fit(X, X[:, 0] - X[:, 1] + rng.standard_normal(40))
        figure = ib.plot(model)
        assert [axis.get_ylabel().splitlines()[0] for axis in figure.axes] == [
            "coefficient",
            "loss",
            "held-out error",
        ]
        error = figure.axes[2]
        (mean,) = [line for line in error.lines if line.get_drawstyle() == "steps-post"]
        np.testing.assert_array_equal(np.asarray(mean.get_xdata())[:-1], model.cv_times_)
        np.testing.assert_array_equal(np.asarray(mean.get_ydata())[:-1], model.cv_curve_.mean)
        (band,) = error.collections
        upper = (model.cv_curve_.mean + model.cv_curve_.standard_error).max()
        assert band.get_datalim(error.transData).y1 == pytest.approx(upper)
        for axis in figure.axes:
            assert any(np.all(np.asarray(line.get_xdata()) == model.t_) for line in axis.lines)
        # The path is drawn to its end.
        assert figure.axes[0].get_xlim()[1] > model.path_.times[-1] > model.t_
        assert any("4 folds choose slow time" in text for text in texts(figure))
        saved(figure)

    def test_a_regressor_is_drawn_as_its_path(self) -> None:
        X = np.random.default_rng(0).standard_normal((20, 4))
        model = ib.SaddlePathRegressor(n_jumps=2).fit(X, X[:, 0] - X[:, 1])
        assert saved(ib.plot(model)) == saved(ib.plot(model.path_))

    def test_a_single_fold_has_no_band(self) -> None:
        X = np.random.default_rng(0).standard_normal((20, 4))
        fold = [(np.arange(10), np.arange(10, 20))]
        figure = ib.plot(ib.SaddlePathRegressorCV(cv=fold).fit(X, X[:, 0] - X[:, 1]))
        assert len(figure.axes[2].collections) == 0
        saved(figure)

    @pytest.mark.parametrize("kind", [ib.SaddlePathRegressor, ib.SaddlePathRegressorCV])
    def test_a_regressor_that_is_not_fitted(self, kind: Any) -> None:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ib.plot(kind())


class TestTrajectories:
    def test_a_trajectory(self, trajectory: ib.Trajectory) -> None:
        figure = ib.plot(trajectory)
        # Observables that are arrays have no line of their own.
        assert [axis.get_ylabel() for axis in figure.axes] == ["state", "loss"]
        assert any(str(trajectory.stats.steps) in text for text in texts(figure))
        saved(figure)

    # Oracle: the line's own data.
    def test_its_lines_are_the_states(self, trajectory: ib.Trajectory) -> None:
        lines = ib.plot(trajectory).axes[0].lines
        drawn = {tuple(np.asarray(line.get_ydata())) for line in lines}
        assert drawn == {tuple(column) for column in trajectory.states.T}

    @pytest.mark.parametrize("times", [[200.0], [0.5, 200.0]])
    def test_few_kept_times(self, times: list[float]) -> None:
        flow = ib.MirrorFlow(_problem(), ib.HyperbolicEntropy(log_scale=-200.0))
        saved(ib.plot(ib.simulate(flow, np.zeros(7), times=times)))

    def test_a_trajectory_that_stopped_at_once(self) -> None:
        flow = ib.MirrorFlow(_problem(), ib.HyperbolicEntropy(log_scale=-200.0))
        saved(ib.plot(ib.simulate(flow, np.zeros(7), t1=200.0, max_steps=1)))
        with pytest.raises(ib.InputError, match="holds no times"):
            ib.plot(ib.simulate(flow, np.zeros(7), times=[100.0, 200.0], max_steps=1))

    def test_a_trajectory_that_never_moves(self) -> None:
        X = np.random.default_rng(0).standard_normal((5, 7))
        flow = ib.MirrorFlow(ib.LeastSquares(X, np.zeros(5)), ib.HyperbolicEntropy(log_scale=-200.0))
        saved(ib.plot(ib.simulate(flow, np.zeros(7), t1=10.0)))


class TestPytrees:
    # Oracle: the lines' own data, and the names of the leaves.
    def test_a_trajectory_of_a_pytree(self) -> None:
        problem = ib.LeastSquares(_problem().X, _problem().y).reparametrize(ib.HadamardProduct())
        pair = (np.full(7, 0.5), np.full(7, 0.1))
        trajectory = ib.simulate(ib.GradientFlow(problem, 0.1), pair, t1=5.0)
        figure = ib.plot(trajectory)
        drawn = {tuple(np.asarray(line.get_ydata())) for line in figure.axes[0].lines}
        assert {tuple(column[-3:]) for column in np.hstack(trajectory.states).T} <= {
            line[-3:] for line in drawn
        }
        assert any("[0][1]" in text for text in texts(figure))
        saved(figure)

    def test_a_run_of_gradient_descent(self) -> None:
        saved(ib.plot(ib.simulate(ib.GradientDescent(_problem(), 0.1), np.zeros(7), t1=100.0)))


class TestStudies:
    @pytest.mark.parametrize("columns", [1, 2])
    def test_a_path_over_simulations(self, columns: int, trajectory: ib.Trajectory) -> None:
        path = ib.saddle_path(_problem())
        figure = path_over_simulation(PathPicture.of_path(path), [_run(path, trajectory)] * columns)
        assert len(figure.axes) == 2 * columns
        saved(figure)

    # Oracle: the lines' own data: the samples of the simulation.
    def test_its_wide_lines_are_the_simulation(self, trajectory: ib.Trajectory) -> None:
        path = ib.saddle_path(_problem())
        run = _run(path, trajectory)
        top, bottom = path_over_simulation(PathPicture.of_path(path), [run]).axes
        wide = {tuple(np.asarray(line.get_ydata())) for line in top.lines if line.get_linewidth() == 4}
        used = np.unique(path.coefficients_sparse.indices)
        assert wide == {tuple(run.states[:, i]) for i in used}
        (line,) = [line for line in bottom.lines if line.get_linewidth() == 4]
        np.testing.assert_array_equal(line.get_ydata(), run.losses)

    def test_the_unit_of_time_is_not_claimed_for_growth_times(self, trajectory: ib.Trajectory) -> None:
        path = ib.saddle_path(_problem(), growth_times=(0.5, 0.5))
        assert ib.plot(path).axes[-1].get_xlabel() == "slow time"
        assert "alpha" in ib.plot(ib.saddle_path(_problem())).axes[-1].get_xlabel()
        picture = PathPicture.of_path(path)._replace(time_label="slow time $t$ scale")
        figure = path_over_simulation(picture, [_run(path, trajectory)])
        assert figure.axes[-1].get_xlabel() == "slow time $t$ scale"

    # Oracle: the picture of the path itself.
    @pytest.mark.parametrize("names", [None, ["age", "sex", "bmi", "d", "e", "f", "g"]])
    @pytest.mark.parametrize("limits", [{}, {"max_jumps": 1}])
    def test_a_dataset_is_drawn_as_its_path(self, names: list[str] | None, limits: dict[str, Any]) -> None:
        path = ib.saddle_path(_problem(names), **limits)
        drawn = saved(ib.plot(path))
        for data in (path.to_dataset(), path.to_dataset(active_only=True)):
            assert saved(path_figure(PathPicture.of_dataset(data))) == drawn

    def test_a_rate(self) -> None:
        x = np.array([0.1, 0.01, 0.001])
        figure = rate_figure(x, {"a": x, "b": np.array([0.1, 0.0, 1e-5])}, "x", "y", 1.0)
        (axis,) = figure.axes
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b", "slope 1"]
        saved(figure)

    def test_a_rate_with_errors_that_cannot_be_drawn(self) -> None:
        x = np.array([0.1, 0.01])
        saved(rate_figure(x, {"missed": np.array([np.nan, np.nan]), "exact": np.zeros(2)}, "x", "y", 1.0))
        saved(rate_figure(x, {"half": np.array([np.nan, 1e-3])}, "x", "y", 1.0))


@pytest.mark.parametrize(
    "result", [None, np.zeros(3), "path", _problem(), ib.SaddlePath, ib.Cosh, ib.gauges.L1]
)
def test_other_types_are_refused(result: object) -> None:
    with pytest.raises(ib.InputError, match=r"result is (a|the class) .*SaddlePath, a Trajectory"):
        inspect.unwrap(ib.plot)(result)


# A classifier is drawn as its limit, with the labels of the caller; one against the rest has a row for each class.
def test_a_fitted_classifier_is_drawn() -> None:
    X, y = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [1.0, 0.0]]), np.array(["a", "b_1", "c", "a"])
    (left, right) = ib.plot(ib.MaxMarginClassifier(horizon="l2").fit(X, y)).axes
    names = [text.get_text() for text in right.get_legend().get_texts()]
    assert names[:3] == ["a", "b_1", "c"]
    assert "certified" in left.get_title(loc="left")
    figure = ib.plot(ib.MaxMarginClassifier(horizon="l2", multi_class="ovr", C=10.0).fit(X, y))
    assert [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes[::2]] == [
        f"{name} against the rest" for name in ("a", "b_1", "c")
    ]
    saved(figure)
    with pytest.raises(NotFittedError):
        ib.plot(ib.MaxMarginClassifier())


def test_the_regressor_of_a_pipeline_is_drawn_as_the_message_says() -> None:
    X = np.random.default_rng(0).standard_normal((20, 3))
    pipeline = make_pipeline(StandardScaler(), ib.SaddlePathRegressorCV()).fit(X, X[:, 0])
    with pytest.raises(ib.InputError, match=r"type ib\.plot\(pipeline\[-1\]\)"):
        inspect.unwrap(ib.plot)(pipeline)
    assert isinstance(ib.plot(pipeline[-1]), Figure)


def test_no_global_state_is_touched() -> None:
    before = dict(matplotlib.rcParams)
    ib.plot(ib.saddle_path(_problem()))
    assert matplotlib.pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_times_beyond_float64_are_drawn_by_their_logarithms() -> None:
    problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1], loss="exponential")
    trajectory = ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), np.zeros(2), log_t1=1000.0)
    axis = ib.plot(trajectory).axes[0]
    assert axis.get_xlabel().endswith("$\\ln t$")
    assert axis.get_xlim()[1] == pytest.approx(1000.0)
