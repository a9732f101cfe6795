"""The function `saddle_path`, which checks its arguments, runs the walk and certifies the path."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.arrays import as_float, frozen
from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias.limits._growth_times import refuse_excluded_signs
from implicitbias.limits._min_l1 import End, min_l1_certificate, relative_gradient
from implicitbias.limits._path_walk import Saddle, Walk
from implicitbias.limits._row_compression import Proofs, compressed, proofs
from implicitbias.limits._saddle_path import SaddlePath
from implicitbias.limits._tolerances import TOLERANCE
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares

# The split of dependent columns uses the reciprocals of the entries of the start, which must not overflow.
_SMALLEST_START = 1e-140
# Below this number of multiplications for the products of all columns, one BLAS thread is faster than several.
_FEW_PRODUCTS = 2e9


@dataclass(frozen=True, eq=False)
class Jump:
    """The saddle that was just reached, as it is passed to `on_jump`.

    Attributes:
        number: row of the saddle in the path: 1 for the first jump, or for the refit of a pretrained start.
        time: slow time of the jump.
        loss: L at the new saddle.
        r2: 1 - loss / L(start), the relative decrease of the loss since the start; 0 if L(start) = 0.
        entered: coordinates that became non-zero.
        left: coordinates that became zero.
        active: number of coordinates that are non-zero at the new saddle.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import implicitbias as ib
        >>> seen = []
        >>> problem = ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0])
        >>> path = ib.saddle_path(problem, on_jump=lambda jump: seen.append(jump.entered.tolist()))
        >>> seen
        [[0], [1]]
    """

    number: int
    time: float
    loss: float
    r2: float
    entered: ndarray
    left: ndarray
    active: int


def saddle_path(
    problem: LeastSquares,
    *,
    start: Any = None,
    growth_times: Any = None,
    max_jumps: int | None = None,
    t_max: float | None = None,
    on_jump: Callable[[Jump], Any] | None = None,
) -> SaddlePath:
    r"""Return the exact path of saddles that a diagonal network of vanishing initialisation follows.

    For w = u * v (or u^2 - v^2 at twice the speed) from scale alpha, $w(t \ln(1/\alpha))$ converges as alpha -> 0 to
    a piecewise-constant path. At each jump the coordinates whose dual $s_i = \int_0^t x_i^\top (y - X w)/n$ has
    reached +1 or -1 may become non-zero, with that sign, and w moves to the minimiser of L under those signs. Ties
    and dependent columns are handled exactly. Fit, dual and times are always unique. If the split among dependent
    columns is not unique, the canonical split is returned and `status` says so.

    A bound on the motion of the dual excludes most columns from the search for the next jump. Most of X is therefore
    read about ten times on the whole path, even if the path has many jumps.

    Args:
        problem: a `LeastSquares` problem, any n and d, any rank; dense, memory-mapped or sparse.
        start: (d,) pretrained start, or None for a start of zeros. With a start, the first saddle is the refit on its
            signs, at t = 0.
        growth_times: the `Growth` of another diagonal network, `G.growth_times(direction)`. It gives the thresholds of
            s, which are t_plus and -t_minus, the split of dependent columns and the unit of slow time. A pair
            (t_plus, t_minus) of numbers or (d,) arrays is also accepted (inf for a sign that a coordinate never takes);
            the network and its split are then unknown. None stands for w = u * v from u = sqrt(2) alpha, v = 0, whose
            thresholds are 1.
        max_jumps: the walk stops after this number of jumps; the refit of a start is not counted.
        t_max: the walk stops before the first jump after this slow time.
        on_jump: function that is called with a `Jump` after each jump; the walk stops if it returns a true value.

    Returns:
        A `SaddlePath`. Its times are slow times: flow time divided by ln(1/alpha) for w = u * v, and by the unit that
        `path.growth` names for others.

    Raises:
        InputError: the start has the wrong length or holds NaN; growth times are not positive, or are inf for a sign of
            the start; max_jumps or t_max is negative.

    Reference:
        pesme2023saddle (the path), decleves2026statistical (pretrained start), zhao2026gradient (growth times).

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> X = np.random.default_rng(0).standard_normal((5, 7))
        >>> path = ib.saddle_path(ib.LeastSquares(X, X @ [1, -2, 0, 0, 0, 0, 0]))
        >>> path.times.round(4).tolist()
        [0.0, 0.6582, 1.4125, 1.6725]
        >>> path.certificate.holds
        True
    """
    if not isinstance(problem, LeastSquares):
        raise InputError(
            f"problem is a {type(problem).__name__}, a LeastSquares is expected; "
            "type ib.saddle_path(ib.LeastSquares(X, y))"
        )
    w0 = np.zeros(problem.shape[1]) if start is None else problem.predictor(start, "start")
    if np.any((w0 != 0.0) & (np.abs(w0) < _SMALLEST_START)):
        raise InputError(
            f"start holds non-zero entries of size below {_SMALLEST_START:g}, whose reciprocals may overflow; "
            "set them to 0"
        )
    _refuse_negative("max_jumps", max_jumps, whole=True)
    _refuse_negative("t_max", t_max)
    if on_jump is not None and not callable(on_jump):
        raise InputError(f"on_jump is a {type(on_jump).__name__}, a function of a Jump is expected")
    growth = Growth.of(growth_times, len(w0))
    refuse_excluded_signs(w0, growth)
    jumps = np.inf if max_jumps is None else max_jumps
    n, d = problem.shape
    with one_blas_thread(n * d * min(n, d) < _FEW_PRODUCTS):
        small = compressed(problem, jumps, limited=t_max is not None or on_jump is not None)
        walk = Walk(problem if small is None else small, w0, growth)
        walk.run(max_jumps, t_max, None if on_jump is None else lambda: _call_on_jump(walk.saddles, on_jump))
        named = None if growth_times is None else growth
        path, accurate = _finished_path(problem, walk, named)
        if small is None or accurate:
            return path
        return _finished_path(problem, _repeated(problem, walk, max_jumps, t_max), named)[0]


def _repeated(problem: LeastSquares, first: Walk, max_jumps: int | None, t_max: float | None) -> Walk:
    """Return the walk with all rows of X that stops where `first` has stopped."""
    walk = Walk(problem, first.start, first.growth)
    stopped = first.status is Status.STOPPED_BY_CALLER
    walk.run(max_jumps, t_max, (lambda: len(walk.saddles) >= len(first.saddles)) if stopped else None)
    return walk


def _refuse_negative(name: str, value: Any, whole: bool = False) -> None:
    if value is None:
        return
    kind = Integral if whole else Real
    if isinstance(value, bool) or not isinstance(value, kind) or not as_float(value) >= 0.0:
        expected = "a whole number" if whole else "a number"
        raise InputError(f"{name} is {value!r}, {expected} >= 0 or None is expected")


def _call_on_jump(saddles: list[Saddle], on_jump: Callable[[Jump], Any]) -> bool:
    if len(saddles) < 2:
        return False
    before, now = saddles[-2], saddles[-1]
    entered = np.setdiff1d(now.point.indices, before.point.indices)
    left = np.setdiff1d(before.point.indices, now.point.indices)
    r2 = 1.0 - now.loss / saddles[0].loss if saddles[0].loss > 0.0 else 0.0
    jump = Jump(len(saddles) - 1, now.time, now.loss, r2, entered, left, len(now.point.indices))
    return bool(on_jump(jump))


def _finished_path(problem: LeastSquares, walk: Walk, growth: Growth | None) -> tuple[SaddlePath, bool]:
    """Return the path, and whether its certificate holds and its dual variables are accurate."""
    rows, complete = walk.saddles, walk.status is Status.CONVERGED
    table = _table(rows, problem.shape[1])
    proof = _proofs(problem, walk, table)
    end = End(problem, table[[-1]].toarray()[0], walk.start, walk.growth) if complete else None
    certificate = _certificate(end, proof)
    status = walk.status
    assert status is not None  # the walk has ended
    if not certificate.holds:
        status = Status.NOT_CERTIFIED
    elif not all(row.point.resolved for row in rows):
        status = Status.NOT_RESOLVED
    elif complete and not rows[-1].point.unique:
        status = Status.NOT_UNIQUE
    path = SaddlePath(
        problem=problem,
        growth_times=growth,
        times=frozen(np.array([row.time for row in rows])),
        coefficients_sparse=table,
        nu=frozen(proof.nu),
        losses=frozen(proof.losses),
        equicorrelation_sets=tuple(frozen(row.boundary) for row in rows),
        unique=frozen(np.array([row.point.unique for row in rows])),
        strictly_complementary=frozen(np.array([row.strict for row in rows])),
        valid_until=np.inf if complete else walk.next_time,
        certificate=certificate,
        status=status,
    )
    return path, certificate.holds and proof.accurate


def _table(rows: list[Saddle], d: int) -> Any:
    counts = np.cumsum([0] + [len(row.point.indices) for row in rows])
    indices = np.concatenate([row.point.indices for row in rows])
    values: Float64[ndarray, " m"] = np.concatenate([row.point.values for row in rows])
    return sparse.csr_array((frozen(values), frozen(indices), frozen(counts)), shape=(len(rows), d))


def _proofs(problem: LeastSquares, walk: Walk, table: Any) -> Proofs:
    """Return the numbers of all saddles, which are computed again from `problem` if the walk had fewer rows."""
    rows = walk.saddles
    violations = np.array([row.stationarity for row in rows])
    if walk.problem is problem:
        nu, losses = np.array([row.nu for row in rows]), np.array([row.loss for row in rows])
        return Proofs(nu, losses, violations)
    found = proofs(
        problem, walk.growth, table, np.array([row.time for row in rows]), [row.boundary for row in rows]
    )
    # A start that is not a saddle has no conditions to meet.
    return found._replace(violations=np.where(np.isnan(violations), np.nan, found.violations))


def _certificate(end: End | None, proof: Proofs) -> Certificate:
    """Return the certificate of all saddles and, if the path has reached its end, of its last point."""
    residuals = {"worst_saddle": float(np.nanmax(np.append(proof.violations, 0.0)))}
    if end is not None:
        residuals["stationarity"] = relative_gradient(end)
        return min_l1_certificate(end, proof.nu[-1], residuals)
    return Certificate(
        "every saddle minimises the loss under its signs",
        None,
        residuals,
        TOLERANCE,
        note="The path was cut before its end, so that its last point is not claimed to be the limit.",
    )
