"""Multiples of a potential."""

import jax
import numpy as np
import pytest

import implicitbias as ib

W = np.array([0.3, -2.0, 0.0])


# Oracle: the definitions, on the potential itself.
@pytest.mark.parametrize("c", [0.5, 3, np.float64(1e-3), np.float32(2.0), np.int64(7)])
def test_a_multiple_is_what_it_says(c: float) -> None:
    phi = ib.HyperbolicEntropy([0.1, 1.0, 20.0])
    for scaled in (c * phi, phi * c):
        np.testing.assert_allclose(scaled.value(W), float(c) * phi.value(W), rtol=1e-15)
        np.testing.assert_allclose(scaled.mirror(W), float(c) * phi.mirror(W), rtol=1e-15)
        np.testing.assert_allclose(scaled.inverse_mirror(float(c) * phi.mirror(W)), W, rtol=1e-13)
        np.testing.assert_allclose(scaled.divergence(W, -W), float(c) * phi.divergence(W, -W), rtol=1e-15)


# Oracle: the gradient flow of w is the mirror flow of 1/2 |w|^2. With the factor c = 2 the flow is half as fast.
def test_a_multiple_of_the_squared_norm() -> None:
    assert (4 * (0.5 * ib.SquaredNorm())).mirror(W).tolist() == (2 * W).tolist()


def test_the_scales_of_the_inner_potential_are_leaves() -> None:
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(0.5 * ib.HyperbolicEntropy([0.1, 1.0, 20.0]))]
    assert sorted(shapes) == [(), (3,)]


def test_a_point_of_another_length_than_the_scales_is_refused() -> None:
    with pytest.raises(ib.InputError, match="w has 2 entries, the potential has parameters for 3"):
        (0.5 * ib.HyperbolicEntropy([0.1, 1.0, 20.0])).mirror([1.0, 2.0])


@pytest.mark.parametrize(
    "factor",
    [
        0,
        -1.0,
        np.nan,
        np.inf,
        True,
        "2",
        None,
        [1.0],
        np.ones(3),
        np.array(2.0),
        1j,
        ib.SquaredNorm(),
        1e200 * 1.0,
    ],
    ids=str,
)
def test_bad_factors_are_refused(factor: object) -> None:
    phi = 1e200 * ib.SquaredNorm()
    with pytest.raises(ib.InputError, match=r"multiplied by .*positive, finite number .*0\.5 \* potential"):
        phi * factor
    with pytest.raises(ib.InputError, match=r"multiplied by"):
        factor * phi
