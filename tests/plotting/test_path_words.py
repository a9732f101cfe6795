"""The report and the terminal say one thing with one number."""

import re
from dataclasses import replace

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.diagnostics import ErrorCurve
from implicitbias.plotting import PathReport, certificate_sentence, chosen_numbers, chosen_sentence
from implicitbias.plotting._path_report import Validation
from implicitbias.reports import html, path_document


def fitted(rule: str = "best", folds: int = 5, seed: int = 0) -> tuple[ib.SaddlePathRegressorCV, PathReport]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 12)) * np.logspace(-1, 1, 12)
    y = X[:, :4] @ [3.0, -2.0, 1.0, 1.0] + 0.5 * rng.standard_normal(60)
    model = ib.SaddlePathRegressorCV(cv=folds, rule=rule, standardize=True).fit(X, y)
    return model, PathReport.of_model(model, "data.csv", "y", {"a fact": "b"}, ("a note",))


def page_of(report: PathReport) -> str:
    """Return the page without its scripts."""
    return re.sub(r"<script.*?</script>", "", html(path_document(report)), flags=re.DOTALL)


def errors_in_table(text: str) -> dict[int, str]:
    """Return the held-out error in each row of the table of jumps."""
    (head,) = re.findall(r"<thead><tr>((?:(?!</tr>).)*held-out error.*?)</tr>", text)
    column = re.findall(r"<th[^>]*>(.*?)</th>", head).index("held-out error") - 1
    rows = re.findall(r'<tr[^>]*><th scope="row">(\d+)</th>(.*?)</tr>', text)
    return {int(k): re.findall(r"<td[^>]*>(.*?)</td>", row)[column] for k, row in rows}


def test_the_report_of_a_model() -> None:
    model, report = fitted()
    assert report.path is model.path_
    np.testing.assert_array_equal(report.coefficients.toarray().T, model.coef_path_)
    np.testing.assert_array_equal(report.intercepts, model.intercept_path_)
    assert report.validation == (model.cv_curve_, model.t_)
    assert report.standardized
    assert (report.title, report.target, report.facts, report.notes) == (
        "data.csv",
        "y",
        {"a fact": "b"},
        ("a note",),
    )
    np.testing.assert_array_equal(report.coefficients[[report.row]].toarray()[0], model.coef_)
    plain = PathReport.of_model(ib.SaddlePathRegressor().fit(np.eye(4), [1.0, 2.0, 3.0, 5.0]), "a", "b", {})
    assert (plain.validation, plain.standardized, chosen_sentence(plain)) == (None, False, "")
    assert chosen_numbers(plain) == {}


# Oracle: squares of the rows that are held out, by scikit-learn's own definition of R^2 and by the curve.
@pytest.mark.parametrize("rule", ["best", "1se"])
def test_the_numbers_of_the_choice(rule: str) -> None:
    model, report = fitted(rule)
    numbers = chosen_numbers(report)
    mean = model.mse_path_.mean(axis=1)
    row = np.searchsorted(model.cv_times_, model.t_)
    assert numbers["held_out_error"] == pytest.approx(mean[row])
    assert numbers["standard_error"] == pytest.approx(model.mse_path_[row].std(ddof=1) / np.sqrt(5))
    assert numbers["error_without_features"] == pytest.approx(mean[0])
    assert numbers["held_out_r2"] == pytest.approx(1 - mean[row] / mean[0])
    assert numbers["least_error"] == pytest.approx(mean.min())
    assert numbers["r2"] == pytest.approx(1 - model.path_.losses[model.n_jumps_] / model.path_.losses[0])
    assert (numbers["slow_time"], numbers["jump"]) == (model.t_, model.n_jumps_)
    assert (numbers["active"], numbers["folds"]) == (np.count_nonzero(model.coef_), 5)


@pytest.mark.parametrize("rule", ["best", "1se"])
@pytest.mark.parametrize("seed", range(3))
def test_the_chosen_row_of_the_table_says_what_the_sentence_says(rule: str, seed: int) -> None:
    model, report = fitted(rule, seed=seed)
    told = errors_in_table(page_of(report))
    assert sorted(told) == list(range(len(report.path.times)))
    sentence = chosen_sentence(report)
    assert f"held-out rows at that time is {told[report.row]} ± " in sentence
    assert "± is one standard error over the folds" in sentence
    values = {k: float(text) for k, text in told.items()}
    if rule == "best":
        assert values[report.row] == min(values.values())
        assert "The least error is" not in sentence
    else:
        assert model.t_ < model.cv_curve_.best()
        assert f"The least error is {model.cv_curve_.mean.min():.4g} at" in sentence


# Oracle: the error at many times between two jumps.
def test_other_rows_say_the_least_error_while_the_path_rests() -> None:
    model, report = fitted("1se")
    ends = np.append(report.path.times[1:], report.path.times[-1] * 1.5)
    for k, (start, end) in enumerate(zip(report.path.times, ends, strict=True)):
        if k != report.row:
            inside = np.linspace(start, end, 20_001)[:-1]
            expected = min(model.cv_curve_.at(t).mean for t in inside)
            assert report.held_out_error(k) == pytest.approx(expected, rel=1e-12)


def test_rows_beyond_the_curve_are_left_empty() -> None:
    _, report = fitted()
    end = float(report.path.times[3])
    curve = ErrorCurve(np.array([0.0, end / 2]), np.array([[2.0, 2.0], [1.0, 1.0]]), np.ones(2), end)
    short = replace(report, validation=Validation(curve, end / 2))
    assert [short.held_out_error(k) is None for k in range(5)] == [False, False, False, True, True]
    assert errors_in_table(page_of(short))[3] == ""


def test_both_values_of_r2_stand_side_by_side() -> None:
    _, report = fitted()
    numbers, text = chosen_numbers(report), page_of(report)
    for name, key in (("held-out rows", "held_out_r2"), ("rows of the fit", "r2")):
        assert f"<dt>R² at the choice, {name}</dt><dd>{numbers[key]:.4g}</dd>" in text
    assert f"R² is {numbers['held_out_r2']:.4g} on held-out rows" in chosen_sentence(report)
    assert f"{numbers['r2']:.4g} on the rows of the fit." in chosen_sentence(report)


def test_one_fold_and_one_feature() -> None:
    X = np.random.default_rng(0).standard_normal((20, 1))
    model = ib.SaddlePathRegressorCV(cv=[(np.arange(10), np.arange(10, 20))]).fit(X, 2.0 * X[:, 0])
    sentence = chosen_sentence(PathReport.of_model(model, "a", "b", {}))
    assert "with 1 active feature." in sentence
    assert "±" not in sentence
    assert "nan" not in page_of(PathReport.of_model(model, "a", "b", {})).lower()


def test_the_badge_speaks_of_the_path() -> None:
    _, report = fitted()
    assert 'badge good" title="each saddle is optimal' in page_of(report)
    assert ">path certified</span>" in page_of(report)
    assert "says nothing about the quality of predictions" in certificate_sentence(report)
