"""Bad input of gauges is refused with what was got, what was expected and what to type."""

from collections.abc import Callable

import numpy as np
import pytest

import implicitbias as ib

g = ib.gauges


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: g.WeightedL1([1.0, -1.0]), r"weights is -1 at \[1\].*non-negative"),
        (lambda: g.WeightedL1([[1.0], [np.nan]]), r"weights is nan at \[1, 0\].*non-negative"),
        (lambda: g.WeightedL1([1e-200, 1.0]), r"weights is 1e-200 at \[0\].*1e-140"),
        (lambda: g.WeightedL1(["a"]), r"weights.*non-negative numbers"),
        (lambda: g.WeightedL1([1j]), r"weights.*non-negative numbers"),
        (lambda: g.WeightedL1([[1.0], [1.0, 2.0]]), r"weights.*array of numbers"),
        (lambda: g.TwoSidedL1([1.0, 2.0], [1.0]), r"plus has shape \(2,\) and minus has shape \(1,\)"),
        (lambda: g.TwoSidedL1([1.0], [-1.0]), r"minus is -1 at \[0\]"),
        (lambda: g.Weighted(g.L2(), [1.0], [1.0, 2.0]), r"weights has shape \(1,\)"),
        (lambda: g.Weighted(g.Nuclear(), [1.0]), r"norm is Nuclear\(\).*without weights"),
        (lambda: g.Weighted(g.WeightedL1([1.0]), [1.0]), r"norm is WeightedL1.*without weights"),
        (lambda: g.Ellipsoid([[1.0, 0.0]]), r"A has shape \(1, 2\), a square matrix"),
        (lambda: g.Ellipsoid([[1.0, 1.0], [0.0, 1.0]]), r"A is not symmetric.*differ by up to 1"),
        (lambda: g.Ellipsoid([[1.0, 2.0], [2.0, 1.0]]), r"smallest eigenvalue -1.*positive definite"),
        (lambda: g.Ellipsoid([[1.0, np.nan], [np.nan, 1.0]]), r"A holds 2 NaN"),
        (lambda: g.Lp(0.5), r"p is 0\.5.*>= 1.*convex"),
        (lambda: g.Lp(np.nan), r"p is nan.*>= 1"),
        (lambda: g.Lp("2"), r"p is '2'.*>= 1"),
        (lambda: g.Lp(True), r"p is True.*>= 1"),
        (lambda: g.Polar("l1"), r"gauge is 'l1'.*ib\.gauges\.L1\(\)"),
        (lambda: g.FromOracle(1.0, np.sign, np.sign), r"value is 1\.0.*function"),
        (lambda: g.FromOracle(np.sum, np.sign, np.sign, 3), r"conic_form is 3.*function"),
    ],
)
def test_constructors(build: Callable[[], object], words: str) -> None:
    # Run-time type checks would speak first where an annotation is narrow; these arguments are annotated loosely.
    with pytest.raises(ib.InputError, match=words):
        build()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: g.L1().value([1.0, np.nan]), r"w holds 1 NaN"),
        (lambda: g.L1().value([1.0, np.inf]), r"w holds 1 NaN or infinite"),
        (lambda: g.L1().value(3.0), r"w has shape \(\)"),
        (lambda: g.L1().value("abc"), "w holds values that are not numbers|w has shape"),
        (lambda: g.L1().value([[1.0], [1.0, 2.0]]), "w is not an array of numbers"),
        (
            lambda: g.WeightedL1([1.0, 2.0]).value([1.0]),
            r"w has shape \(1,\), \(2,\) is expected.*WeightedL1",
        ),
        (lambda: g.WeightedL1([1.0, 2.0]).conic_form(3), r"shape is \(3,\), \(2,\) is expected"),
        (lambda: g.L1().conic_form(0), r"shape is 0, a positive number"),
        (lambda: g.L1().conic_form(2.5), r"shape is 2\.5, a positive number"),
        (lambda: g.Nuclear().value([1.0, 2.0]), r"w has shape \(2,\), a matrix is expected by Nuclear"),
        (lambda: g.Nuclear().value(np.zeros((0, 2))), r"w has shape \(0, 2\), a matrix"),
        (lambda: g.Spectral().conic_form(4), r"shape is \(4,\), a matrix"),
        (lambda: g.Polar(g.Nuclear()).value([1.0]), r"a matrix is expected by Nuclear"),
        (lambda: g.WeightedL1([0.0, 1.0]).face([1.0, 0.0]), r"z has an infinite polar.*set z to 0.*weight 0"),
        (lambda: g.WeightedL1([np.inf]).subgradient([1.0]), r"w has an infinite gauge.*infinite weight"),
    ],
)
def test_points(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        call()


def _oracle(value: object, subgradient: object, maximizer: object) -> ib.gauges.FromOracle:
    return g.FromOracle(lambda w: value, lambda w: subgradient, lambda z: maximizer)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _oracle(-1.0, [1.0], [1.0]).value([1.0]), r"value\(w\) returned -1\.0"),
        (lambda: _oracle([1.0], [1.0], [1.0]).value([1.0]), r"value\(w\) returned \[1\.0\]"),
        (lambda: _oracle(np.nan, [1.0], [1.0]).value([1.0]), r"value\(w\) returned nan"),
        (lambda: _oracle(1.0, [2.0], [1.0]).subgradient([1.0]), r"<z, w> = 2, value\(w\) = 1"),
        (lambda: _oracle(1.0, [1.0, 0.0], [1.0]).subgradient([1.0]), r"subgradient\(w\).*shape \(2,\)"),
        (lambda: _oracle(2.0, [2.0], [1.0]).face([1.0]), r"maximizer\(z\).*value\(w\) = 2, at most 1"),
        (lambda: _oracle(1.0, [1.0], [np.nan]).face([1.0]), r"maximizer\(z\) holds 1 NaN"),
    ],
)
def test_oracles_that_contradict_themselves(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        call()


def test_an_oracle_without_a_conic_form() -> None:
    gauge = g.FromOracle(lambda w: np.abs(w).sum(), np.sign, lambda z: np.eye(2)[0])
    assert gauge.conic_form(2) is None
    assert gauge.polar().conic_form(2) is None
