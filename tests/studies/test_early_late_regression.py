"""The study of early and late phases in regression: its claims hold, and fail where runs are wrong."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from implicitbias.studies._early_late_evidence import _squared_excess, regressed
from implicitbias.studies._early_late_settings import REGRESSION_SPARSE, Experiment, SignSums
from implicitbias.studies._sinh_interpolant import sinh_interpolant
from implicitbias.studies.early_late_regression import STUDY
from tests.studies.running import NamedClaims, failing

NAME, POINT = "early-late-regression", "sparse"
TINY = SignSums(n=6, d=8)


class TestTheSparseTarget(NamedClaims):
    point = POINT
    words = (
        "certified", "tangent kernel", "is higher than", "e^(4 lam t)", "|w|_1 is the least l1 norm",
        "rises at the predicted time", "ln(alpha)", "interpolants", "width", "rises late", "without weight decay",
        "no early phase",
    )  # fmt: skip


# Oracle: by hand: each change makes the statement false that is named.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("is the least l2 norm (relative", {"kernel_apart": lambda x: x + 0.1}),
        ("e^(4 lam t)", {"place": lambda x: 2.0 * x}),
        ("|w|_1 is the least l1 norm", {"l1_size": lambda x: 1.01 * x}),
        ("minimum of L", {"excess": lambda x: x + 0.1}),
        ("rises at the predicted time", {"place": lambda x: x + 2.0}),
        ("grows like ln(alpha)", {"transition": np.sqrt}),
        ("as near to", {"path_cos_l1": lambda x: 0.99 * x}),
        ("made half of its way", {"path_place": lambda x: x + 0.01}),
        ("the width", {"path_place": lambda x: 1.01 * x}),
        ("rises late", {"own_score": lambda x: 0.0 * x + 1.0}),
        ("without weight decay", {"control_score": lambda x: x + 0.1}),
        ("pulls towards the start", {"held_score": lambda x: 0.0 * x + 0.6}),
        ("no early phase", {"small_score": lambda x: 0.5 * x}),
    ],
)
def test_each_claim_can_fail(data: Any, words: str, changed: dict[str, Any]) -> None:
    wrong = data.assign({name: change(data[name]) for name, change in changed.items()})
    assert any(words in statement for statement in failing(STUDY.claims(POINT, wrong)))


# Oracle: all vectors of signs.
def test_the_explained_share_of_the_variance() -> None:
    X = np.array(list(product([-1.0, 1.0], repeat=5)))
    target, w = X[:, :3].sum(axis=1), np.random.default_rng(0).standard_normal((5, 2))
    share = 1.0 - np.mean((X @ w - target[:, None]) ** 2, axis=0) / np.var(target)
    np.testing.assert_allclose(SignSums(n=2, d=5).score(w), share)


# Oracle: the least change of (u, v) by least squares with the tangent features (2 alpha x, -2 alpha x) at the start.
def test_the_predicted_time() -> None:
    training = regressed(Experiment(TINY, runs=(), own=(1.0, 1e-3), small=1e-3, rtol=1e-4))
    X, alpha, decay = np.asarray(training.problem.X), 5.0, 1e-3
    h = np.linalg.lstsq(np.hstack([2 * alpha * X, -2 * alpha * X]), np.asarray(training.problem.y))[0]
    expected = np.log(np.linalg.norm(np.full(16, alpha)) / np.linalg.norm(h)) / (2.0 * decay)
    assert training.transition(alpha, decay) == pytest.approx(expected)


# Oracle: scikit-learn's Lasso, whose penalty is lam / 2.
def test_the_excess_over_the_least_penalised_loss() -> None:
    problem, decay = TINY.problem(), 0.1
    best = (
        Lasso(alpha=decay / 2, fit_intercept=False, tol=1e-14, max_iter=10**5).fit(problem.X, problem.y).coef_
    )
    assert _squared_excess(problem, best, decay) == pytest.approx(0.0, abs=1e-9)
    assert _squared_excess(problem, 1.1 * best, decay) > 1e-3


# Oracle: the conditions of optimality: X w = y, and arcsinh(w / a) is in the range of X^T.
def test_the_path_is_one_of_interpolants() -> None:
    problem, scale = TINY.problem(), 0.05
    X, y = np.asarray(problem.X), np.asarray(problem.y)
    nu = sinh_interpolant(X, y, np.full(8, scale), np.zeros(8), np.zeros(6))
    w = scale * np.sinh(X.T @ nu)
    dual = np.arcsinh(w / scale)
    np.testing.assert_allclose(X @ w, y, atol=1e-9)
    np.testing.assert_allclose(X.T @ np.linalg.lstsq(X.T, dual)[0], dual, atol=1e-9)


def test_all_settings_are_called_chosen() -> None:
    assert "all settings were chosen here" in STUDY.notes()
    assert REGRESSION_SPARSE.data == SignSums(n=96, d=600)
