"""The study of grokking on diagonal networks: its claims hold, and its data agree with other solvers."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from implicitbias.studies._grokking_oracles import _dual_path
from implicitbias.studies._grokking_settings import Product, diagonal_model
from implicitbias.studies.grokking_diagonal import STUDY, dual_claims, end_claims
from tests.oracles.drift import diagonal_drift, diagonal_limit
from tests.studies.running import NamedClaims, failing

NAME, POINT = "grokking-diagonal", "fourier"


class TestFourier(NamedClaims):
    point = POINT
    words = (
        "first order in lam", "lam t e^(ct)", "at the junction", "collapse", "KKT point", "do not commute",
         "dual formula", "least l1 norm", "Lasso", "never generalises", "ln(scale)", "never fitted",
    )  # fmt: skip

    # Oracle: scikit-learn's Lasso at the largest weight decay.
    def test_an_end_is_the_lasso(self, data: Any) -> None:
        model, decay = diagonal_model(), float(data["weight_decay"][0])
        lasso = Lasso(alpha=decay, fit_intercept=False, tol=1e-12, max_iter=10**6).fit(model.X, model.y).coef_
        np.testing.assert_allclose(data["end_w"].values[0], lasso, atol=1e-7)

    def test_its_figures(self, data: Any) -> None:
        names = ("curves", "collapse", "scales", "rates", "dual")
        assert set(STUDY.figures(POINT, data)) == {f"{POINT}-{name}" for name in names}


# Oracle: another Newton's method, which begins at the limit of the first phase instead of the start of training.
def test_the_dual_formula() -> None:
    model = diagonal_model()
    u, v = model.start
    found = _dual_path(model, np.array([0.0, 0.5, 3.0]))
    np.testing.assert_allclose(found[0], diagonal_limit(model.X, model.y, u, v), atol=1e-12)
    gradient = np.arcsinh(found[0] / (np.abs(u**2 - v**2) / 2))
    a = np.abs(u**2 - v**2)
    ends = np.sqrt(a * np.exp(gradient)), np.sqrt(a * np.exp(-gradient))
    limit = (ends[0] + ends[1]) / 2, (ends[0] - ends[1]) / 2
    for w, tau in zip(found[1:], (0.5, 3.0), strict=True):
        np.testing.assert_allclose(w, diagonal_drift(model.X, model.y, *limit, tau), atol=1e-10)


# Oracle: the eigenvalues of the Hessian by differences of the gradient, at points between two states.
def test_the_constant_of_the_fast_phase_bounds_negative_eigenvalues() -> None:
    model = diagonal_model()
    assert isinstance(model, Product)
    rng = np.random.default_rng(5)
    first, second = rng.standard_normal((2, 2, 1, 100))
    bound = model.growth(first, second)[0]

    def slope(theta: Any) -> Any:
        u, v = theta.reshape(2, 100)
        g = model.gradient((u * v)[None])[0]
        return np.concatenate([g * v, g * u])

    for share in (0.0, 0.3, 0.5, 1.0):
        theta = ((1 - share) * first + share * second).reshape(-1)
        steps = 1e-6 * np.eye(200)
        hessian = np.array([(slope(theta + h) - slope(theta - h)) / 2e-6 for h in steps])
        assert -np.linalg.eigvalsh((hessian + hessian.T) / 2)[0] <= bound * (1 + 1e-6)


# Oracle: by hand: another formula, norm or penalty would be found out.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("dual formula", {"dual_apart": 1e6}),
        ("e^(-2 tau)", {"balance_apart": 1e4}),
        ("least l1 norm", {"least_norm": 0.999}),
        ("sparse teacher", {"teacher": 1.001}),
        ("Lasso", {"oracle_w": 1.001}),
    ],
)
def test_claims_about_formulas_can_fail(data: Any, words: str, changed: dict[str, float]) -> None:
    wrong = data.assign({name: data[name] * factor for name, factor in changed.items()})
    found = failing([*dual_claims(POINT, wrong), *end_claims(POINT, wrong)])
    assert any(words in statement for statement in found)
