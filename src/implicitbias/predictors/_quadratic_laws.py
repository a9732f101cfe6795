"""Conserved quantities of degree 1 and 2, by linear algebra on the fields at random points."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.arrays import frozen
from implicitbias._core.trees import TreeShape, tree_shape

# A combination of terms is conserved if its change along the fields is at most this share of the changes of its terms.
_CONSERVED = 1e-9
# A wrong law changes by about as much as its terms, and a right one by rounding errors.
_WRONG = 1e-6
_PIVOT, _ROUND, _DENOMINATOR = 1e-7, 1e-7, 12
_RANK = 1e-9
_ORDERS = 12
# Up to this number of parameters, all polynomials of degree 2 are tried.
_SMALL = 40
# Up to this number of parameters, single parameters are tried together with sums of squares.
_LINEAR = 60
# Up to this size of an axis, the entries of products U^T U beside the diagonal are tried.
_WIDE = 64


class Term(NamedTuple):
    """A polynomial of degree 1 or 2: the sum of the products of parameters at pairs of places.

    The place D, behind the last parameter, stands for the number 1.
    """

    text: str
    first: tuple[int, ...]
    second: tuple[int, ...]


class Terms(NamedTuple):
    """The terms among which laws are looked for.

    Attributes:
        terms: the terms.
        traces: pairs of lists of terms that have the same sum, because tr(U^T U) = tr(U U^T).
        block: the largest number of parameters whose products are all among the terms; the number 1 counts as one.
    """

    terms: list[Term]
    traces: list[tuple[list[int], list[int]]]
    block: int


@dataclass(frozen=True, eq=False)
class Law:
    """A conserved quantity: a sum of terms with coefficients.

    Attributes:
        terms: the terms, each with a printed form.
        coefficients: (m,) their coefficients.
    """

    terms: tuple[Term, ...]
    coefficients: Float64[ndarray, " m"]

    def __call__(self, theta: Any) -> float:
        """Return the value at parameters theta."""
        flat = tree_shape(theta, "theta")[1]
        return float(self.coefficients @ self._values(flat[None])[:, 0])

    def drift(self, states: Float64[ndarray, "t D"]) -> float:
        """Return the largest change from the first of some states, relative to the sizes of the terms."""
        values = self._values(states)
        changes = np.abs(self.coefficients @ (values - values[:, :1]))
        size = float(np.max(np.abs(self.coefficients) @ np.abs(values)))
        return float(np.max(changes)) / size if size > 0.0 else 0.0

    def _values(self, states: Float64[ndarray, "t D"]) -> Float64[ndarray, "m t"]:
        longer = np.hstack([states, np.ones((len(states), 1))])
        return np.array([np.sum(longer[:, t.first] * longer[:, t.second], axis=1) for t in self.terms])

    def __str__(self) -> str:
        text = ""
        for c, term in zip(self.coefficients, self.terms, strict=True):
            size = "" if abs(c) == 1.0 else f"{_written(abs(c))}*"
            sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
            text += f"{sign}{size}{term.text}"
        return text

    def __repr__(self) -> str:
        return f"Law({self})"


def _written(number: float) -> str:
    fraction = Fraction(number).limit_denominator(_DENOMINATOR)
    return str(fraction) if abs(float(fraction) - number) <= 1e-15 else f"{number:.6g}"


def simple_terms(shape: TreeShape) -> Terms:
    """Return the entries of U^T U and U U^T of all matrices, and products of entries of each vector.

    They contain the laws of linear networks and of networks with positively homogeneous units.
    """
    terms: list[Term] = []
    traces: list[tuple[list[int], list[int]]] = []
    block = 1
    for name, places in _leaves(shape):
        if places.ndim == 2:
            columns, rows = _products(f"({name}^T {name})", places.T), _products(f"({name} {name}^T)", places)
            traces.append(([*range(len(terms), len(terms) + len(places.T))], []))
            terms += columns
            traces[-1][1].extend(range(len(terms), len(terms) + len(places)))
            terms += rows
        else:
            terms += _vector_products(name, places)
            block = max(block, places.size) if places.ndim == 1 and places.size <= _WIDE else block
    with_single = shape.size <= _LINEAR
    return Terms(terms + (_single(shape) if with_single else []), traces, block + 1)


def wide_terms(shape: TreeShape) -> Terms:
    """Return all monomials of degree 1 and 2 for few parameters, else squares and products at equal places."""
    names, D, leaves = _entry_names(shape), shape.size, _leaves(shape)
    if D <= _SMALL:
        pairs = [(i, j) for i in range(D) for j in range(i, D)]
    else:
        pairs = [(i, i) for i in range(D)]
        for a, (_, one) in enumerate(leaves):
            for _, two in leaves[a + 1 :]:
                if one.shape == two.shape:
                    pairs += [(int(i), int(j)) for i, j in zip(one.ravel(), two.ravel(), strict=True)]
    pairs.sort(key=lambda pair: pair[0] != pair[1])  # Squares come first, so that laws are written with them.
    terms = [Term(_product_text(names, i, j), (i,), (j,)) for i, j in pairs] + _single(shape)
    return Terms(terms, [], (D if D <= _SMALL else len(leaves)) + 1)


def laws_among(
    terms: Terms, points: Float64[ndarray, "p D"], fields: Float64[ndarray, "p n D"]
) -> tuple[Law, ...]:
    """Return independent combinations of the terms that do not change along the fields at some points.

    They are reduced, so that each has a term that no other one has, and are written with fractions where possible.
    """
    if not terms.terms:
        return ()
    gradients = [_gradients(terms.terms, point) for point in points]
    rows = np.concatenate([some @ part for some, part in zip(fields, gradients, strict=True)])
    # The size of a term is that of its products before they are added, because the sum may be a rounding error.
    parts = [np.abs(some) @ abs(part) for some, part in zip(fields, gradients, strict=True)]
    sizes = np.linalg.norm(np.concatenate(parts), axis=0)
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    # One term of each pair of equal sums is left out, because it follows from the others.
    left = np.setdiff1d(np.arange(len(terms.terms)), [two[-1] for _, two in terms.traces])
    # The triangular factor has the same null space as the rows, of which there are many.
    triangle = np.linalg.qr((rows / sizes)[:, left], mode="r")
    _, values, vectors = np.linalg.svd(triangle)
    kept = int(np.sum(values > _CONSERVED * max(values[0], 1e-300)))
    reduced = np.zeros((len(left) - kept, len(terms.terms)))
    reduced[:, left] = _reduced(vectors[kept:] / sizes[left])
    return tuple(_law(terms.terms, _rounded(row, rows)) for row in _shorter(reduced, terms.traces))


def _shorter(
    laws: Float64[ndarray, "q m"], traces: list[tuple[list[int], list[int]]]
) -> list[Float64[ndarray, " m"]]:
    """Return as many laws with fewer terms, where differences of equal traces may be added to each law.

    The reduced form depends on the order of the terms, so that the shortest laws of several orders are taken.
    """
    if not traces or not len(laws):
        return list(laws)
    zeros = np.zeros((len(traces), laws.shape[1]))
    for zero, (one, two) in zip(zeros, traces, strict=True):
        zero[one], zero[two] = 1.0, -1.0
    space, rng = np.concatenate([laws, zeros]), np.random.default_rng(0)
    pool: list[ndarray] = []
    for _ in range(_ORDERS):
        order = rng.permutation(laws.shape[1])
        reduced = np.zeros_like(space)
        reduced[:, order] = _reduced(space[:, order])
        pool += list(np.where(np.abs(reduced) > _ROUND, reduced, 0.0))
    known = np.linalg.qr(zeros.T)[0].T
    chosen: list[ndarray] = []
    for law in sorted(pool, key=_length):
        rest = law - known.T @ (known @ law)
        if np.linalg.norm(rest) > _PIVOT * np.linalg.norm(law):
            chosen.append(law)
            known = np.vstack([known, rest / np.linalg.norm(rest)])
    return chosen


def _length(law: ndarray) -> tuple[int, int]:
    """Return the number of terms, and a number that is smaller for earlier terms."""
    used = np.flatnonzero(law)
    return len(used), int(np.sum(used))


def gradient_rank(laws: tuple[Law, ...], point: Float64[ndarray, " D"]) -> int:
    """Return the rank of the gradients of laws at a point, which is how many of them are independent."""
    if not laws:
        return 0
    gradients = np.array([_gradients(list(law.terms), point) @ law.coefficients for law in laws])
    sizes = np.linalg.norm(gradients, axis=1, keepdims=True)
    values = np.linalg.svd(gradients / np.where(sizes > 0.0, sizes, 1.0), compute_uv=False)
    return int(np.sum(values > _RANK * values[0]))


def all_hold(
    laws: tuple[Law, ...], points: Float64[ndarray, "p D"], fields: Float64[ndarray, "p n D"]
) -> bool:
    """Return whether no law changes along the fields at some points."""
    for law in laws:
        for point, some in zip(points, fields, strict=True):
            gradients = _gradients(list(law.terms), point)
            sizes = np.abs(some) @ (abs(gradients) @ np.abs(law.coefficients))
            if np.any(np.abs(some @ (gradients @ law.coefficients)) > _WRONG * sizes):
                return False
    return True


def _law(terms: list[Term], coefficients: Float64[ndarray, " m"]) -> Law:
    used = np.flatnonzero(coefficients)
    sign = np.sign(coefficients[used[0]])  # The first coefficient is positive.
    return Law(tuple(terms[i] for i in used), frozen(sign * coefficients[used]))


def _gradients(terms: list[Term], point: Float64[ndarray, " D"]) -> Any:
    """Return the gradients of terms at a point as a sparse matrix (D, m)."""
    D, longer = len(point), np.append(point, 1.0)
    index = np.repeat(np.arange(len(terms)), [len(term.first) for term in terms])
    first = np.concatenate([np.asarray(term.first, dtype=int) for term in terms])
    second = np.concatenate([np.asarray(term.second, dtype=int) for term in terms])
    entries = np.concatenate([longer[second], longer[first]])
    places = np.concatenate([first, second]), np.concatenate([index, index])
    return sparse.csr_array((entries, places), shape=(D + 1, len(terms)))[:D]


def _reduced(basis: Float64[ndarray, "q m"]) -> Float64[ndarray, "q m"]:
    """Return a basis of the same space in reduced row echelon form."""
    rows, done = np.array(basis), 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        best = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[best, column]) <= _PIVOT * np.max(np.abs(rows[done:])):
            continue
        rows[[done, best]] = rows[[best, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= rows[others, column][:, None] * rows[done]
        done += 1
    return rows[:done]


def _rounded(row: Float64[ndarray, " m"], equations: Float64[ndarray, "e m"]) -> Float64[ndarray, " m"]:
    """Return coefficients as fractions of small denominators, if these are conserved too."""
    row = np.where(np.abs(row) > _ROUND * np.max(np.abs(row)), row, 0.0)
    near = np.array([float(Fraction(c).limit_denominator(_DENOMINATOR)) for c in row])
    change = np.linalg.norm(equations @ near)
    size = np.linalg.norm(np.abs(equations) @ np.abs(near))
    return near if np.max(np.abs(near - row)) <= _ROUND and change <= _CONSERVED * size else row


def _leaves(shape: TreeShape) -> list[tuple[str, ndarray]]:
    """Return the name and the places of the entries of each leaf."""
    places = shape.pieces(np.arange(shape.size))
    return [(_leaf_name(name), place) for name, place in zip(shape.names, places, strict=True)]


def _leaf_name(name: str) -> str:
    return "theta" if name == "params" else f"theta{name}"


def _entry_names(shape: TreeShape) -> list[str]:
    return [name for leaf in _leaves(shape) for name in _names_in(*leaf)]


def _names_in(name: str, places: ndarray) -> Iterator[str]:
    for index in np.ndindex(*places.shape):
        yield f"{name}[{','.join(map(str, index))}]" if index else name


def _product_text(names: list[str], i: int, j: int) -> str:
    return f"{names[i]}^2" if i == j else f"{names[i]}*{names[j]}"


def _single(shape: TreeShape) -> list[Term]:
    return [Term(name, (i,), (shape.size,)) for i, name in enumerate(_entry_names(shape))]


def _vector_products(name: str, places: ndarray) -> list[Term]:
    """Return the squares of the entries of an array, and for short vectors all products of entries."""
    names, flat = list(_names_in(name, places)), places.ravel()
    pairs = [(i, i) for i in range(len(flat))]
    if places.ndim == 1 and len(flat) <= _WIDE:
        pairs += [(i, j) for i in range(len(flat)) for j in range(i + 1, len(flat))]
    return [Term(_product_text(names, i, j), (int(flat[i]),), (int(flat[j]),)) for i, j in pairs]


def _products(text: str, rows: ndarray) -> list[Term]:
    """Return the products of the rows of an array, first the squares."""
    count = len(rows)
    pairs = [(i, i) for i in range(count)]
    if count <= _WIDE:
        pairs += [(i, j) for i in range(count) for j in range(i + 1, count)]
    return [Term(f"{text}[{i},{j}]", tuple(map(int, rows[i])), tuple(map(int, rows[j]))) for i, j in pairs]
