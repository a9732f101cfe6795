"""Figures of gauges, potentials and limits against their own definitions."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure
from numpy import ndarray
from scipy import sparse

import implicitbias as ib
from tests.plotting.test_plot import saved

VECTORS = [
    ib.gauges.L1(), ib.gauges.L2(), ib.gauges.LInf(), ib.gauges.Lp(1.5), ib.gauges.WeightedL1([1.0, 3.0]),
    ib.gauges.TwoSidedL1([1.0, 2.0], [3.0, 4.0]), ib.gauges.Ellipsoid(np.array([[2.0, 0.5], [0.5, 1.0]])),
]  # fmt: skip
POTENTIALS = [
    ib.SquaredNorm(), ib.PNorm(3), ib.Cosh(), ib.HyperbolicEntropy(scale=1.0), ib.Cosh() + ib.SquaredNorm(),
    ib.QuadraticForm(np.array([[2.0, 0.9], [0.9, 1.0]])), ib.Cosh().compose(np.array([[1.0, 0.5], [0.0, 1.0]])),
    ib.Potential.from_function(lambda w: jnp.sum(jnp.cosh(w)) + w[0] ** 4),
]  # fmt: skip


def outline(figure: Figure, label: str, axis: int = 0) -> ndarray:
    """The points (m, 2) of the only line whose label begins like this."""
    (line,) = [line for line in figure.axes[axis].lines if str(line.get_label()).startswith(label)]
    return np.stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())], axis=1)


class TestGauges:
    @pytest.mark.parametrize("gauge", VECTORS, ids=lambda gauge: type(gauge).__name__)
    def test_the_outline_is_where_the_gauge_is_1(self, gauge: Any) -> None:
        figure = ib.plot(gauge)
        points = outline(figure, "unit ball")
        np.testing.assert_allclose([gauge.value(point) for point in points], 1.0, rtol=1e-12)
        assert figure.axes[0].get_aspect() == 1.0
        assert type(gauge).__name__ in figure.axes[0].get_title(loc="left")
        saved(figure)

    def test_corners_are_points_of_the_outline(self) -> None:
        square = outline(ib.plot(ib.gauges.LInf()), "unit ball")
        assert {tuple(np.abs(point)) for point in square.round(14)} >= {(1.0, 1.0)}
        diamond = outline(ib.plot(ib.gauges.L1()), "unit ball")
        assert {tuple(point) for point in diamond} >= {(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)}

    def test_other_coordinates(self) -> None:
        gauge = ib.gauges.WeightedL1([1.0, 10.0, 4.0])
        figure = ib.plot(gauge, coordinates=(0, 2))
        x, y = np.abs(outline(figure, "unit ball")).max(axis=0)
        assert (x, y) == (1.0, 0.25)
        assert figure.axes[0].get_ylabel() == "$w_{2}$"
        assert "other entries of w (3,) are 0" in figure.axes[0].get_title(loc="left")

    # Oracle: the nuclear norm of diag(a, b) is |a| + |b|, and that of a matrix with one row is its Euclidean norm.
    def test_slices_of_matrices(self) -> None:
        figure = ib.plot(ib.gauges.Nuclear())
        np.testing.assert_allclose(np.abs(outline(figure, "unit ball")).sum(axis=1), 1.0, rtol=1e-12)
        assert "slice: diagonal matrices of shape (2, 2)" in figure.axes[0].get_title(loc="left")
        row = outline(ib.plot(ib.gauges.Nuclear(), coordinates=((0, 0), (0, 1))), "unit ball")
        np.testing.assert_allclose(np.linalg.norm(row, axis=1), 1.0, rtol=1e-12)

    def test_an_unbounded_ball_and_a_flat_one(self) -> None:
        strip = ib.plot(ib.gauges.WeightedL1([1.0, 0.0]))
        assert "(unbounded)" in strip.axes[0].get_title(loc="left")
        low, high = strip.axes[0].get_ylim()
        points = outline(strip, "unit ball")
        assert points[:, 1].min() < 50 * low < 50 * high < points[:, 1].max()
        saved(strip)
        flat = outline(ib.plot(ib.gauges.WeightedL1([1.0, np.inf])), "unit ball")
        assert {tuple(np.abs(point)) for point in flat} == {(1.0, 0.0), (0.0, 0.0)}

    @pytest.mark.parametrize(
        ("coordinates", "message"),
        [
            ((0, 0), "two different entries"), ((0,), "two different entries"), (3, "two different entries"),
            ((-1, 0), "two different entries"), ((0, 3), "an array of shape (3,) are expected; type coordinates="),
            (((0, 0), (0, 1)), "an array of shape (3,) are expected"), ((0.5, 1), "two different entries"),
        ],
    )  # fmt: skip
    def test_coordinates_that_are_not_there(self, coordinates: Any, message: str) -> None:
        with pytest.raises(ib.InputError) as caught:
            ib.plot(ib.gauges.WeightedL1([1.0, 10.0, 4.0]), coordinates=coordinates)
        assert message in str(caught.value)

    def test_a_plane_needs_two_entries_and_a_finite_gauge(self) -> None:
        with pytest.raises(ib.InputError, match="at least two entries are expected"):
            ib.plot(ib.gauges.WeightedL1([1.0]))
        with pytest.raises(
            ib.InputError, match="infinite at all points of the plane; choose other coordinates"
        ):
            ib.plot(ib.gauges.WeightedL1([np.inf, np.inf, 1.0]))

    def test_a_function_that_wants_more_entries(self) -> None:
        A = np.eye(3)
        gauge = ib.gauges.FromOracle(lambda w: float(np.abs(A @ w).sum()), np.sign, np.sign)
        with pytest.raises(ib.InputError, match=r"cannot be evaluated at points of shape \(2,\)"):
            ib.plot(gauge)
        assert len(outline(ib.plot(gauge, coordinates=(0, 2)), "unit ball"))


class TestPotentials:
    # Oracle: phi itself on the drawn points, times R_c, which the label says with three digits.
    @pytest.mark.parametrize("phi", POTENTIALS, ids=lambda phi: type(phi).__name__)
    def test_the_outlines_are_level_lines(self, phi: Any) -> None:
        figure = ib.plot(phi)
        start = phi.value(np.zeros(2))
        for line in figure.axes[0].lines[:-2]:
            values = [phi.value(point) for point in np.asarray(line.get_xydata())[::45]]
            np.testing.assert_allclose(values, values[0], rtol=1e-9)
        points = outline(figure, r"$c = \phi(0) + 10^{1}$", axis=1)
        label = str(
            next(line for line in figure.axes[1].lines if "10^{1}$" in str(line.get_label())).get_label()
        )
        radius = float(label.rsplit("=", maxsplit=1)[-1].strip(" $"))
        np.testing.assert_allclose([phi.value(radius * p) - start for p in points[::45]], 10.0, rtol=0.05)
        assert np.linalg.norm(points, axis=1).max() == pytest.approx(1.0)
        saved(figure)

    # Theory 2.3: S_c / R_c converges to the unit ball of the horizon.
    @pytest.mark.parametrize("phi", POTENTIALS, ids=lambda phi: type(phi).__name__)
    def test_the_sets_approach_the_ball(self, phi: Any) -> None:
        figure = ib.plot(phi)
        ball = outline(figure, "unit ball of the horizon", axis=1)
        apart = [
            np.linalg.norm(outline(figure, rf"$c = \phi(0) + 10^{{{k}}}$", axis=1) - ball, axis=1).max()
            for k in (1, 16, 64)
        ]
        assert apart[2] <= max(0.3 * apart[0], 1e-6)
        assert apart[2] < 0.06

    @pytest.mark.parametrize(("phi", "name"), [(ib.Cosh(), "LInf"), (ib.PNorm(3), "Lp(p=3)")])
    def test_the_horizon_is_named(self, phi: Any, name: str) -> None:
        figure = ib.plot(phi)
        assert len(outline(figure, f"unit ball of the horizon {name}", axis=1))
        assert type(phi).__name__ in figure.get_suptitle()

    def test_a_potential_with_parameters_for_three_entries(self) -> None:
        phi = ib.QuadraticForm(np.diag([1.0, 4.0, 16.0]))
        figure = ib.plot(phi, coordinates=(0, 2))
        ball = outline(figure, "unit ball of the horizon", axis=1)
        assert np.abs(ball).max(axis=0) == pytest.approx([1.0, 0.25])


class TestSeveral:
    def test_a_list_and_a_dict(self) -> None:
        figure = ib.plot([ib.gauges.L1(), ib.gauges.Lp(3)])
        assert [str(line.get_label()) for line in figure.axes[0].lines[:2]] == ["L1", "Lp(p=3)"]
        named = ib.plot({"a $": ib.gauges.L1(), "b": ib.gauges.LInf()})
        np.testing.assert_allclose(np.abs(outline(named, "b")).max(axis=1), 1.0, rtol=1e-12)
        saved(named)

    # A horizon is known up to a factor, so that sizes of balls would mean nothing.
    def test_with_a_potential_all_balls_have_one_size(self) -> None:
        figure = ib.plot(
            [ib.gauges.LInf(), ib.HyperbolicEntropy(scale=1.0), ib.QuadraticForm(np.eye(2) * 9.0)]
        )
        for line in figure.axes[0].lines[:3]:
            assert np.linalg.norm(np.asarray(line.get_xydata()), axis=1).max() == pytest.approx(1.0)
        assert "largest length 1" in figure.axes[0].get_title(loc="left")

    @pytest.mark.parametrize(
        ("items", "message"),
        [
            ([], "the list of gauges is empty"),
            ([ib.gauges.L1(), "l2"], "the list holds a str, gauges and potentials are expected"),
            ([ib.gauges.WeightedL1([1.0, 1.0]), ib.gauges.WeightedL1([1.0, 1.0, 1.0])], r"have shape \(2,\)"),
            ([ib.gauges.L1(), ib.gauges.Nuclear()], "a matrix is expected by Nuclear"),
        ],
    )
    def test_a_list_that_cannot_be_drawn(self, items: Any, message: str) -> None:
        with pytest.raises(ib.InputError, match=message):
            ib.plot(items)


# The numerical horizon of a sum accepts points of any shape; the potential says that its points are matrices.
def test_a_sum_of_spectral_potentials() -> None:
    phi = ib.Spectral(ib.SquaredNorm() + ib.PNorm(3))
    assert "diagonal matrices" in ib.plot(phi).axes[0].get_title(loc="left")
    assert "(2, 3)" in ib.plot(phi, coordinates=((0, 0), (1, 2))).axes[0].get_title(loc="left")
    assert len(ib.plot([phi, ib.gauges.Nuclear()]).axes) == 1


def test_classes_are_refused() -> None:
    with pytest.raises(ib.InputError, match="the list holds the class Cosh"):
        ib.plot([ib.Cosh])


def test_coordinates_belong_to_gauges_and_potentials() -> None:
    path = ib.saddle_path(ib.LeastSquares(np.eye(2), [2.0, 1.0]))
    with pytest.raises(ib.InputError, match="coordinates is given for a SaddlePath"):
        ib.plot(path, coordinates=(0, 1))


def _clouds(d: int, k: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(60) % k
    return 6.0 * np.eye(k, d)[y] + 0.3 * rng.standard_normal((60, d)), y


class TestLimits:
    # Oracle: the margins of the rows by NumPy.
    @pytest.mark.parametrize(("d", "k"), [(2, 2), (5, 2), (2, 3), (4, 3)])
    def test_a_classifier(self, d: int, k: int) -> None:
        X, y = _clouds(max(d, k), k)
        X = X[:, :d] if k == 2 else X @ np.random.default_rng(1).standard_normal((X.shape[1], d))
        frame = pandas.DataFrame(X, columns=[f"length {j}" for j in range(d)])
        problem = ib.Classification(frame, y, loss="logistic" if k == 2 else "cross_entropy")
        limit = ib.max_margin(problem, "l2", bias=True)
        figure = ib.plot(limit)
        left, right = figure.axes
        assert "certified" in left.get_title(loc="left")
        scores = X @ limit.point + limit.bias
        if k == 2:
            margins = np.where(y == 1, 1.0, -1.0) * scores
        else:
            own = scores[np.arange(60), y]
            margins = own - np.max(np.where(np.eye(k, dtype=bool)[y], -np.inf, scores), axis=1)
        drawn = np.concatenate([np.asarray(right.collections[c].get_offsets())[:, 1] for c in range(k)])
        np.testing.assert_allclose(np.sort(drawn), np.sort(margins))
        if d == 2:
            assert (left.get_xlabel(), left.get_ylabel()) == ("length 0", "length 1")
        else:
            names = {text.get_text() for text in left.get_yticklabels()}
            assert names == {
                f"length {j}" for j in np.flatnonzero(np.abs(limit.point.T).reshape(-1, d).max(axis=0))
            }
        saved(figure)

    # Oracle: on the drawn line of level 0 the score is 0.
    def test_the_line_separates(self) -> None:
        X, y = _clouds(2, 2)
        limit = ib.max_margin(ib.Classification(sparse.csr_array(X), y), "l1", bias=True)
        figure = ib.plot(limit)
        paths = next(c for c in figure.axes[0].collections if len(c.get_paths()) == 3).get_paths()
        for level, path in zip((-1.0, 0.0, 1.0), paths, strict=True):
            np.testing.assert_allclose(path.vertices @ limit.point + limit.bias, level, atol=1e-9)

    def test_a_limit_of_regression(self) -> None:
        limit = ib.saddle_path(ib.LeastSquares(np.eye(3), [3.0, 0.0, -1.0])).limit
        figure = ib.plot(limit)
        widths = sorted(bar.get_width() for bar in figure.axes[0].patches)  # type: ignore[attr-defined]
        np.testing.assert_allclose(widths, [-1.0, 3.0])
        assert "2 of 3 are not 0" in figure.axes[0].get_xlabel()
        saved(figure)

    def test_parameters_of_a_model_are_no_coefficients(self) -> None:
        problem = ib.Problem(lambda w, X: X @ w, [[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0], loss="logistic")
        limit = ib.norm_minimizer(problem, np.array([3.0, -2.0]))
        with pytest.raises(
            ib.InputError, match=r"ndarray of shape \(2,\) of parameters.*look at limit.point"
        ):
            ib.plot(limit)

    def test_a_matrix_has_no_columns(self) -> None:
        problem = ib.LeastSquares.entries([0, 1], [0, 1], [1.0, 2.0], (2, 2))
        point = np.diag([1.0, 2.0])
        certificate = ib.certify(problem, point, ib.MinNorm(ib.gauges.Nuclear()))
        limit = ib.Limit(problem, point, 3.0, certificate, ib.Status.CONVERGED)
        with pytest.raises(ib.InputError, match=r"ndarray of shape \(2, 2\).*look at limit.point"):
            ib.plot(limit)
