"""The brackets of polynomial maps in exact rational arithmetic."""

from fractions import Fraction
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations._fields import Outputs
from implicitbias.parametrizations._polynomials import Polynomial, polynomials_of

# The largest number of products of terms: about a second.
_MOST = 200_000


def exactly_zero(outputs: Outputs, size: int) -> bool:
    """Return whether the map is a polynomial of moderate size all of whose brackets are the polynomial 0."""
    derivatives = _derivatives(outputs, size)
    if derivatives is None:
        return False
    left = _MOST
    for j, two in enumerate(derivatives):
        for one in derivatives[:j]:
            if not set(one.gradient) & two.touched and not set(two.gradient) & one.touched:
                continue  # They have no variable in common.
            left -= one.cost(two) + two.cost(one)
            if left < 0:
                return False
            if any(part.terms for part in _bracket(one, two)):
                return False
    return True


def nonzero_at(outputs: Outputs, start: Float64[ndarray, " D"], pair: tuple[int, int]) -> bool:
    """Return whether the map is a polynomial of moderate size and the bracket of two entries is not 0 at the start."""
    derivatives = _derivatives(outputs, len(start), pair)
    if (
        derivatives is None
        or derivatives[0].cost(derivatives[1]) + derivatives[1].cost(derivatives[0]) > _MOST
    ):
        return False
    point = [Fraction(float(number)) for number in start]
    return any(_value(part, point) != 0 for part in _bracket(*derivatives))


class _Derivatives:
    """The gradient and the Hessian of one polynomial, without their zeros."""

    def __init__(self, polynomial: Polynomial) -> None:
        self.gradient = polynomial.gradient()
        self.hessian = {i: part.gradient() for i, part in self.gradient.items()}
        self.touched = {j for row in self.hessian.values() for j in row}

    def times(self, vector: dict[int, Polynomial]) -> dict[int, Polynomial]:
        """Return the product of the Hessian and a vector of polynomials."""
        result: dict[int, Polynomial] = {}
        for i, row in self.hessian.items():
            for j in row.keys() & vector.keys():
                product = row[j] * vector[j]
                result[i] = result[i] + product if i in result else product
        return result

    def cost(self, other: "_Derivatives") -> int:
        """Return the number of products of terms in the Hessian of this one times the gradient of the other."""
        return sum(
            len(row[j].terms) * len(other.gradient[j].terms)
            for row in self.hessian.values()
            for j in row.keys() & other.gradient.keys()
        )


def _derivatives(
    outputs: Outputs, size: int, pair: tuple[int, int] | None = None
) -> list[_Derivatives] | None:
    polynomials = polynomials_of(outputs, size, _MOST)
    if polynomials is None or sum(len(one.terms) for one in polynomials) > _MOST:
        return None
    return [_Derivatives(one) for one in (polynomials if pair is None else [polynomials[i] for i in pair])]


def _bracket(one: _Derivatives, two: _Derivatives) -> list[Polynomial]:
    """Return Hess G_j grad G_i - Hess G_i grad G_j, without the entries that have no terms on either side."""
    there, back = two.times(one.gradient), one.times(two.gradient)
    zero = Polynomial({})
    return [there.get(i, zero) - back.get(i, zero) for i in there.keys() | back.keys()]


def _value(polynomial: Polynomial, point: list[Fraction]) -> Any:
    total: Any = 0
    for monomial, c in polynomial.terms.items():
        for variable in monomial:
            c = c * point[variable]
        total += c
    return total
