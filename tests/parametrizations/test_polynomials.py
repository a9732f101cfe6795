"""Tests of the polynomials that a function computes, against polynomials that are written by hand."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._polynomials import Polynomial, polynomials_of


def terms_of(function: Callable[[Any], Any], size: int, most: int = 10_000) -> Any:
    with double_precision():
        found = polynomials_of(function, size, most)
    return None if found is None else [one.terms for one in found]


@pytest.mark.parametrize(
    ("function", "size", "expected"),
    [
        (lambda t: t[:2] * t[2:], 4, [{(0, 2): 1}, {(1, 3): 1}]),
        (
            lambda t: jnp.stack([t[0] ** 2 - 0.5 * t[1] ** 2 + 1.0, t[jnp.array([0, 1])] @ t[2:] / 4]),
            4,
            [
                {(0, 0): 1, (1, 1): Fraction(-1, 2), (): 1},
                {(0, 2): Fraction(1, 4), (1, 3): Fraction(1, 4)},
            ],
        ),
        (
            lambda t: (t.reshape(2, 2) @ t.reshape(2, 2).T)[jnp.triu_indices(2)],
            4,
            [{(0, 0): 1, (1, 1): 1}, {(0, 2): 1, (1, 3): 1}, {(2, 2): 1, (3, 3): 1}],
        ),
        (lambda t: jnp.concatenate([t, jnp.ones(1)])[::-1], 1, [{(): 1}, {(0,): 1}]),
        (lambda t: jax.vmap(lambda x: x - 3 * x)(t) - 2 * -t, 1, [{}]),
        (
            lambda t: jnp.einsum("ij,jk->ik", t.reshape(1, 2), t.reshape(2, 1)).ravel(),
            2,
            [{(0, 0): 1, (1, 1): 1}],
        ),
        (jnp.sinh, 1, None),
        (lambda t: 1.0 / t, 1, None),
        (lambda t: jnp.sum(t) ** 9 * jnp.ones(1), 9, None),  # more products of terms than are allowed
    ],
)
def test_the_program_is_read(function: Callable[[Any], Any], size: int, expected: Any) -> None:
    assert terms_of(function, size) == expected


def test_derivatives_are_exact() -> None:
    x, y = Polynomial.variable(0), Polynomial.variable(1)
    gradient = (x * x * y - 0.1 * y).gradient()
    assert gradient[0].terms == {(0, 1): 2}
    # The number 0.1 counts as the float64 that it is.
    assert gradient[1].terms == {(0, 0): 1, (): -Fraction(0.1)}
    assert np.isclose(float(Fraction(0.1)), 0.1, rtol=0, atol=0)
