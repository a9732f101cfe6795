"""The study of grokking in ReLU networks: its claims hold, and its bounds and times agree with closed forms."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies._grokking_flows import Case, first_below, flat, least_eigenvalue, unflattened
from implicitbias.studies._relu_claims import end_claims, least_norm_claims, start_claims
from implicitbias.studies._relu_least_norm import largest, least_norm
from implicitbias.studies._relu_settings import SETTINGS, functions
from implicitbias.studies.grokking_relu import STUDY
from tests.studies.running import NamedClaims, computed, failing

NAME, POINT = "grokking-relu", "6-inputs"


class TestTheSmallNetwork(NamedClaims):
    point = POINT
    words = (
        "reported and not claimed", "collapse", "KKT point", "any width", "do not commute", "never generalises",
         "ln(scale)", "no delay", "never fitted",
    )  # fmt: skip

    # Oracle: the dual of the convex program at the multipliers of theta = J^T q, with |h| <= 1 on the circle.
    def test_the_norm_at_the_limit_is_that_of_the_bounds(self, data: Any) -> None:
        assert float(data["least_bound"]) <= float(data["least_square"])
        values = data["limit_square"], data["least_square"]
        np.testing.assert_allclose(*(float(value) for value in values), rtol=1e-5)

    def test_the_functions_fit_the_data(self, data: Any) -> None:
        x, y = data["train_input"].values, data["train_target"].values
        at = np.interp(x, data["input_value"].values, data["function"].values[-1])
        # The grid has steps of 0.02 and the slopes of the functions are below 3.
        np.testing.assert_allclose(at, y, atol=0.1)


class TestTheClaimsCanFail:
    # Oracle: by hand: each change makes one statement false.
    def test_a_limit_of_another_norm(self, data: Any) -> None:
        wrong = failing(least_norm_claims(POINT, data.assign(limit_square=1.001 * data["limit_square"])))
        assert len(wrong) == 1
        assert "any width" in wrong[0]

    def test_ends_that_do_not_come_nearer(self, data: Any) -> None:
        wrong = failing(end_claims(POINT, data.assign(end_apart=data["end_apart"][::-1].copy())))
        assert len(wrong) == 1
        assert "come nearer" in wrong[0]

    def test_times_that_do_not_grow_with_the_scale(self, data: Any) -> None:
        wrong = failing(start_claims(POINT, data.assign(scale_generalised=0.9 * data["scale_generalised"])))
        assert any("ln(scale)" in text for text in wrong)


# Oracle: with one row, given twice, one unit along (x, 1) is the best, with |a| ||(w, b)|| = |y| / ||(x, 1)||, and
# |theta|^2 is twice that.
@pytest.mark.parametrize(("x", "y"), [(0.0, 1.0), (0.7, -2.0), (-1.3, 0.4)])
def test_the_least_norm_of_one_input(x: float, y: float) -> None:
    found = least_norm(np.array([x, x]), np.array([y, y]))
    exact = 2.0 * abs(y) / np.hypot(x, 1.0)
    assert found.lower <= exact * (1.0 + 1e-9)
    assert found.upper >= exact * (1.0 - 1e-9)
    assert found.upper - found.lower <= 1e-5 * exact


# Oracle: a fine grid of the circle, which finds the maximum of a Lipschitz function up to its step.
@pytest.mark.parametrize("seed", range(5))
def test_the_largest_value_on_the_circle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, nu = rng.uniform(-2.0, 2.0, 6), rng.standard_normal(6)
    angles = np.linspace(0.0, 2.0 * np.pi, 200_001)
    h = nu @ np.maximum(np.outer(x, np.cos(angles)) + np.sin(angles), 0.0)
    assert largest(x, nu) == pytest.approx(np.max(np.abs(h)), rel=1e-4)
    assert largest(x, nu) >= np.max(np.abs(h)) * (1.0 - 1e-12)


# Oracle: by hand: 2 max(x + 1, 0) - max(-x, 0).
def test_functions() -> None:
    (values,) = functions(np.array([[1.0, -1.0, 1.0, 0.0, 2.0, -1.0]]), np.array([-2.0, -0.5, 1.0]))
    np.testing.assert_array_equal(values, [-2.0, 0.5, 4.0])


# Oracle: w(t) = e^(-t / 2) for the problem ||w||^2 / 4, with the Hessian 1/2.
def test_the_first_time_below_a_level() -> None:
    problem = ib.LeastSquares(np.eye(2), [0.0, 0.0])

    def errors(states: np.ndarray) -> np.ndarray:
        return states**2

    case = Case(problem, np.ones(2), errors, (0.25, 0.01), (1e-2,), (0.1, 1.0), 10.0, 1e-9)
    run = case.run(0.0, 20.0)
    for level in (0.5, 1e-3):
        found = first_below(run, lambda states: states[:, 0], level, 1e-3)
        assert found == pytest.approx(2.0 * np.log(1.0 / level), rel=1e-6)
    assert np.isnan(first_below(run, lambda states: states[:, 0], 1e-9, 1e-3))
    assert least_eigenvalue(case, np.ones(2)) == pytest.approx(0.5)


def test_parameters_as_a_vector() -> None:
    params = SETTINGS[POINT].start()
    again = unflattened(params, flat(params))
    assert all(np.array_equal(one, other) for one, other in zip(params, again, strict=True))


@pytest.mark.long
def test_every_claim_of_the_size_of_the_paper_holds() -> None:
    claims = STUDY.claims("10-inputs", computed(NAME, "10-inputs"))
    assert failing(claims) == []
    assert {a.state for claim in claims for a in claim.assumptions} == {"checked: holds"}


def test_the_tests_miss_no_setting() -> None:
    assert STUDY.points() == tuple(SETTINGS) == (POINT, "10-inputs")
    assert "were added here" in STUDY.notes()
