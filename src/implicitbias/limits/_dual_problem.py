"""The dual of the least Bregman divergence among interpolants, and its damped Newton method."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from implicitbias._core.linear_maps import LinearMap
from implicitbias.limits._dual_maps import DualMap
from implicitbias.limits._unreachable_targets import refuse_unreachable

Solve = Callable[[Float64[ndarray, " n"]], Float64[ndarray, " n"]]

# Multiples of the diagonal that are added to a kernel until its Cholesky factor exists.
_RIDGES = tuple(10.0**power for power in range(-15, 1, 3))
# A step is too long if the derivative along it has changed its sign beyond this share of its first value. Rounding of
# the derivative is forgiven up to the second share of its terms.
_TURNED, _ROUNDING = 0.5, 1e-13
_SHORTEST = 1e-3
# The first multiple of the diagonal that is added where steps are shorter, and the largest one.
_FIRST_RIDGE, _MOST_RIDGE = 1e-14, 1e6
# The method stops after this many steps without a smaller residual.
_PATIENCE = 4
# A kernel is used again after a step that left less than the first share of the residual, and is given up after a step
# that leaves more than the second one. A product with X^T and one with X cost much less than a kernel.
_FAST, _SLOW = 0.1, 0.3
# A proof that the targets are unreachable is looked for where a step leaves the range of the potential, and again when
# the dual variable has grown by this factor.
_GROWN = 10.0
# Kernels are rough until a step with one leaves more than this share of the residual.
_HELPFUL = 0.5


class Iterate(NamedTuple):
    """A dual point with its target e^u.

    Attributes:
        nu: (n,) the dual variable.
        z: (d,) z0 + X^T nu.
        w: (d,) the point in units of e^u.
        rest: (n,) the residual of the constraints in units of e^u.
        solve: the inverse of the kernel at this point or at the one before; None if none was needed.
        steps: how many Newton steps led to it.
    """

    nu: Float64[ndarray, " n"]
    z: Float64[ndarray, " d"]
    w: Float64[ndarray, " d"]
    rest: Float64[ndarray, " n"]
    solve: Solve | None = None
    steps: int = 0

    @property
    def size(self) -> float:
        """The norm of the residual; infinite where the point leaves float64."""
        largest = float(np.max(np.abs(self.rest)))
        if not 0.0 < largest < np.inf:
            return 0.0 if largest == 0.0 else np.inf
        return largest * float(np.linalg.norm(self.rest / largest))


class DualProblem:
    r"""The problem $\max_\nu \langle \nu, t \rangle - \phi^*(z_0 + X^\top \nu)$ with $t = X w_0 + e^u (y - X w_0)$.

    Its solution gives the point $w = \nabla\phi^*(z_0 + X^\top \nu)$ with $X w = t$ that is nearest to $w_0$ in the
    Bregman divergence. The gradient is $t - X w$, and minus the Hessian is the kernel $X (\nabla^2\phi)^{-1} X^\top$.

    Attributes:
        dual_map: the inverse mirror map.
        rows: X, whose rows are independent.
        base: (n,) X w0.
        goal: (n,) y - X w0.
        w0: (d,) the start.
        z0: (d,) the mirror map at w0.
    """

    def __init__(
        self, dual_map: DualMap, rows: LinearMap, targets: Float64[ndarray, " n"], z0: Float64[ndarray, " d"]
    ) -> None:
        self.dual_map, self.rows, self.z0 = dual_map, rows, z0
        self.w0 = dual_map.point(z0)
        self.base = self.fit(self.w0)
        self.goal = targets - self.base
        self._next_proof = 0.0

    def moved(self, share: float) -> "DualProblem":
        """Return the problem with the same targets, for the start whose mirror map is this share of z0."""
        return DualProblem(self.dual_map, self.rows, self.base + self.goal, share * self.z0)

    def fit(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " n"]:
        """Return X w."""
        return self.rows.matvec(w.reshape(self.rows.domain))

    def pull(self, nu: Float64[ndarray, " n"]) -> Float64[ndarray, " d"]:
        """Return X^T nu."""
        return self.rows.rmatvec(nu).ravel()

    def at(self, nu: Float64[ndarray, " n"], unit: float) -> Iterate:
        """Return the iterate of nu for the target e^unit."""
        z = self.z0 + self.pull(nu)
        return self._iterate(nu, z, self.dual_map.point(z, unit), unit)

    def _iterate(
        self, nu: Float64[ndarray, " n"], z: Float64[ndarray, " d"], w: Float64[ndarray, " d"], unit: float
    ) -> Iterate:
        with np.errstate(over="ignore", invalid="ignore"):
            return Iterate(nu, z, w, in_unit(self.base, unit) + self.goal - self.fit(w))

    def factorized(self, z: Float64[ndarray, " d"], unit: float) -> Solve | None:
        """Return the inverse of the kernel at z as a function, or None if the kernel is not finite and positive."""
        return factorized(self.dual_map.kernel(self.rows, z, unit, True))

    def newton(
        self, nu: Float64[ndarray, " n"], unit: float, enough: float, most: int, solve: Solve | None = None
    ) -> Iterate:
        """Return the iterate after damped Newton steps from nu, at which the residual is at most `enough` if possible.

        It stops after `most` steps, or when the residual decreases no further. Where a full step is much too long, a
        multiple of the diagonal is added to the kernel, as Levenberg and Marquardt do: a direction that hardly any
        entry of w can change would otherwise make all steps short.

        Steps with the kernel of an earlier point, as with `solve` at the begin, are not counted.

        Raises:
            InfeasibleError: the dual variable grows without bound, and proves that no point has the targets.
        """
        here = best = self._chords(self.at(nu, unit), solve, unit, enough)
        since, ridge, rough = 0, 0.0, True
        for step in range(1, most + 1):
            if here.size <= enough or since > _PATIENCE or not np.isfinite(here.size):
                break
            moved, ridge = self._damped(here, unit, ridge, rough)
            if moved is None and not rough:
                break
            if moved is None:
                ridge, rough = 0.0, False
                continue
            rough = rough and moved.size <= _HELPFUL * here.size
            solve = moved.solve if moved.size <= _FAST * here.size else None
            here = self._chords(moved, solve, unit, enough)._replace(steps=step)
            since = 0 if here.size < 0.9 * best.size else since + 1
            best = here if here.size < best.size else best._replace(steps=step)
        return best

    def _damped(self, here: Iterate, unit: float, ridge: float, rough: bool) -> tuple[Iterate | None, float]:
        """Return the iterate after a Newton step with the least ridge that suffices, and the ridge to try next."""
        kernel = self.dual_map.kernel(self.rows, here.z, unit, rough)
        while ridge <= _MOST_RIDGE:
            solve = factorized(kernel, ridge)
            if solve is None:
                break
            moved = self._moved(here, solve, unit)
            if moved is not None:
                return moved, ridge / 100.0 if ridge / 100.0 >= _FIRST_RIDGE else 0.0
            ridge = max(100.0 * ridge, _FIRST_RIDGE)
        return None, ridge

    def _chords(self, here: Iterate, solve: Solve | None, unit: float, enough: float) -> Iterate:
        """Return the iterate after BFGS steps from the kernel of an earlier point, as long as they converge fast."""
        if solve is None:
            return here
        secants = Secants(solve)
        while enough < here.size < np.inf:
            move = secants.step(here.rest)
            there = self.at(here.nu + move, unit)._replace(solve=solve)
            if not there.size <= _SLOW * here.size:
                break
            secants = secants.after(move, here.rest - there.rest)
            here = there
        return here

    def _moved(self, here: Iterate, solve: Solve, unit: float) -> Iterate | None:
        """Return the iterate after a Newton step that is shortened where it is too long; None if it is very short."""
        direction = solve(here.rest)
        ray = self.pull(direction)
        slope, size = float(direction @ here.rest), 1.0
        while size >= _SHORTEST:
            z = here.z + size * ray
            w = self.dual_map.point(z, unit)
            with np.errstate(over="ignore", invalid="ignore"):
                end = slope - float(ray @ (w - here.w))
                terms = float(np.abs(ray) @ (np.abs(w) + np.abs(here.w)))
            if np.isfinite(terms) and end >= -_TURNED * abs(slope) - _ROUNDING * terms:
                return self._iterate(here.nu + size * direction, z, w, unit)._replace(solve=solve)
            if not np.all(np.isfinite(w)):
                self._refuse_unreachable(here.nu)
            size /= 2.0
        return None

    def _refuse_unreachable(self, nu: Float64[ndarray, " n"]) -> None:
        """Raise an `InfeasibleError` if a dual variable that grows without bound proves that there is no solution.

        A proof for targets between X w0 and y is one for y, because w0 lies in the domain, which is convex.
        """
        length = float(np.linalg.norm(nu))
        if length >= self._next_proof:
            self._next_proof = _GROWN * length
            refuse_unreachable(self, nu)


class Secants:
    """The inverse of a kernel, corrected by the changes of the residual along earlier steps (BFGS)."""

    def __init__(self, solve: Solve, steps: tuple[tuple[ndarray, ndarray], ...] = ()) -> None:
        self._solve, self._steps = solve, steps

    def after(self, move: Float64[ndarray, " n"], change: Float64[ndarray, " n"]) -> "Secants":
        """Return the inverse that maps also this change of the residual to this step."""
        return Secants(self._solve, (*self._steps, (move, change))) if move @ change > 0.0 else self

    def step(self, rest: Float64[ndarray, " n"]) -> Float64[ndarray, " n"]:
        """Return the product with a residual."""
        shares = []
        for move, change in reversed(self._steps):
            share = float(move @ rest) / float(move @ change)
            rest = rest - share * change
            shares.append(share)
        step = self._solve(rest)
        for (move, change), share in zip(self._steps, reversed(shares), strict=True):
            step = step + (share - float(change @ step) / float(move @ change)) * move
        return step


def in_unit(values: Float64[ndarray, " k"], unit: float) -> Float64[ndarray, " k"]:
    """Return values e^(-unit), where 0 stays 0."""
    with np.errstate(over="ignore"):
        return np.where(values == 0.0, 0.0, values * np.exp(min(-unit, 709.0)))


def factorized(kernel: Float64[ndarray, "n n"], least: float = 0.0) -> Solve | None:
    """Return the inverse of a positive semidefinite matrix as a function, or None if it is not one.

    At least the multiple `least` of the diagonal is added.

    The matrix is scaled to a diagonal of 1. A small multiple of the identity is added where rounding has made it
    indefinite: directions that only entries of w far below the rounding of the others can change are left to later.
    """
    diagonal = np.diag(kernel)
    if not np.all(np.isfinite(kernel)) or not np.all(diagonal > 0.0):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    scaled = kernel * scale * scale[:, None]
    index = np.diag_indices(len(scaled))
    for ridge in (least, *(ridge for ridge in _RIDGES if ridge > least)):
        scaled[index] = 1.0 + len(scaled) * ridge
        try:
            factor = cho_factor(scaled, lower=True, check_finite=False)
        except LinAlgError:
            continue
        return lambda right: scale * cho_solve(factor, scale * right, check_finite=False)
    return None
