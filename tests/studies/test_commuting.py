"""The study of commuting parametrizations: its claims hold, fail where numbers are wrong, and rest on checked formulas.

Only the first point is computed here; the claims of the other ones are tested with small datasets written by hand, and
`pytest -m long` computes them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import implicitbias as ib
from implicitbias._core.labelled import dataset
from implicitbias.studies._commuting_designs import least_norm_bound
from implicitbias.studies._commuting_maps import minimiser
from implicitbias.studies._commuting_products import asymmetry, metric
from implicitbias.studies._commuting_real import fitted_to_sums
from implicitbias.studies._commuting_settings import sparse_regression
from implicitbias.studies.commuting import STUDY
from tests.studies.running import ClaimsHold, failing

NAME, POINT = "commuting", "scales"
ENDED = {"simulation_status": (("simulation",), np.array(["REACHED_TIME"]))}


class TestFromTheKernelToTheRichRegime(ClaimsHold):
    point = POINT

    # Oracle: HiGHS for the least l1 norm, and the normal equations for the least l2 norm.
    def test_both_limits(self, data: Any) -> None:
        problem = sparse_regression()
        X, y = problem.linear_map.take(np.arange(10)), problem.targets
        found = linprog(np.ones(20), A_eq=np.hstack([X, -X]), b_eq=y, method="highs")
        np.testing.assert_allclose(data["least_l1"], found.x[:10] - found.x[10:], atol=1e-7)
        np.testing.assert_allclose(data["least_l2"], X.T @ np.linalg.solve(X @ X.T, y), atol=1e-12)

    # Oracle: by hand: each change makes the statement false that is named.
    @pytest.mark.parametrize(
        ("words", "changed"),
        [
            ("training of u * v", {"trained": lambda w: w * (1.0 + 1e-7)}),
            ("training of u^2 - v^2", {"trained": lambda w: w * (1.0 + 1e-7)}),
            ("order a^-2", {"least_l2": lambda w: w + 1e-3}),
            ("order a^(1 - |s|)", {"least_l1_dual": lambda s: 0.9 * s}),
            ("smallest scale", {"least_l1": lambda w: 0.9 * w}),
            ("only decreases", {"drawn": lambda w: w[::-1]}),
        ],
    )
    def test_each_claim_can_fail(self, data: Any, words: str, changed: dict[str, Any]) -> None:
        wrong = data.assign(
            {name: (data[name].dims, change(data[name].values)) for name, change in changed.items()}
        )
        assert any(words in statement for statement in failing(STUDY.claims(POINT, wrong)))


def scalars(**numbers: float) -> dict[str, Any]:
    return {name: ((), np.array(number)) for name, number in numbers.items()}


def products() -> Any:
    """U U^T and U V^T as they should be, with the smallest numbers that do so."""
    eye, ends = np.eye(3), np.tile([1.0, 2.0, 3.0], (2, 2, 1))
    integrals = ends.copy()
    integrals[0, 1] *= 1.1
    return dataset(
        {
            "bracket": (("map",), np.array([0.5, 0.4, 0.0])),
            "motion": (("map",), np.array([0.5, 0.4, 0.0])),
            "square_metric": (("entry", "other"), eye),
            "square_formula": (("entry", "other"), eye),
            "square_turned": (("entry", "other"), eye),
            "product_metric": (("element", "partner"), np.eye(4)),
            "product_stretched": (("element", "partner"), 2.0 * np.eye(4)),
            "asymmetry_place": (("index",), np.array([0, 1, 2])),
            "integral": (("flow", "loss", "coordinate"), integrals),
            "integral_coarse": (("flow", "loss", "coordinate"), integrals * (1.0 + 1e-9)),
            "end": (("flow", "loss", "coordinate"), ends),
            "target": (("coordinate",), ends[0, 0]),
        }
        | scalars(asymmetry=0.3, control_asymmetry=0.0)
        | ENDED,
        {},
        {},
    )


def maps() -> Any:
    """One map that trains as it should."""
    w, falling = np.linspace(1.0, 2.0, 12).reshape(1, 4, 3), np.array([[1.0, 0.1, 1e-9, 1e-18]])
    one = ("bracket", "mirror_of_start", "limit_apart", "limit_gap", "switched_apart")
    return dataset(
        {
            "map": (("map",), np.array(["a map"])),
            "closed": (("closed_map",), np.array(["a map"])),
            "theta_w": (("map", "time", "coordinate"), w),
            "mirror_w": (("map", "time", "coordinate"), w * (1.0 + 1e-10)),
            "divergence": (("closed_map", "time"), falling),
            "margin_divergence": (("closed_map", "time"), falling),
            "margin_apart": (("closed_map",), np.zeros(1)),
            "margin_limit_apart": (("closed_map",), np.zeros(1)),
            "limit_moved": (("map",), np.ones(1)),
            "switched_moved": (("map",), np.ones(1)),
        }
        | {name: (("map",), np.zeros(1)) for name in one}
        | scalars(cross_entropy_apart=0.0)
        | ENDED,
        {},
        {},
    )


def designs() -> Any:
    """A round trip without error, and a design for the l1 norm that uses half of its excess."""
    numbers = {
        "norm": 1.05,
        "least": 1.0,
        "bound": 0.1,
        "apart": 0.0,
        "gap": 0.0,
        "left": 0.0,
        "euclidean": 1.5,
    }
    return dataset(
        {"potential": (("potential",), np.array(["cosh"]))}
        | {f"{name}_error": (("potential",), np.zeros(1)) for name in ("mirror", "value", "table")}
        | {"p": (("design",), np.ones(1)), "closeness": (("design",), np.array([0.1]))}
        | {f"design_{name}": (("design",), np.array([number])) for name, number in numbers.items()}
        | ENDED,
        {},
        {},
    )


def diabetes() -> Any:
    """Two scales, and a classifier that arrives."""
    ends, path = np.array([[2.0, 1.0], [1.0, 1.0]]), np.array([[0.0], [1.0]])
    return dataset(
        {
            "scale": (("scale",), np.array([1.0, 0.01])),
            "trained": (("scale", "feature"), ends),
            "predicted": (("scale", "feature"), ends),
            "gap": (("scale",), np.zeros(2)),
            "left": (("scale",), np.zeros(2)),
            "classifier_w": (("time", "column"), path),
            "classifier_mirror": (("time", "column"), path),
            "classifier_best": (("column",), path[-1]),
            "classifier_divergence": (("time",), np.array([1.0, 0.0])),
        }
        | ENDED,
        {},
        {},
    )


def digits() -> Any:
    """Two starts, of which the second one leads nearer to the table."""
    ends = np.array([[1.0, 2.0], [1.1, 1.9]])
    return dataset(
        dict.fromkeys(("trained", "predicted", "raked"), (("start", "cell"), ends))
        | {
            "table": (("digit", "image_row"), np.array([[1.12, 1.88]])),
            "independent": (("cell",), ends[0]),
            "gap": (("start",), np.zeros(2)),
        }
        | ENDED,
        {},
        {},
    )


CASES: dict[str, Callable[[], Any]] = {
    "products": products,
    "maps": maps,
    "designs": designs,
    "diabetes": diabetes,
    "digits": digits,
}


@pytest.mark.parametrize("point", CASES)
def test_claims_about_right_numbers_hold(point: str) -> None:
    claims = STUDY.claims(point, CASES[point]())
    assert failing(claims) == []
    states = {assumption.state for claim in claims for assumption in claim.assumptions}
    assert states <= {"checked: holds"}


# Oracle: by hand: a number that is not known, or wrong by 1, is an error of every claim that uses it.
@pytest.mark.parametrize("point", CASES)
def test_every_claim_fails_where_a_number_is_wrong(point: str) -> None:
    data, failed = CASES[point](), set()
    for name in data.variables:
        values = data[name].values
        if values.dtype.kind != "f":
            continue
        for wrong in (
            np.full_like(values, np.nan),
            values + 1.0 + np.arange(values.size).reshape(values.shape),
            0 * values,
        ):
            with np.errstate(all="ignore"):
                failed |= set(failing(STUDY.claims(point, data.assign({name: (data[name].dims, wrong)}))))
    assert {claim.statement for claim in STUDY.claims(point, data)} <= failed


@pytest.mark.parametrize("point", ["products", "maps", "designs", "diabetes", "digits"])
def test_a_flow_that_stopped_early_supports_nothing(point: str) -> None:
    data = CASES[point]().assign({"simulation_status": (("simulation",), np.array(["MAX_STEPS"]))})
    assert not all(claim.supported for claim in STUDY.claims(point, data))


# Oracle: differences of U U^T, which is quadratic, so that central differences are exact up to rounding errors.
def test_the_metric_of_a_square() -> None:
    U = np.random.default_rng(0).standard_normal((2, 2))
    rows = []
    for place in np.ndindex(2, 2):
        step = np.zeros((2, 2))
        step[place] = 0.5
        change = (U + step) @ (U + step).T - (U - step) @ (U - step).T
        rows.append(change[[0, 0, 1], [0, 1, 1]])
    J = np.array(rows).T
    np.testing.assert_allclose(metric(U @ U.T), J @ J.T, rtol=1e-12, atol=1e-12)


# Oracle: by hand: x^4 + x^2 y has third derivatives 24 x and 2, and a metric that depends on the other coordinate has
# d_1 g_00 = 1 and d_0 g_10 = 0.
def test_asymmetry() -> None:
    x, y = 1.0, 2.0
    g = np.array([[12.0 * x * x + 2.0 * y, 2.0 * x], [2.0 * x, 1.0]])
    third = np.array([[[24.0 * x, 2.0], [2.0, 0.0]], [[2.0, 0.0], [0.0, 0.0]]])
    K = np.linalg.inv(g)
    assert asymmetry(K, np.array([-K @ slope @ K for slope in third]))[0] < 1e-13
    found, place = asymmetry(np.eye(2), np.array([np.zeros((2, 2)), -np.diag([1.0, 0.0])]))
    assert found == pytest.approx(1.0)
    assert place in {(0, 0, 1), (1, 0, 0)}


# Oracle: by hand: from a table of rank 1, the product of the sums; and the cross ratio is that of the start.
def test_fitting_a_table_to_sums() -> None:
    rows, columns = np.array([3.0, 1.0]), np.array([2.0, 2.0])
    np.testing.assert_allclose(fitted_to_sums(np.ones((2, 2)), rows, columns), np.outer(rows, columns) / 4.0)
    found = fitted_to_sums(np.array([[2.0, 1.0], [1.0, 1.0]]), rows, columns)
    np.testing.assert_allclose([found.sum(axis=1), found.sum(axis=0)], [rows, columns])
    assert found[0, 0] * found[1, 1] / (found[0, 1] * found[1, 0]) == pytest.approx(2.0)


# Oracle: by hand: 3 of 4 equal rows are positive, so that sigma(w) = 3/4.
def test_the_minimiser_of_the_logistic_loss() -> None:
    problem = ib.Classification(np.ones((4, 1)), np.array([1, 1, 1, -1]))
    np.testing.assert_allclose(minimiser(problem), [np.log(3.0)], rtol=1e-12)


# Oracle: by hand: w_1 + 2 w_2 = 2 has the least norms 1 (l1), 2 / sqrt5 (l2) and 2 / 9^(1/3) (l1.5).
@pytest.mark.parametrize(("p", "least"), [(1.0, 1.0), (2.0, 2.0 / np.sqrt(5.0)), (1.5, 2.0 / 9.0 ** (1 / 3))])
def test_the_bound_of_the_least_norm(p: float, least: float) -> None:
    X, y = np.array([[1.0, 2.0]]), np.array([2.0])
    assert least_norm_bound(X, y, p, np.array([0.7])) == pytest.approx(least)


def test_its_figures(data: Any) -> None:
    (figure,) = STUDY.figures(POINT, data).values()
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "excess of the $l_1$ norm",
        "excess of the $l_2$ norm",
    ]
