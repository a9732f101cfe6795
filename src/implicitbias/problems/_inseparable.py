"""Proofs that no linear classifier separates the data: convex combinations of the signed rows that are 0."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from scipy.optimize import linprog

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError
from implicitbias.problems._classification import Classification
from implicitbias.problems._in_w import ReparametrizedProblem
from implicitbias.problems._margins import Margins, margins_of

# The relative rounding of float64, and the bound of the residuals of certificates.
EPSILON, TOLERANCE = float(np.finfo(np.float64).eps), 1e-9
# Weights below this share of the largest one count as 0.
_NO_WEIGHT = 1e-9
# Singular values of the equations above this share of the largest one leave room for the rounding of the weights.
_ROOM = 1e-7
# The largest number of entries of a system that is solved in exact arithmetic.
_LARGEST_EXACT = 10_000
# The largest number of entries of X for which a proof is sought for parameters that do not separate the data.
_LARGEST = 2 * 10**6
_OPTIONS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class Combination(NamedTuple):
    """Weights of rows whose combination is 0.

    Attributes:
        weights: (m,) non-negative weights with the sum 1.
        proof: how it is known that weights exist for which the combination is exactly 0; "" if it is not known.
    """

    weights: Float64[ndarray, " m"]
    proof: str


def refuse_inseparable_problem(problem: Any) -> None:
    """Raise an `InfeasibleError` if predictions are linear in w and no w separates the data.

    Nothing is examined for other models, and for X of more than 2e6 entries.
    """
    linear = problem.problem if isinstance(problem, ReparametrizedProblem) else problem
    if not isinstance(linear, Classification):
        return
    margins = margins_of(linear, bias=False)
    number, d = margins.linear_map.shape
    if number * d <= _LARGEST:
        refuse_inseparable(margins, np.arange(number), intercept=False)


def refuse_inseparable(
    margins: Margins,
    suspects: Int64[ndarray, " k"],
    allowed: tuple[Bool[ndarray, " d"], Bool[ndarray, " d"]] | None = None,
    intercept: bool = True,
) -> None:
    """Raise an `InfeasibleError` if a convex combination of the signed rows is 0.

    Args:
        margins: the margins.
        suspects: the rows among which the combination is looked for.
        allowed: which signs each entry of w can take, as two arrays of booleans (positive, negative); None for both.
        intercept: whether the caller takes `bias=True`.
    """
    found = combination(margins, suspects, allowed)
    if found is None:
        return
    rows = np.flatnonzero(found.weights)
    largest = rows[np.argsort(-found.weights[rows], kind="stable")][:3]
    certificate = _certificate(margins, found, allowed)
    if not certificate.holds:
        return
    shown = " + ".join(f"{found.weights[i]:.3g} {margins.name(int(i))}" for i in largest)
    rest = " + ..." if len(rows) > 3 else ""
    advice = "drop mislabelled rows or add features"
    if intercept and not margins.free.shape[1]:
        advice += ", or type bias=True if a free intercept is allowed"
    raise InfeasibleError(
        f"no linear classifier separates the data: {shown}{rest} = 0 is a convex combination of {len(rows)} signed "
        f"rows, and a positive margin on all of them is impossible; {advice}",
        certificate,
        margins.by_rows(found.weights),
    )


def combination(
    margins: Margins,
    suspects: Int64[ndarray, " k"],
    allowed: tuple[Bool[ndarray, " d"], Bool[ndarray, " d"]] | None,
) -> Combination | None:
    """Return a convex combination of signed rows that is 0 up to rounding, or None if none is found."""
    m, d = margins.linear_map.shape
    rows, free = margins.part(suspects, np.arange(d)), margins.free[suspects]
    solution = vanishing_combination(rows, free, allowed)
    if solution is None:
        return None
    found = _examined(rows, free, solution, examined=allowed is None)
    if found is None:
        return None
    weights = np.zeros(m)
    weights[suspects] = found.weights
    return Combination(weights, found.proof)


def _examined(
    rows: Float64[ndarray, "k d"],
    free: Float64[ndarray, "k r"],
    weights: Float64[ndarray, " k"],
    *,
    examined: bool,
) -> Combination | None:
    """Return the weights without rounding errors where possible, and how their combination is known to be 0."""
    weights = np.where(weights > _NO_WEIGHT * np.max(weights), weights, 0.0)
    support = np.flatnonzero(weights)
    if not examined:
        return Combination(weights / np.sum(weights), "")
    every = np.hstack([rows, free])
    equations = np.vstack([every[support].T, np.ones(len(support))])
    sizes = np.linalg.norm(equations, axis=1)
    used = sizes > 0.0
    scaled = equations[used] / sizes[used, None]
    goal = np.zeros(len(scaled))
    goal[-1] = 1.0 / sizes[-1]
    polished = np.linalg.lstsq(scaled, goal, rcond=1e-13)[0]
    if np.all(polished > 0.0) and np.max(np.abs(scaled @ polished - goal)) <= TOLERANCE:
        weights[support] = polished
    weights = weights / np.sum(weights)
    singular = np.linalg.svd(scaled, compute_uv=False)
    if len(singular) == len(scaled) and singular[-1] > _ROOM * singular[0]:
        return Combination(weights, "The equations are well conditioned, so exact weights are near these.")
    return _exact(every, weights, support)


def _exact(
    rows: Float64[ndarray, "m d"], weights: Float64[ndarray, " m"], support: Int64[ndarray, " k"]
) -> Combination | None:
    """Return weights on the support whose combination is 0 in exact arithmetic; None if there are none."""
    part = rows[support]
    if part.size > _LARGEST_EXACT:
        return Combination(weights, "")
    solved = exact_combination(part)
    if solved is None:
        return None
    exact = np.zeros(len(weights))
    exact[support] = [float(weight) for weight in solved]
    return Combination(exact, "The combination was verified in exact arithmetic.")


def exact_combination(rows: Float64[ndarray, "k d"]) -> list[Fraction] | None:
    """Return non-negative fractions with the sum 1 whose combination of the rows is exactly 0, or None.

    Only the solution of the equations is examined in which the variables without a pivot are 0.
    """
    k, d = rows.shape
    table = [[Fraction(float(rows[i, j])) for i in range(k)] + [Fraction(0)] for j in range(d)]
    table.append([Fraction(1)] * (k + 1))
    pivots: list[int] = []
    for column in range(k):
        place = next((i for i in range(len(pivots), d + 1) if table[i][column] != 0), None)
        if place is None:
            continue
        top = len(pivots)
        table[top], table[place] = table[place], table[top]
        pivot = table[top][column]
        table[top] = [entry / pivot for entry in table[top]]
        for i in range(d + 1):
            factor = table[i][column]
            if i != top and factor != 0:
                table[i] = [a - factor * b for a, b in zip(table[i], table[top], strict=True)]
        pivots.append(column)
        if len(pivots) == d + 1:
            break
    if any(row[-1] != 0 for row in table[len(pivots) :]):
        return None
    answer = [Fraction(0)] * k
    for row, column in zip(table, pivots, strict=False):
        answer[column] = row[-1]
    return answer if min(answer) >= 0 else None


def _certificate(
    margins: Margins, found: Combination, allowed: tuple[Bool[ndarray, " d"], Bool[ndarray, " d"]] | None
) -> Certificate:
    z = margins.combination(found.weights).ravel()
    if allowed is not None:
        z = np.where(z > 0.0, np.where(allowed[0], z, 0.0), np.where(allowed[1], z, 0.0))
    terms = margins.linear_map.norms * float(np.linalg.norm(found.weights))
    residuals = {"combination": float(np.max(np.abs(z) / np.where(terms > 0.0, terms, 1.0), initial=0.0))}
    if margins.free.shape[1]:
        sizes = np.max(np.abs(margins.free), axis=0)
        residuals["intercept"] = float(np.max(np.abs(margins.free.T @ found.weights) / sizes))
    note = found.proof or "Whether exact weights exist was not examined."
    return Certificate(
        "a convex combination of the signed rows is 0, so that no linear classifier has a positive margin",
        None,
        residuals,
        max(TOLERANCE, len(z) * EPSILON),
        note=note,
    )


def vanishing_combination(
    rows: Float64[ndarray, "m d"],
    free: Float64[ndarray, "m r"],
    allowed: tuple[ndarray, ndarray] | None = None,
) -> Float64[ndarray, " m"] | None:
    """Return q >= 0 with sum 1, rows^T q = 0 and free^T q = 0; None if HiGHS finds that there is none.

    With `allowed`, which holds the signs (positive, negative) that each coordinate of a classifier can take, an entry
    of rows^T q may be negative if no positive sign is allowed, and positive if no negative sign is allowed.
    """
    m = len(rows)
    if allowed is None:
        both = np.hstack([rows, free])
        sizes = np.linalg.norm(both, axis=0)
        columns = both[:, sizes > 0.0] / sizes[sizes > 0.0]
        above = None
    else:
        sizes = np.where(np.linalg.norm(rows, axis=0) > 0.0, np.linalg.norm(rows, axis=0), 1.0)
        units, (plus, minus) = rows / sizes, allowed
        columns = np.hstack([units[:, plus & minus], free])
        above = np.hstack([units[:, plus & ~minus], -units[:, minus & ~plus]]).T
    basis, singular, _ = np.linalg.svd(columns, full_matrices=False)
    equal = basis[:, singular > 1e-13 * np.max(singular, initial=0.0)].T
    if above is None and len(equal) == m:
        return None  # independent rows
    limits = {"A_eq": np.vstack([equal, np.ones(m)]), "b_eq": np.append(np.zeros(len(equal)), 1.0)}
    if above is not None and len(above):
        limits |= {"A_ub": above, "b_ub": np.zeros(len(above))}
    answer = linprog(np.zeros(m), **limits, bounds=(0, None), options=_OPTIONS)
    return None if answer.x is None or answer.status != 0 else np.maximum(answer.x, 0.0)
