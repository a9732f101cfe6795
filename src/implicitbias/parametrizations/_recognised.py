"""Closed forms of the potentials of linear maps, quadratic maps and powers, recognised in exact arithmetic."""

from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._fields import outputs_of
from implicitbias.parametrizations._polynomials import Polynomial, polynomials_of
from implicitbias.potentials import HyperbolicEntropy, OneSided, Potential, QuadraticForm

# The largest number of products of terms, of products of the entries of forms, and of entries of w with a full Hessian.
_MOST, _LARGEST = 200_000, 1000
# Two rates count as equal, and the Hessian of a linear map as regular, up to this relative difference.
_EQUAL, _RANK = 1e-15, 1e-12


def recognised_potential(G: Any, theta0: Any) -> Potential | None:
    r"""Return the potential of a linear map, of sums and differences of squares, or of powers, else None.

    A linear map $w = B \theta$ has $\nabla^2 R = (B B^\top)^{-1}$. In all other maps the entries of w have parameters
    of their own. Let $w_i = \frac12 \theta^\top A_i \theta$ where $A_i$ has no other eigenvalues than $\lambda$,
    $-\lambda$ and 0, and let $\theta_\pm$ be the projections of the start on the first two eigenspaces. Then
    $\nabla Q(\mu)_i = \frac\lambda2 (|\theta_+|^2 e^{2 \lambda \mu_i} - |\theta_-|^2 e^{-2 \lambda \mu_i})$.
    If neither projection is 0, this is a hyperbolic entropy of the scale $\lambda |\theta_+| |\theta_-|$ times
    $1 / \lambda$, less a linear function. For u * v, $\lambda$ is 1, and for $u^2 - v^2$ it is 2.

    If one of them is 0, as for sums of squares, the metric of w is $2 \lambda |w_i|$, and for a power $w_i = c u^k$
    with $k \ge 2$ it is $k^2 |c|^{2/k} |w_i|^{2 - 2/k}$. Such entries keep their signs: the potential is `OneSided`.
    """
    outputs, start = outputs_of(G, theta0)
    with double_precision():
        polynomials = polynomials_of(outputs, len(start), _MOST)
    w0 = np.asarray(G(theta0))
    if polynomials is None or np.ndim(w0) != 1:
        return None
    if all(len(monomial) <= 1 for one in polynomials for monomial in one.terms):
        return _of_linear_map(polynomials, len(start))
    entries = [_entry(one, start) for one in polynomials]
    found = [entry for entry in entries if entry is not None]
    variables = [index for entry in found for index in entry.variables]
    if len(found) < len(entries) or len(set(variables)) < len(variables):
        return None
    log_scales = np.array([entry.log_scale for entry in found])
    if np.all(log_scales == -np.inf):
        rates = np.array([entry.rate for entry in found])
        return OneSided(rates, np.array([entry.power for entry in found]), w0) if np.all(w0 != 0.0) else None
    rates = np.array([entry.rate / 2.0 for entry in found])
    if np.any(log_scales == -np.inf) or np.ptp(rates) > _EQUAL * rates[0]:
        return None  # A multiple of a hyperbolic entropy has one factor for all entries.
    phi = HyperbolicEntropy(log_scale=log_scales)
    return phi if rates[0] == 1.0 else (1.0 / float(rates[0])) * phi


def _of_linear_map(polynomials: list[Polynomial], size: int) -> Potential | None:
    if len(polynomials) > _LARGEST:
        return None
    B = np.zeros((len(polynomials), size))
    for row, one in zip(B, polynomials, strict=True):
        for monomial, c in one.terms.items():
            row[list(monomial)] = float(c) if monomial else 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found in the next line
        gram = B @ B.T
    if not np.all(np.isfinite(gram)):
        return None
    values, vectors = np.linalg.eigh(gram)
    if not values[0] > _RANK * values[-1]:
        return None
    inverse = (vectors / values) @ vectors.T
    return QuadraticForm((inverse + inverse.T) / 2.0)


class _Entry(NamedTuple):
    """An entry of w, whose metric is `rate` |w|^(1 + power) as |w| grows.

    Attributes:
        variables: its parameters.
        rate: 2 lambda for a quadratic form.
        log_scale: the logarithm of the scale of its hyperbolic entropy, or -inf if it keeps its sign.
        power: 1 - 2 / k for a power k, 0 for a quadratic form.
    """

    variables: tuple[int, ...]
    rate: float
    log_scale: float
    power: float = 0.0


def _entry(polynomial: Polynomial, start: Float64[ndarray, " D"]) -> _Entry | None:
    """Return the form of an entry of w, or None if it has another one or cannot move from the start."""
    terms = polynomial.terms
    variables = tuple(sorted({index for monomial in terms for index in monomial}))
    if len(terms) == len(variables) == 1:
        return _power(*next(iter(terms.items())), start)
    if not terms or any(len(monomial) != 2 for monomial in terms) or len(variables) ** 3 > _MOST:
        return None
    places = {index: place for place, index in enumerate(variables)}
    form = _form(tuple(sorted((places[i], places[j], Fraction(c)) for (i, j), c in terms.items())))
    if form is None:
        return None
    own = start[list(variables)]
    even, odd = form.even @ own, form.odd @ own
    plus, minus = _log_norm((even + odd) / 2.0), _log_norm((even - odd) / 2.0)
    if form.definite:
        plus, minus = _log_norm(even), -np.inf
    if plus == minus == -np.inf:
        return None
    return _Entry(variables, 2.0 * form.rate, float(np.log(form.rate)) + plus + minus)


def _power(monomial: tuple[int, ...], c: Any, start: Float64[ndarray, " D"]) -> _Entry | None:
    """Return the entry c u^k, or None if u is 0, where it does not move, or if k is 1."""
    k = len(monomial)
    if k == 1 or start[monomial[0]] == 0.0:
        return None
    return _Entry(monomial[:1], k * k * abs(float(c)) ** (2.0 / k), -np.inf, 1.0 - 2.0 / k)


class _Form(NamedTuple):
    """A symmetric matrix A with the eigenvalues lambda, -lambda and 0: lambda, A^2 / lambda^2, and A / lambda.

    It is `definite` if lambda or -lambda is no eigenvalue.
    """

    rate: float
    even: Float64[ndarray, "m m"]
    odd: Float64[ndarray, "m m"]
    definite: bool


@lru_cache(maxsize=256)
def _form(terms: tuple[tuple[int, int, Fraction], ...]) -> _Form | None:
    """Return the matrix of a quadratic form, or None if it has other eigenvalues."""
    size = 1 + max(j for _, j, _ in terms)
    A = np.full((size, size), Fraction(0), dtype=object)
    for i, j, c in terms:
        A[i, j] += c
        A[j, i] += c
    square = A @ A
    cube = square @ A
    row, column = next(zip(*np.nonzero(A), strict=True))
    squared_rate = cube[row, column] / A[row, column]
    if np.any(cube != squared_rate * A):
        return None
    rate = float(np.sqrt(float(squared_rate)))
    even, odd = np.asarray(square / squared_rate, dtype=float), np.asarray(A, dtype=float) / rate
    definite = bool(np.all(square * A[row, column] == square[row, column] * A))
    return _Form(rate, even, odd, definite)


def _log_norm(vector: Float64[ndarray, " m"]) -> float:
    """Return the logarithm of the norm, also where its square leaves float64."""
    size = float(np.max(np.abs(vector)))
    return float(np.log(size) + np.log(np.linalg.norm(vector / size))) if size > 0.0 else -np.inf
