"""Gauges by hand: weights 0 and infinity, ties, scales, faces."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.gauges import EntrywiseFace, NuclearFace, SpectralFace

g = ib.gauges
inf = np.inf


def test_zero_and_infinite_weights_of_a_weighted_l1() -> None:
    gauge = g.WeightedL1([0.0, 2.0, inf])
    assert gauge.value([5.0, 1.0, 0.0]) == 2.0
    assert gauge.value([5.0, 0.0, 0.0]) == 0.0
    assert gauge.value([0.0, 0.0, 1e-150]) == inf
    polar = gauge.polar()
    # 1/0 is infinity and 1/infinity is 0: z_1 must be 0, z_3 is free.
    assert polar.value([0.0, 6.0, 1e150]) == 3.0
    assert polar.value([1e-150, 0.0, 0.0]) == inf
    assert polar.polar().value([5.0, 1.0, 0.0]) == 2.0
    assert gauge.subgradient([5.0, -1.0, 0.0]).tolist() == [0.0, -2.0, 0.0]


def test_zero_and_infinite_weights_of_a_two_sided_l1() -> None:
    # The gauge of a pretrained start with signs (1, -1, 0), and a coordinate that never becomes negative.
    gauge = g.TwoSidedL1([0.0, 2.0, 1.0, 1.0], [2.0, 0.0, 1.0, inf])
    assert gauge.value([3.0, -4.0, -1.0, 1.0]) == 2.0
    assert gauge.value([-3.0, 4.0, 0.0, 0.0]) == 14.0
    assert gauge.value([0.0, 0.0, 0.0, -1.0]) == inf
    polar = gauge.polar()
    # |q + z| <= 1 and z_4 <= 1: the constraint of the dual of a pretrained start (theory 1.3).
    assert polar.value([-2.0, 2.0, 1.0, -1e9]) == 1.0
    assert polar.value([1e-9, 0.0, 0.0, 0.0]) == inf
    assert polar.value([0.0, 0.0, 0.0, 3.0]) == 3.0


def test_pretrained_starts_are_two_sided_gauges() -> None:
    # Oracle: the formula ||w||_1 - <q, w>.
    rng = np.random.default_rng(0)
    for _ in range(20):
        q, w = rng.integers(-1, 2, 6).astype(float), rng.standard_normal(6)
        value = g.TwoSidedL1(1 - q, 1 + q).value(w)
        np.testing.assert_allclose(value, np.abs(w).sum() - q @ w, rtol=1e-14, atol=1e-15)


def test_all_weights_infinite_or_zero() -> None:
    nothing, everything = g.WeightedL1([inf, inf]), g.WeightedL1([0.0, 0.0])
    assert nothing.value([0.0, 0.0]) == 0.0
    assert nothing.value([1.0, 0.0]) == inf
    assert nothing.polar().value([3.0, 4.0]) == 0.0
    assert nothing.face([3.0, 4.0]).unique
    assert nothing.face([3.0, 4.0]).point().tolist() == [0.0, 0.0]
    assert everything.value([3.0, 4.0]) == 0.0
    assert everything.polar().value([0.0, 0.0]) == 0.0
    assert not everything.face([0.0, 0.0]).unique


def test_faces_of_l1() -> None:
    face = g.L1().face([3.0, -3.0, 1.0, 0.0])
    assert isinstance(face, EntrywiseFace)
    assert face.point().tolist() == [0.5, -0.5, 0.0, 0.0]
    assert face.support.tolist() == [True, True, False, False]
    assert face.signs.tolist() == [1, -1, 0, 0]
    assert not face.unique
    assert face.contains([0.25, -0.75, 0.0, 0.0])
    assert not face.contains([0.25, 0.75, 0.0, 0.0])
    assert not face.contains([0.25, -0.25, 0.0, 0.0])
    assert not face.contains([0.5, -0.5, 0.1, 0.0])
    assert not face.contains([0.5, -0.5])
    # Points of the face have w_1 - w_2 = 1 and w_3 = w_4 = 0.
    np.testing.assert_allclose(face.fixed(np.array([1.0, 0.0, 7.0, 8.0])), [0.5, -0.5, 7.0, 8.0])
    assert g.L1().face([3.0, -2.0]).unique
    assert g.L1().face([3.0, -3.0 * (1 - 1e-9)]).unique
    assert not g.L1().face([3.0, -3.0 * (1 - 1e-9)], tolerance=1e-8).unique


def test_faces_of_linf() -> None:
    face = g.LInf().face([3.0, 0.0, -1.0])
    assert isinstance(face, EntrywiseFace)
    assert face.point().tolist() == [1.0, 0.0, -1.0]
    assert face.signs.tolist() == [1, 0, -1]
    assert face.support.all()
    assert not face.unique
    assert face.contains([1.0, 0.3, -1.0])
    assert not face.contains([1.0, 1.3, -1.0])
    assert face.fixed(np.array([5.0, 6.0, 7.0])).tolist() == [5.0, 0.0, 7.0]
    assert g.LInf().face([1.0, 2.0]).unique


def test_faces_of_weighted_and_one_sided_balls() -> None:
    # The ball of 2 w_1^+ + (1/2) w_1^- + ... has vertices at w_1 = 1/2 and w_1 = -2.
    gauge = g.TwoSidedL1([2.0, 1.0, 0.0], [0.5, 1.0, 1.0])
    face = gauge.face([4.0, 1.0, 0.0])
    assert isinstance(face, EntrywiseFace)
    assert face.point().tolist() == [0.5, 0.0, 0.0]
    assert face.signs.tolist() == [1, 0, 1]  # w_3 > 0 costs nothing
    assert face.contains([0.5, 0.0, 1e6])
    assert not face.contains([0.5, 0.0, -0.5])
    assert gauge.face([-1.0, 0.0, -1.0]).point().tolist() == [-2.0, 0.0, 0.0]


def test_the_face_of_zero_is_the_ball() -> None:
    for gauge, inside, outside in (
        (g.L1(), [0.5, -0.5], [0.5, -0.6]),
        (g.L2(), [0.6, -0.8], [0.7, -0.8]),
        (g.LInf(), [1.0, -1.0], [1.1, 0.0]),
    ):
        face = gauge.face([0.0, 0.0])
        assert face.contains(inside)
        assert not face.contains(outside)
        assert face.point().tolist() == [0.0, 0.0]
        assert not face.unique
    for gauge in (g.Nuclear(), g.Spectral()):
        face = gauge.face(np.zeros((2, 3)))
        assert not face.unique
        assert not face.fixed(np.ones((2, 3))).any()
        assert face.contains(0.4 * np.eye(2, 3))


def test_the_face_of_the_nuclear_ball() -> None:
    z = np.diag([2.0, 2.0, 1.0])
    face = g.Nuclear().face(z)
    assert isinstance(face, NuclearFace)
    np.testing.assert_allclose(face.point(), np.diag([0.5, 0.5, 0.0]), atol=1e-15)
    assert not face.unique
    # S with trace 1, positive semidefinite, in the first block; not one that is indefinite or not symmetric.
    assert face.contains([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert not face.contains([[1.5, 0.0, 0.0], [0.0, -0.5, 0.0], [0.0, 0.0, 0.0]])
    assert not face.contains([[0.5, 0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    # Fixed: trace and skew part of the first block, all else.
    x = np.arange(9.0).reshape(3, 3)
    expected = [[2.0, -1.0, 2.0], [1.0, 2.0, 5.0], [6.0, 7.0, 8.0]]
    np.testing.assert_allclose(face.fixed(x), expected, atol=1e-14)
    assert g.Nuclear().face(np.diag([3.0, 2.0])).unique


def test_the_face_of_the_spectral_ball() -> None:
    z = np.diag([2.0, 1.0, 0.0])
    face = g.Spectral().face(z)
    assert isinstance(face, SpectralFace)
    np.testing.assert_allclose(face.point(), np.diag([1.0, 1.0, 0.0]), atol=1e-15)
    assert not face.unique
    assert face.contains(np.diag([1.0, 1.0, -0.7]))
    assert not face.contains(np.diag([1.0, 1.0, -1.7]))
    x = np.arange(9.0).reshape(3, 3)
    expected = x.copy()
    expected[2, 2] = 0.0
    np.testing.assert_allclose(face.fixed(x), expected, atol=1e-14)
    assert g.Spectral().face(np.eye(2, 3)).unique


@pytest.mark.parametrize("unit", [1e-150, 1e-100, 1e100, 1e150])
def test_scales(unit: float) -> None:
    # Oracle: the same numbers in another unit; powers of them would leave float64.
    w = np.array([3.0, -4.0, 1.0])
    matrix = np.array([[3.0, 0.0, 1.0], [0.0, -4.0, 2.0]])
    weighted = g.Weighted(g.L2(), [2.0, 0.5, 1.0])
    ellipsoid = g.Ellipsoid(np.diag([4.0, 1.0, 9.0]))
    for gauge in (g.L1(), g.L2(), g.LInf(), g.Lp(1.01), g.Lp(50), weighted, ellipsoid):
        np.testing.assert_allclose(gauge.value(unit * w), unit * gauge.value(w), rtol=1e-14)
        np.testing.assert_allclose(gauge.face(unit * w).point(), gauge.face(w).point(), rtol=1e-13)
    for gauge in (g.Nuclear(), g.Spectral()):
        np.testing.assert_allclose(gauge.value(unit * matrix), unit * gauge.value(matrix), rtol=1e-14)
        np.testing.assert_allclose(gauge.face(unit * matrix).point(), gauge.face(matrix).point(), atol=1e-14)


def test_small_entries_of_curved_balls() -> None:
    # Oracle: the derivative of the norm, |w_i|^(p-1) / ||w||_p^(p-1): far from 0 for p near 1 however small w_i is.
    z = g.Lp(1.01).subgradient([1.0, -1e-20])
    np.testing.assert_allclose(z, [1.0, -(1e-20**0.01)], rtol=1e-12)


def test_weights_at_the_ends_of_their_range() -> None:
    gauge = g.WeightedL1([1e140, 1e-140])
    assert gauge.value([1e150, 1e-150]) == 1e290
    np.testing.assert_allclose(gauge.value([0.0, 1e-150]), 1e-290, rtol=1e-14)
    np.testing.assert_allclose(gauge.polar().polar().value([1e-140, 1e140]), 2.0, rtol=1e-14)
    mixed = g.WeightedL1([0.0, 1.0])
    assert mixed.value([1e150, 1e-150]) == 1e-150


def test_one_number_is_a_weight_for_all() -> None:
    assert g.WeightedL1(2.0).value([[1.0, -1.0], [0.0, 3.0]]) == 10.0
    assert g.TwoSidedL1(1.0, 2.0).value([1.0, -1.0]) == 3.0
    assert g.Weighted(g.LInf(), 3.0).polar().value([1.0, -2.0]) == 1.0


def test_values_are_frozen() -> None:
    weights = np.array([1.0, 2.0])
    gauge = g.WeightedL1(weights)
    weights[0] = 7.0
    assert gauge.value([1.0, 0.0]) == 1.0
    with pytest.raises(AttributeError):
        gauge.weights = weights  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        gauge.weights[0] = 7.0
    for array in (gauge.subgradient([1.0, -1.0]), gauge.face([1.0, -1.0]).point()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0
    form = gauge.conic_form(2)
    assert form is not None
    with pytest.raises(ValueError, match="read-only"):
        form.on_point.data[0] = 7.0


# A flow asks for the reciprocal weights in each step.
@pytest.mark.parametrize(
    "gauge",
    [
        ib.gauges.Weighted(ib.gauges.L2(), [1.0, 2.0]),
        ib.gauges.WeightedL1([1.0, 2.0]),
        ib.gauges.TwoSidedL1([1.0], [2.0]),
    ],
)
def test_reciprocal_weights_are_computed_once(gauge: Any) -> None:
    assert gauge.sides.reciprocal is gauge.sides.reciprocal
