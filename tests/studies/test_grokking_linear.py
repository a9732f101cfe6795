"""The study of grokking on linear regression: its claims hold, and its data agree with closed forms written anew."""

from typing import Any

import numpy as np
import pytest

from implicitbias.studies._grokking_settings import linear_model
from implicitbias.studies.grokking_linear import STUDY, closed_form_claims
from tests.studies.running import NamedClaims, failing

NAME, POINT = "grokking-linear", "regression"


class TestRegression(NamedClaims):
    point = POINT
    words = (
        "first order in lam", "lam t e^(ct)", "at the junction", "collapse", "KKT point", "do not commute",
         "closed form", "ridge regression", "never generalises", "ln(scale)", "never fitted",
    )  # fmt: skip

    # Oracle: the pseudo-inverse: w(tau) is its solution plus e^(-tau) times the rest of the start.
    def test_the_slow_time_of_generalisation(self, data: Any) -> None:
        model = linear_model()
        least = np.linalg.pinv(model.X) @ model.y
        rest = model.start - np.linalg.pinv(model.X) @ (model.X @ model.start)
        tau = float(data["drift_generalised"])
        error = model.test((least + np.exp(-tau) * rest)[None])[0]
        assert error == pytest.approx(float(data["test_level"]), rel=1e-6)

    # Oracle: the normal equations of ridge regression.
    def test_the_ends(self, data: Any) -> None:
        model = linear_model()
        n, d = model.X.shape
        for decay, end in zip(data["weight_decay"].values, data["end_w"].values, strict=True):
            ridge = np.linalg.solve(model.X.T @ model.X / n + decay * np.eye(d), model.X.T @ model.y / n)
            np.testing.assert_allclose(end, ridge, atol=1e-8)


# Oracle: by hand: another teacher, weight decay or start would be found out.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("ridge", {"oracle_w": 1.001}),
        ("closed form", {"flow_apart": 1e3}),
        ("projection of the start", {"phi_distance": 1e8}),
        ("e^(-tau)", {"drift_apart": 1e3}),
    ],
)
def test_claims_about_closed_forms_can_fail(data: Any, words: str, changed: dict[str, float]) -> None:
    wrong = data.assign({name: data[name] * factor for name, factor in changed.items()})
    assert any(words in statement for statement in failing(closed_form_claims(POINT, wrong)))


def test_its_figures(data: Any) -> None:
    figures = STUDY.figures(POINT, data)
    assert set(figures) == {f"{POINT}-{name}" for name in ("curves", "collapse", "scales", "rates")}
    assert [axis.get_ylabel() for axis in figures[f"{POINT}-curves"].axes] == [
        "training error", "test error", "norm of the parameters",
    ]  # fmt: skip
