"""The study of early and late phases on sparse data: its claims hold, and fail where runs are wrong."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import implicitbias as ib
from implicitbias.studies._early_late_claims import crossing
from implicitbias.studies._early_late_depth_claims import needed
from implicitbias.studies._early_late_depths import power_difference
from implicitbias.studies._early_late_evidence import _logistic_excess
from implicitbias.studies._early_late_settings import SPARSE_SMALL, Signs, labels
from implicitbias.studies.early_late_sparse import STUDY
from tests.studies.running import NamedClaims, failing

NAME, POINT = "early-late-sparse", "small"


class TestTheSmallSetting(NamedClaims):
    point = POINT
    words = (
        "certified", "tangent kernel", "is higher than", "the direction is that of the largest l2 margin",
        "the direction is that of the largest l1 margin", "predicted time", "collapse on the axis lam (t - T)",
        "ln(alpha)", "width", "rises late", "without weight decay", "no early phase",
    )  # fmt: skip


# Oracle: by hand: each change makes the statement false that is named.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("certified", {"gaps": lambda x: x + 1e-6}),
        ("tangent kernel", {"kernel_apart": lambda x: x + 0.1}),
        ("is higher than", {"l1_score": lambda x: x - 0.3}),
        ("at lam (t - T) = -2 the direction", {"cos_l2": lambda x: 0.98 * x}),
        ("late, the direction", {"cos_l1": lambda x: 0.98 * x}),
        ("without weight decay the direction", {"control_cos_l2": lambda x: 0.98 * x}),
        ("at lam (t - T) = -2, the test accuracy", {"score": lambda x: x + 0.1}),
        ("late, the test accuracy", {"score": lambda x: x - 0.1}),
        ("minimum of L", {"excess": lambda x: x + 0.1}),
        ("is at the predicted time", {"place": lambda x: x + 1.0}),
        ("grows like ln(alpha)", {"transition": np.sqrt}),
        ("rises late", {"own_score": lambda x: 0.0 * x + x[-1]}),
        ("near T too", {"own_transition": lambda x: x + 5.0}),
        ("without weight decay the test accuracy", {"control_score": lambda x: x + 0.1}),
        ("pulls towards the start", {"held_score": lambda x: 0.0 * x + 0.9}),
        ("no early phase", {"small_score": lambda x: 0.0 * x + 0.6}),
    ],
)  # fmt: skip
def test_each_claim_can_fail(data: Any, words: str, changed: dict[str, Any]) -> None:
    wrong = data.assign({name: change(data[name]) for name, change in changed.items()})
    assert any(words in statement for statement in failing(STUDY.claims(POINT, wrong)))


# By hand: one of the runs makes its transition 1 / lam earlier, and takes twice as long for it.
@pytest.mark.parametrize("words", ["all runs collapse", "runs from all starts collapse", "width"])
def test_runs_that_do_not_collapse_are_seen(data: Any, words: str) -> None:
    places, values = data["place"].values, data["cos_l1"].values.copy()
    values[1] = np.interp((places + 1.0) / 2.0, places, values[1])
    wrong = data.assign({"cos_l1": (data["cos_l1"].dims, values)})
    assert any(words in statement for statement in failing(STUDY.claims(POINT, wrong)))


# By hand: with alpha = e^(lam T) all transitions are near 1 on the axis lam t / ln(alpha).
def test_runs_that_collapse_on_the_axis_of_the_paper_are_seen(data: Any) -> None:
    wrong = data.assign(alpha=np.exp(data["transition"]))
    assert any("do not collapse" in statement for statement in failing(STUDY.claims(POINT, wrong)))


# By hand: the line through (1, -1) and (2, 3) is 0 at 1.25.
def test_a_transition_is_where_the_difference_changes_its_sign() -> None:
    places = np.array([0.0, 1.0, 2.0, 3.0])
    assert crossing(places, np.array([-2.0, -1.0, 3.0, -1.0])) == 1.25
    assert np.isnan(crossing(places, np.array([1.0, 2.0, 3.0, 4.0])))
    assert np.isnan(crossing(places, np.full(4, np.nan)))


# By hand: halfway between ln 4 and ln 16 is ln 8.
def test_the_number_of_samples_is_interpolated_in_its_logarithm() -> None:
    assert np.isclose(needed(np.array([1, 4, 16]), np.array([0.5, 0.8, 1.0])), 8.0)
    assert np.isnan(needed(np.array([1, 4]), np.array([0.5, 0.8])))


# By hand: 2^3 - 1 = 7 and (-1)^3 - 2^3 = -9.
def test_the_deep_network_is_a_difference_of_powers() -> None:
    theta = jnp.array([2.0, -1.0]), jnp.array([1.0, 2.0])
    assert power_difference(3)(theta, jnp.eye(2)).tolist() == [7.0, -9.0]


# By hand: the rule itself is always right, its negative never, and 0 has a tie in each row.
def test_ties_count_one_half() -> None:
    rule = np.zeros((600, 3))
    rule[:3, 0], rule[:3, 1] = 1.0, -1.0
    np.testing.assert_array_equal(SPARSE_SMALL.data.score(rule), [1.0, 0.0, 0.5])
    assert labels(np.array([[1.0, 1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])).tolist() == [1.0, -1.0]


# Oracle: scikit-learn's logistic regression, whose C is 2 / (n lam) for the penalty lam/2 |w|_1.
def test_the_excess_over_the_least_penalised_loss() -> None:
    problem, decay = Signs(n=40, d=12, tested=0).problem(), 0.05
    assert isinstance(problem, ib.Classification)
    model = LogisticRegression(
        l1_ratio=1.0,
        solver="liblinear",
        C=2.0 / (40 * decay),
        fit_intercept=False,
        tol=1e-10,
        max_iter=10_000,
    )
    best = model.fit(problem.X, problem.y).coef_[0]
    assert _logistic_excess(problem, best, decay) == pytest.approx(0.0, abs=1e-8)
    assert _logistic_excess(problem, 1.2 * best, decay) > 1e-3
