"""The words of a certificate: which number is too large, of which feature, and what to do."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pandas
import pytest

import implicitbias as ib
from implicitbias.cli._path_print import certificate_lines
from implicitbias.plotting import PathReport


def report(certificate: ib.Certificate, standardized: bool = True) -> PathReport:
    path = ib.saddle_path(ib.LeastSquares(np.eye(2), [2.0, 1.0]))
    judged = dataclasses.replace(path, certificate=certificate)
    return PathReport("data.csv", "y", judged, path.coefficients_sparse, np.zeros(3), standardized)


def certificate(gap: float, residuals: Mapping[str, float]) -> ib.Certificate:
    return ib.Certificate("the point is optimal", gap, residuals, 1e-9)


def test_a_certificate_that_holds() -> None:
    (line,) = certificate_lines(report(certificate(0.0, {"stationarity": 1e-16})))
    assert line.startswith("Certificate of the path. Proved: the point is optimal. ")
    assert line.endswith(" (relative duality gap 0, at most 1e-09 is accepted)")


@pytest.mark.parametrize("standardized", [True, False])
def test_every_number_that_is_too_large_is_named(standardized: bool) -> None:
    bad = certificate(0.0, {"stationarity": 3e-6, "worst_saddle": 0.0, "dual_feasibility": float("nan")})
    first, *numbers, advice = certificate_lines(report(bad, standardized))
    assert first.startswith(
        "DOES NOT HOLD. Certificate of the path. Not proved: the point is optimal; stationarity is 3e-06, "
    )
    assert [line.split(",")[0].strip() for line in numbers] == ["stationarity", "dual_feasibility"]
    assert numbers[0].endswith("with the residual at the end, is 3e-06; at most 1e-09 is accepted.")
    assert "is nan; at most 1e-09" in numbers[1]
    assert "leave out one of two columns" in advice
    assert ("--no-standardize" in advice) == (not standardized)


# Oracle: the largest entry of X^T (y - X w) by NumPy; the columns have norm 1.
def test_the_feature_of_the_largest_gradient() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 5))
    X /= np.linalg.norm(X, axis=0)
    names, y, w = ["age", "sex", "bmi", "bp", "s1"], rng.standard_normal(8), rng.standard_normal(5)
    worst = names[int(np.argmax(np.abs(X.T @ (y - X @ w))))]
    found = ib.certify(ib.LeastSquares(pandas.DataFrame(X, columns=names), y), w, ib.MinL1())
    assert f"The feature {worst!r} has the largest share in stationarity." in found.sentence
    bare = ib.certify(ib.LeastSquares(X, y), w, ib.MinL1())
    assert f"The feature 'x{names.index(worst)}' has the largest share in stationarity." in bare.sentence


# Oracle: by hand. (1, 0) and (0, 1/2) have the same fit, and the second has the smaller norm.
def test_the_feature_of_the_gap() -> None:
    frame = pandas.DataFrame({"one": [1.0, 1.0], "two": [2.0, 2.0]})
    found = ib.certify(ib.LeastSquares(frame, [1.0, 1.0]), [1.0, 0.0], ib.MinL1())
    assert [name for name, _, _ in found.failures] == ["gap"]
    assert found.sentence.endswith("The feature 'one' has the largest share in gap.")


def test_a_certificate_that_holds_has_no_failures() -> None:
    good = certificate(0.0, {"stationarity": 1e-16})
    assert good.failures == ()
    assert certificate(2e-9, {"stationarity": 1.0}).failures == (
        ("gap", 2e-9, 1e-9),
        ("stationarity", 1.0, 1e-9),
    )
