"""Laws of every gauge: homogeneity, convexity, polarity, subgradients, faces, symmetries."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy import ndarray

import implicitbias as ib
from tests.laws.registry import GAUGES, WITHOUT_CVXPY, GaugeCase

ALL = GAUGES | WITHOUT_CVXPY
everywhere = pytest.mark.parametrize("case", list(ALL.values()), ids=list(ALL))
SYMMETRIC = {name: case for name, case in ALL.items() if case.permutes or case.flips or case.rotates}
few = settings(max_examples=30)

# Whole numbers make ties, zeros and equal singular values; the others break them.
numbers = st.one_of(st.integers(-2, 2).map(float), st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-6))
MOST = 6
entries = st.lists(numbers, min_size=MOST, max_size=MOST)
# Rounding of sums of six terms and of singular values, relative to the result.
ROUNDING = 1e-13


def _point(case: GaugeCase, values: list[float]) -> ndarray:
    return np.array(values[: int(np.prod(case.shape))]).reshape(case.shape)


def _finite(gauge: ib.gauges.Gauge, w: ndarray) -> ndarray:
    """w without the entries that make the gauge infinite."""
    return gauge.to_domain(w, np.zeros_like(w))


# Law: gamma(0) = 0, gamma >= 0, gamma(c w) = c gamma(w).
@everywhere
@few
@given(values=entries, factor=st.sampled_from([1e-150, 1e-20, 0.3, 1.0, 7.0, 1e20, 1e150]))
def test_positively_homogeneous(case: GaugeCase, values: list[float], factor: float) -> None:
    w = _point(case, values)
    value = case.gauge.value(w)
    assert case.gauge.value(np.zeros(case.shape)) == 0.0
    assert value >= 0.0
    scaled = case.gauge.value(factor * w)
    if np.isinf(value):
        assert np.isinf(scaled)
    else:
        np.testing.assert_allclose(scaled, factor * value, rtol=ROUNDING, atol=0)


# Law: gamma(v + w) <= gamma(v) + gamma(w).
@everywhere
@few
@given(a=entries, b=entries)
def test_triangle_inequality(case: GaugeCase, a: list[float], b: list[float]) -> None:
    v, w = _point(case, a), _point(case, b)
    # An entry that cancels up to rounding may be barred: that is no law of the gauge.
    assume(np.all((v + w == 0.0) | (np.abs(v + w) > 1e-9 * (np.abs(v) + np.abs(w)))))
    assert case.gauge.value(v + w) <= (case.gauge.value(v) + case.gauge.value(w)) * (1 + ROUNDING)


# Law: <z, w> <= gamma(w) gamma_polar(z).
@everywhere
@few
@given(a=entries, b=entries)
def test_polar_inequality(case: GaugeCase, a: list[float], b: list[float]) -> None:
    gauge, polar = case.gauge, case.gauge.polar()
    w, z = _finite(gauge, _point(case, a)), _finite(polar, _point(case, b))
    product = np.sum(z * w)
    rounding = ROUNDING * np.sum(np.abs(z * w))
    assert product <= gauge.value(w) * polar.value(z) + rounding


# Law: the polar of the polar is the gauge.
@everywhere
@few
@given(values=entries)
def test_polar_of_the_polar(case: GaugeCase, values: list[float]) -> None:
    w = _point(case, values)
    again = case.gauge.polar().polar()
    np.testing.assert_allclose(again.value(w), case.gauge.value(w), rtol=ROUNDING, atol=0)


# Law: a subgradient z has polar(z) <= 1 and <z, w> = gamma(w), hence gamma(v) >= <z, v> for every v.
@everywhere
@few
@given(a=entries, b=entries)
def test_subgradient(case: GaugeCase, a: list[float], b: list[float]) -> None:
    gauge = case.gauge
    w, v = _finite(gauge, _point(case, a)), _finite(gauge, _point(case, b))
    z = gauge.subgradient(w)
    assert gauge.polar().value(z) <= 1.0 + ROUNDING
    size = np.sum(np.abs(z * w))
    np.testing.assert_allclose(np.sum(z * w), gauge.value(w), rtol=0, atol=10 * ROUNDING * size)
    assert gauge.value(v) >= np.sum(z * v) - 10 * ROUNDING * np.sum(np.abs(z * v))


# Law: a face lies in the unit ball and attains the polar; its fixed part is a projection.
@everywhere
@few
@given(a=entries, b=entries, c=entries)
def test_face(case: GaugeCase, a: list[float], b: list[float], c: list[float]) -> None:
    gauge, polar = case.gauge, case.gauge.polar()
    z = _finite(polar, _point(case, a))
    face = gauge.face(z)
    point, size = face.point(), polar.value(z)
    assert gauge.value(point) <= 1.0 + ROUNDING
    np.testing.assert_allclose(np.sum(z * point), size, rtol=10 * ROUNDING, atol=0)
    assert face.contains(point)
    if size > 0.0:
        assert not face.contains(1.001 * point)
        assert not face.contains(0.999 * point)
    x, y = _point(case, b), _point(case, c)
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    np.testing.assert_allclose(np.sum(face.fixed(x) * y), np.sum(x * face.fixed(y)), atol=1e-12 * scale)
    fixed = face.fixed(x)
    np.testing.assert_allclose(face.fixed(fixed), fixed, atol=1e-12 * np.linalg.norm(x))


# Law: `to_domain` is the projection on the directions in which the gauge stays finite.
@everywhere
@few
@given(a=entries, b=entries)
def test_the_domain(case: GaugeCase, a: list[float], b: list[float]) -> None:
    gauge, x = case.gauge, _point(case, a)
    at = _finite(gauge, _point(case, b))
    inside = gauge.to_domain(x, at)
    step = 1e-9 * np.min(np.abs(at[at != 0.0]), initial=1.0) / (np.max(np.abs(inside)) or 1.0)
    assert np.isfinite(gauge.value(at + step * inside))
    np.testing.assert_array_equal(gauge.to_domain(inside, at), inside)
    # The rest is normal to the cone: <x - Px, Px> = 0 and <x - Px, v> <= 0 for v of the cone.
    assert np.sum((x - inside) * inside) == 0.0
    assert np.sum((x - inside) * gauge.to_domain(at[::-1], at)) <= 0.0


# Law: another point of the ball is in the face exactly if it attains the polar too.
@everywhere
@few
@given(a=entries, b=entries)
def test_other_points_are_judged_by_their_numbers(case: GaugeCase, a: list[float], b: list[float]) -> None:
    gauge, polar = case.gauge, case.gauge.polar()
    z, w = _finite(polar, _point(case, a)), _finite(gauge, _point(case, b))
    size, value = polar.value(z), gauge.value(w)
    assume(size > 0.0 and value > 0.0)
    w = w / value
    share = np.sum(z * w) / size
    assume(abs(share - 1.0) > 1e-7 or abs(share - 1.0) < 1e-11)
    assert gauge.face(z).contains(w) == (share > 1.0 - 1e-9)


# Law: a gauge that does not tell entries apart, or not their signs, or not the axes, does so nowhere.
@pytest.mark.parametrize("case", list(SYMMETRIC.values()), ids=list(SYMMETRIC))
@few
@given(a=entries, b=entries, seed=st.integers(0, 1000))
def test_symmetries(case: GaugeCase, a: list[float], b: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, z = _point(case, a), _point(case, b)
    maps = []
    if case.permutes:
        order = rng.permutation(w.size)
        maps.append(lambda x: x.ravel()[order].reshape(x.shape))
    if case.flips:
        signs = rng.choice([-1.0, 1.0], w.shape)
        maps.append(lambda x: signs * x)
    if case.rotates:
        left = np.linalg.qr(rng.standard_normal((len(w), len(w))))[0]
        right = np.eye(1) if w.ndim == 1 else np.linalg.qr(rng.standard_normal((w.shape[1],) * 2))[0]
        maps.append(lambda x: (left @ x.reshape(len(x), -1) @ right).reshape(x.shape))
    for move in maps:
        for gauge, x in ((case.gauge, w), (case.gauge.polar(), z)):
            np.testing.assert_allclose(gauge.value(move(x)), gauge.value(x), rtol=ROUNDING, atol=0)
        inside = _finite(case.gauge.polar(), z)
        # Rotations break ties by rounding, so that another point of the same face may be taken.
        assert case.gauge.face(inside, 1e-9).contains(_back(case, move, inside), 1e-8)


def _back(case: GaugeCase, move: object, z: ndarray) -> ndarray:
    """The point of the face of the moved z, moved back: by linearity <z, .> and the gauge must not notice."""
    assert callable(move)
    size = z.size
    columns = np.stack([move(column.reshape(z.shape)).ravel() for column in np.eye(size)], axis=1)
    point = case.gauge.face(move(z), 1e-9).point()
    return (columns.T @ point.ravel()).reshape(z.shape)
