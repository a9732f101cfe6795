"""Growth times of products and differences, to the last digits, and the directions that have none."""

from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy import ndarray
from numpy.testing import assert_allclose
from scipy.special import elliprf

import implicitbias as ib

PRODUCT, SQUARES = ib.HadamardProduct(), ib.SquareDifference()


def by_mpmath(b: ndarray) -> tuple[float, float]:
    """(t_plus, t_minus) of one coordinate by mpmath's quadrature of the integral in the layer that grows."""
    with mpmath.workdps(40):
        layers = [mpmath.mpf(float(value)) for value in b]
        smallest = min(range(len(b)), key=lambda j: abs(layers[j]))
        c = abs(layers[smallest]) * (-1 if np.prod(np.sign(b)) < 0 else 1)
        squares = [a * a - c * c for j, a in enumerate(layers) if j != smallest]

        def speed(x: mpmath.mpf) -> mpmath.mpf:
            return 1 / mpmath.sqrt(mpmath.fprod(x * x + square for square in squares))

        bends = [mpmath.sqrt(square) * factor for square in squares for factor in (0.1, 1, 10)]
        knots = sorted({mpmath.mpf(0), *bends, *(-bend for bend in bends)})

        def time(begin: mpmath.mpf) -> float:
            return float(mpmath.quad(speed, [begin, *(x for x in knots if x > begin), mpmath.inf]))

        return time(c), time(-c)


# Oracle: mpmath's tanh-sinh quadrature at 40 digits.
@pytest.mark.parametrize("depth", [3, 4, 5, 8])
@pytest.mark.parametrize("kind", ["generic", "nearly tied", "wide"])
def test_they_have_all_digits(depth: int, kind: str) -> None:
    rng = np.random.default_rng([depth, len(kind)])
    b = rng.uniform(0.5, 2.0, (depth, 3)) * rng.choice([-1.0, 1.0], (depth, 3))
    if kind == "nearly tied":
        b[1] = b[0] * (1 + 1e-9)
    elif kind == "wide":
        b *= 10.0 ** -np.arange(depth)[:, None]
    plus, minus = ib.DeepDiagonal(depth).growth_times(tuple(b))
    for i in range(3):
        # A near tie leaves a rounding of 1e-16 / 1e-9 in b^2 - c^2 itself, and mpmath gets the same numbers.
        assert_allclose((plus[i], minus[i]), by_mpmath(b[:, i]), rtol=1e-13)


# Oracle: Carlson's R_F (SciPy): the whole line less the half that the start has passed.
def test_depth_three_is_an_elliptic_integral() -> None:
    rng = np.random.default_rng(0)
    b = rng.standard_normal((3, 2000)) * 10.0 ** rng.uniform(-30, 30, (3, 2000))
    squares = np.sort(b * b, axis=0)
    same = elliprf(*squares)
    other = 2 * elliprf(0.0, squares[1] - squares[0], squares[2] - squares[0]) - same
    positive = np.prod(np.sign(b), axis=0) > 0.0
    plus, minus = ib.DeepDiagonal(3).growth_times(tuple(b))
    assert_allclose(plus, np.where(positive, same, other), rtol=5e-14)
    assert_allclose(minus, np.where(positive, other, same), rtol=5e-14)


# Oracle: by hand: layers of one size b: x' = x^(D-1), so b^(2-D) / (D-2), and the sign never changes.
@pytest.mark.parametrize("depth", [3, 4, 7, 20])
def test_layers_of_one_size(depth: int) -> None:
    sizes = np.array([1.0, 0.5, 3.0])
    layers = (-sizes, *[sizes] * (depth - 1))
    plus, minus = ib.DeepDiagonal(depth).growth_times(layers)
    assert plus.tolist() == [np.inf] * 3
    assert_allclose(minus, sizes ** (2.0 - depth) / (depth - 2), rtol=1e-14)


# Oracle: by hand: int_0^inf dx / (x^2 + 1) = pi / 2 from one layer at 0, and to both sides.
def test_one_layer_may_vanish() -> None:
    plus, minus = ib.DeepDiagonal(3).growth_times(([1.0, 0.0], [0.0, -1.0], [1.0, 1.0]))
    assert_allclose(plus, np.pi / 2, rtol=1e-14)
    assert_allclose(minus, np.pi / 2, rtol=1e-14)


# Oracle: by hand: more layers of size 1 above two at 0.1, -0.1 do not help it to change sign.
def test_a_tie_for_the_smallest_never_changes_sign() -> None:
    plus, minus = ib.DeepDiagonal(4).growth_times(([0.1], [-0.1], [1.0], [2.0]))
    assert plus.tolist() == [np.inf]
    assert np.isfinite(minus).all()


# Oracle: theory 1.6: u v has 1, u^2 - v^2 has 1/2; u = v never becomes negative, u = -v never positive.
def test_two_layers() -> None:
    u, v = np.array([1.0, 0.3, 0.3, 0.0]), np.array([-0.4, 0.3, -0.3, 2.0])
    for G in (PRODUCT, ib.DeepDiagonal(2)):
        plus, minus = G.growth_times((u, v))
        assert plus.tolist() == [1.0, 1.0, np.inf, 1.0]
        assert minus.tolist() == [1.0, np.inf, 1.0, 1.0]
    plus, minus = SQUARES.growth_times((u, [1.0, 0.0, 2.0, 1.0]))
    assert plus.tolist() == [0.5, 0.5, 0.5, np.inf]
    assert minus.tolist() == [0.5, np.inf, 0.5, 0.5]


# Oracle: coordinates one by one: shapes, and more coordinates than one chunk holds.
def test_any_shape_and_number() -> None:
    rng = np.random.default_rng(1)
    layers = tuple(rng.standard_normal((4, 3, 2)))
    together = ib.DeepDiagonal(4).growth_times(layers)
    for i, j in np.ndindex(3, 2):
        one = ib.DeepDiagonal(4).growth_times(tuple(layer[i : i + 1, j] for layer in layers))
        assert_allclose((together[0][i, j], together[1][i, j]), np.ravel(one), rtol=1e-14)
    many = rng.standard_normal((3, 10_000))
    plus, minus = ib.DeepDiagonal(3).growth_times(tuple(many))
    alone = ib.DeepDiagonal(3).growth_times(tuple(many[:, 9000:9001]))
    assert_allclose((plus[9000], minus[9000]), np.ravel(alone), rtol=1e-14)


@pytest.mark.parametrize(
    ("G", "direction", "words"),
    [
        (
            PRODUCT,
            ([1.0, 0.0], [1.0, 0.0]),
            r"u = v = 0 in 1 coordinate\(s\), the first at \[1\].*never moves",
        ),
        (SQUARES, ([[1.0, 0.0]], [[1.0, 0.0]]), r"u = v = 0 in 1 coordinate\(s\), the first at \[0, 1\]"),
        (ib.DeepDiagonal(2), ([0.0], [0.0]), "u = v = 0"),
        (
            ib.DeepDiagonal(4),
            ([1.0, 0.0], [1.0, 0.0], [1.0, 2.0], [1.0, 2.0]),
            r"two layers that vanish .*\[1\]",
        ),
        (
            ib.DeepDiagonal(3),
            ([1e-140], [1.0], [2.0]),
            "sizes 1e-140 and 1e0 in one coordinate.*set negligible entries to 0",
        ),
        (ib.DeepDiagonal(5), ([1e200],) * 5, r"range of float64.*direction = tuple\(.*\)"),
        (ib.DeepDiagonal(5), ([1e-200],) * 5, "range of float64"),
        (PRODUCT, [1.0, 2.0, 3.0], r"direction must be a pair \(u, v\)"),
        (ib.DeepDiagonal(3), ([1.0], [np.nan], [1.0]), "a_2 holds 1 NaN"),
        (
            ib.Coordinatewise(jnp.sinh),
            [1.0],
            r"growth times of Coordinatewise are not known.*type ib\.Featurewise\(k\)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ib.Parametrization) else "",
)
def test_directions_without_growth_times_are_refused(G: Any, direction: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        G.growth_times(direction)
