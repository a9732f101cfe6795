"""Exact polynomials with rational coefficients, and the polynomials that a traced function computes."""

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy import ndarray

# A monomial is the sorted tuple of its variables: x_0^2 x_3 is (0, 0, 3).
Monomial = tuple[int, ...]

_INLINED = frozenset(
    {
        "jit",
        "pjit",
        "closed_call",
        "core_call",
        "remat",
        "checkpoint",
        "remat2",
        "custom_jvp_call",
        "custom_vjp_call",
    }
)
# Operations that only move entries, with the number of their leading arguments that hold entries (None: all).
_MOVES: dict[str, int | None] = {
    "broadcast_in_dim": 1,
    "concatenate": None,
    "copy": 1,
    "copy_p": 1,
    "dynamic_slice": 1,
    "expand_dims": 1,
    "gather": 1,
    "pad": None,
    "reshape": 1,
    "rev": 1,
    "slice": 1,
    "split": 1,
    "squeeze": 1,
    "stack": None,
    "transpose": 1,
    "unstack": 1,
}


class Polynomial:
    """A polynomial with exact rational coefficients; coefficients that are 0 are not stored."""

    __slots__ = ("terms",)
    # With None here, NumPy does not treat a polynomial as an array.
    __array_ufunc__ = None

    def __init__(self, terms: dict[Monomial, Any]) -> None:
        self.terms = {monomial: c for monomial, c in terms.items() if c != 0}

    @classmethod
    def constant(cls, number: Any) -> "Polynomial":
        """Return a number, which is converted without rounding, as a polynomial."""
        value = float(number)
        return cls({(): int(value) if value.is_integer() else Fraction(value)})

    @classmethod
    def variable(cls, index: int) -> "Polynomial":
        """Return the polynomial x_index."""
        return cls({(index,): 1})

    def __add__(self, other: Any) -> "Polynomial":
        terms = dict(self.terms)
        for monomial, c in as_polynomial(other).terms.items():
            terms[monomial] = terms.get(monomial, 0) + c
        return Polynomial(terms)

    def __mul__(self, other: Any) -> "Polynomial":
        terms: dict[Monomial, Any] = {}
        for one, c in self.terms.items():
            for two, e in as_polynomial(other).terms.items():
                monomial = tuple(sorted(one + two))
                terms[monomial] = terms.get(monomial, 0) + c * e
        return Polynomial(terms)

    def __neg__(self) -> "Polynomial":
        return Polynomial({monomial: -c for monomial, c in self.terms.items()})

    def __sub__(self, other: Any) -> "Polynomial":
        return self + -as_polynomial(other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> "Polynomial":
        return as_polynomial(other) - self

    def power(self, exponent: int) -> "Polynomial":
        """Return the polynomial to a power of at least 0."""
        result = Polynomial({(): 1})
        for _ in range(exponent):
            result = result * self
        return result

    def gradient(self) -> dict[int, "Polynomial"]:
        """Return the partial derivatives that are not 0, by the index of their variable."""
        parts: dict[int, dict[Monomial, Any]] = {}
        for monomial, c in self.terms.items():
            for variable, count in Counter(monomial).items():
                place = monomial.index(variable)
                parts.setdefault(variable, {})[monomial[:place] + monomial[place + 1 :]] = c * count
        return {variable: Polynomial(terms) for variable, terms in parts.items()}

    @property
    def degree(self) -> int:
        """The degree, 0 for constants."""
        return max(map(len, self.terms), default=0)


def as_polynomial(value: Any) -> Polynomial:
    """Return a number or a polynomial as a polynomial."""
    return value if isinstance(value, Polynomial) else Polynomial.constant(value)


def polynomials_of(function: Callable[[Any], Any], size: int, most: int) -> list[Polynomial] | None:
    """Return the polynomials that a function computes, or None if it computes other functions or too many terms.

    Call it inside `double_precision`. The numbers in the program of the function count as exact.

    Args:
        function: a function of a vector (size,) that JAX traces and that returns one array.
        size: the number of variables.
        most: the largest number of products of terms that is tried.
    """
    program = jax.make_jaxpr(function)(np.zeros(size))
    variables = _objects([Polynomial.variable(i) for i in range(size)])
    try:
        (result,) = _Reader(most).run(program.jaxpr, program.consts, [variables])
    except _NotPolynomialError:
        return None
    return [as_polynomial(entry) for entry in np.ravel(result)]


class _NotPolynomialError(Exception):
    """The program computes a function that is no polynomial, or one of too many terms."""


def _objects(entries: Sequence[Any]) -> ndarray:
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    return array


def _shaped(value: Any, shape: tuple[int, ...]) -> ndarray:
    """Return an array of polynomials; NumPy returns a single one where an array has no dimensions."""
    array = np.empty(shape, dtype=object)
    array[...] = value
    return array


class _Product(NamedTuple):
    """The axes of a product of arrays that are summed over, and those that run together."""

    summed: tuple[Any, Any]
    together: tuple[Any, Any]


class _Reader:
    """The evaluation of a program on arrays of polynomials, with a bound on the work."""

    def __init__(self, most: int) -> None:
        self.left = most

    def run(self, jaxpr: Any, constants: Any, values: list[Any]) -> list[Any]:
        env = dict(zip(jaxpr.constvars, map(np.asarray, constants), strict=True))
        env.update(zip(jaxpr.invars, values, strict=True))
        for equation in jaxpr.eqns:
            given = [np.asarray(var.val) if hasattr(var, "val") else env[var] for var in equation.invars]
            env.update(zip(equation.outvars, self._apply(jaxpr, equation, given), strict=True))
        return [np.asarray(var.val) if hasattr(var, "val") else env[var] for var in jaxpr.outvars]

    def _apply(self, jaxpr: Any, equation: Any, given: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        if not any(value.dtype == object for value in given):
            return [np.asarray(value) for value in _evaluated(jaxpr, equation, given)]
        if name in _INLINED:
            inner = params.get("jaxpr", params.get("call_jaxpr"))
            return self.run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), given)
        if name in _MOVES:
            return _moved(jaxpr, equation, given, _MOVES[name])
        result = self._computed(name, params, given)
        return [_shaped(result, equation.outvars[0].aval.shape)]

    def _computed(self, name: str, params: Any, given: list[Any]) -> Any:
        if name == "dot_general":
            (summed, together) = params["dimension_numbers"]
            left, right = given
            return self._product(left, right, _Product(summed, together))
        if name == "mul":
            self._spend(np.sum(_lengths(given[0]) * _lengths(given[1])))
            return given[0] * given[1]
        if name in ("add", "add_any", "sub"):
            return given[0] - given[1] if name == "sub" else given[0] + given[1]
        if name in ("integer_pow", "square"):
            exponent = params.get("y", 2)
            if exponent < 0:
                raise _NotPolynomialError
            self._spend(np.sum(_lengths(given[0]) ** max(exponent, 1)))
            return np.vectorize(lambda entry: entry.power(exponent), otypes=[object])(given[0])
        if name == "div" and given[1].dtype != object and np.all(given[1] != 0.0):
            return given[0] * np.vectorize(_reciprocal, otypes=[object])(given[1])
        if name == "reduce_sum":
            return np.sum(given[0], axis=tuple(params["axes"]))
        simple = {"neg": lambda x: -x, "convert_element_type": lambda x: x}
        if name not in simple:
            raise _NotPolynomialError
        return simple[name](given[0])

    def _product(self, left: Any, right: Any, axes: _Product) -> Any:
        """Return `dot_general`: the axes that run together first, then the free ones of both arrays."""
        names = iter("abcdefghijklmnopqrstuvwxyz")
        one, two = [next(names) for _ in range(left.ndim)], [next(names) for _ in range(right.ndim)]
        for pair in (axes.summed, axes.together):
            for i, j in zip(*pair, strict=True):
                two[j] = one[i]
        shared = [one[i] for i in axes.together[0]]
        summed = {one[i] for i in axes.summed[0]}
        free = [x for x in [*one, *two] if x not in shared and x not in summed]
        formula = f"{''.join(one)},{''.join(two)}->{''.join([*shared, *free])}"
        self._spend(np.sum(np.einsum(formula, _lengths(left), _lengths(right))))
        return np.einsum(formula, _filled(left), _filled(right))

    def _spend(self, products: Any) -> None:
        self.left -= int(products)
        if self.left < 0:
            raise _NotPolynomialError


def _reciprocal(number: Any) -> Polynomial:
    return Polynomial({(): 1 / Fraction(float(number))})


def _filled(value: ndarray) -> ndarray:
    """Return an array of polynomials; numbers become constants."""
    return value if value.dtype == object else np.vectorize(Polynomial.constant, otypes=[object])(value)


def _lengths(value: ndarray) -> ndarray:
    """Return the numbers of terms of the entries."""
    if value.dtype != object:
        return np.asarray(value != 0).astype(np.int64)
    return np.vectorize(lambda entry: len(entry.terms), otypes=[np.int64])(value)


def _evaluated(jaxpr: Any, equation: Any, values: list[Any]) -> list[Any]:
    """Return the results of one operation, evaluated as a program of one line."""
    inputs = {
        var: value for var, value in zip(equation.invars, values, strict=True) if not hasattr(var, "val")
    }
    line = jaxpr.replace(constvars=[], invars=list(inputs), outvars=equation.outvars, eqns=[equation])
    return list(jax.core.eval_jaxpr(line, (), *inputs.values()))


def _moved(jaxpr: Any, equation: Any, given: list[Any], count: int | None) -> list[Any]:
    """Return the results of an operation that only moves entries: it is applied to their places."""
    count = len(given) if count is None else count
    if any(hasattr(var, "val") for var in equation.invars[:count]):
        raise _NotPolynomialError  # A number that is written in the program has no place.
    entries = np.concatenate([np.ravel(_filled(value)) for value in given[:count]])
    ends = np.cumsum([0, *(value.size for value in given[:count])])
    places = [
        np.arange(a, b).reshape(v.shape) for a, b, v in zip(ends, ends[1:], given[:count], strict=False)
    ]
    results = [np.asarray(result) for result in _evaluated(jaxpr, equation, [*places, *given[count:]])]
    if any(np.any((result < 0) | (result >= len(entries))) for result in results):
        raise _NotPolynomialError
    return [_shaped(entries[result], result.shape) for result in results]
