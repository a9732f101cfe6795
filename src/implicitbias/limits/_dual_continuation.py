"""Continuation of the dual of an interpolant in the size of its targets, from the start to the data."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.limits._dual_problem import DualProblem, Iterate, Solve, factorized, in_unit

# The residual, relative to the target, at which a point of the path is near enough, and at which the end is reached.
_NEAR, _END = 1e-2, 1e-14
# The most Newton steps at a point of the path and at its end, and the most points.
_MOST, _MOST_AT_END, _MOST_POINTS = 5, 100, 2000
# The first steps in the logarithm of the target and in the share of the start, and the shortest ones.
_FIRST, _FIRST_MOVE, _SHORTEST = 1.0, 0.02, 1e-7
# The relative residual below which Newton's method converges without a continuation.
_SOLVED = 1e-6
# A first target is small enough if the linear theory is right there up to this factor.
_LINEAR = 2.0
# The range of ln|nu| in which a start is looked for, and the number of times that it is halved.
_RAY, _HALVINGS = 600.0, 25
# The end of the linear range is first looked for where the change of z has this distance from 1 in its logarithm.
_AROUND = 1.0
# Beyond the linear range, a start may have at most this relative residual. The number of trials, and how near the
# logarithm of a target comes to that of the data.
_ALIKE, _TRIALS, _REACHED = 0.4, 8, 0.05
# The logarithms of the least first target from a start at 0, and from another start, where smaller ones drown.
_LEAST, _LEAST_BESIDE = -690.0, -18.0


class Family(ABC):
    """A family of dual problems of one parameter, whose solutions are a path to the solution that is wanted."""

    end: float

    @abstractmethod
    def newton(
        self, nu: Float64[ndarray, " n"], at: float, enough: float, most: int, solve: Solve | None
    ) -> Iterate:
        """Return the result of damped Newton steps for the problem at a parameter."""

    @abstractmethod
    def speed(self, found: Iterate, at: float) -> Float64[ndarray, " n"]:
        """Return the derivative of nu in the parameter at a solution."""


class Targets(Family):
    r"""The problems with the targets $X w_0 + e^u (y - X w_0)$; u increases to 0.

    For small $e^u$, w - w0 is linear in nu. The tangent is $d\nu / du = K^{-1} e^u (y - X w_0)$. A scale a of the
    potential and a target $e^u$ act through their ratio, so that this is also a continuation in the scale.
    """

    end = 0.0

    def __init__(self, problem: DualProblem) -> None:
        self.problem = problem

    def newton(
        self, nu: Float64[ndarray, " n"], at: float, enough: float, most: int, solve: Solve | None
    ) -> Iterate:
        return self.problem.newton(nu, at, enough, most, solve)

    def speed(self, found: Iterate, at: float) -> Float64[ndarray, " n"]:
        solve = found.solve or self.problem.factorized(found.z, at)
        return np.zeros_like(found.nu) if solve is None else solve(self.problem.goal)


class Starts(Family):
    r"""The problems with the starts of mirror map $c \nabla\phi(w_0)$; c increases to 1.

    The tangent is $d\nu / dc = -K^{-1} X (\nabla^2\phi)^{-1} \nabla\phi(w_0)$. For tiny scales these are linear
    programs with changing costs, whose dual solution is continuous in c. That in changing targets is not.
    """

    end = 1.0

    def __init__(self, problem: DualProblem) -> None:
        self.problem = problem

    def newton(
        self, nu: Float64[ndarray, " n"], at: float, enough: float, most: int, solve: Solve | None
    ) -> Iterate:
        return self.problem.moved(at).newton(nu, 0.0, enough, most, solve)

    def speed(self, found: Iterate, at: float) -> Float64[ndarray, " n"]:
        problem = self.problem
        solve = found.solve or problem.factorized(found.z, 0.0)
        push = problem.fit(problem.dual_map.inverse_hessian(found.z, problem.z0))
        return np.zeros_like(found.nu) if solve is None or not np.all(np.isfinite(push)) else -solve(push)


class Begin(NamedTuple):
    """The begin of a path: a dual variable, which need not be a solution, its parameter, and a kernel near it."""

    nu: Float64[ndarray, " n"]
    at: float
    solve: Solve | None = None


class PathPoint(NamedTuple):
    """A point of the path: the parameter, the dual variable and its derivative."""

    at: float
    nu: Float64[ndarray, " n"]
    speed: Float64[ndarray, " n"]


def followed(problem: DualProblem) -> Iterate:
    """Return the dual solution for the targets y, or the last point that was found.

    The path of `Targets` is followed from w0. If that fails, it is followed from the point of mirror map 0, and then
    the path of `Starts` from there to w0.
    """
    with np.errstate(all="ignore"):  # The residual of an iterate that overflows is infinite.
        return _followed(problem)


def _followed(problem: DualProblem) -> Iterate:
    if not problem.goal.any():
        return problem.at(np.zeros(len(problem.goal)), 0.0)
    scale = float(np.linalg.norm(problem.goal) + np.linalg.norm(problem.base))
    begin = _start(problem)
    found = _walked(Targets(problem), begin, _FIRST, scale)
    if found.size <= _SOLVED * scale or not problem.z0.any():
        return found
    centre = problem.moved(0.0)
    if not np.all(np.isfinite(centre.w0)) or not centre.goal.any():
        return found
    begin = _start(centre)
    first = _walked(Targets(centre), begin, _FIRST, scale)
    if first.size > _SOLVED * scale:
        return found
    other = _walked(Starts(problem), Begin(first.nu, 0.0), _FIRST_MOVE, scale)
    return (other if other.size < found.size else found)._replace(
        steps=found.steps + first.steps + other.steps
    )


def _walked(family: Family, begin: Begin, step: float, scale: float) -> Iterate:
    """Return the solution at the end of a path, or the last iterate that was found.

    The path is predicted by its tangent, with steps as long as Newton's method converges in few steps.

    Args:
        family: the problems.
        begin: where the path begins.
        step: the first step.
        scale: the size of the targets.
    """
    point: PathPoint | None = None
    steps, end = 0, _END * scale
    start, at, solve = begin
    for _ in range(_MOST_POINTS):
        last = at == family.end
        enough, most = end if last else _NEAR * scale, _MOST if point else _MOST_AT_END
        found = family.newton(start, at, enough, most, solve)
        steps += found.steps
        if last and found.size <= end:
            return found._replace(steps=steps)
        if last and (found.size <= _SOLVED * scale or point is None):
            found = family.newton(found.nu, at, end, _MOST_AT_END, None)
            return found._replace(steps=steps + found.steps)
        if found.size <= _NEAR * scale and not last:
            point = PathPoint(at, found.nu, family.speed(found, at))
            step *= 2.5 if found.steps <= 2 else 1.5 if found.steps <= 4 else 0.7
        elif point is None:
            return found._replace(steps=steps)
        else:
            step /= 4.0
        if step < _SHORTEST:
            break
        move = math.copysign(min(step, abs(family.end - point.at)), family.end - point.at)
        at = family.end if step >= abs(family.end - point.at) else point.at + move
        start, solve = point.nu + move * point.speed, None
    assert point is not None
    found = family.newton(point.nu, family.end, end, _MOST_AT_END, None)
    return found._replace(steps=steps + found.steps)


def _start(problem: DualProblem) -> Begin:
    """Return a dual variable and the logarithm of a target for which it is nearly a solution."""
    kernel = problem.dual_map.kernel(problem.rows, problem.z0, 0.0)
    solve = factorized(kernel) if _in_range(np.diag(kernel)) else None
    if solve is None:
        return _start_without_slope(problem)
    direction = solve(problem.goal)
    further = _beyond_linear(problem, direction)
    if further is not None:
        return further
    unit = _linear_range(problem, direction)
    return Begin(math.exp(unit) * direction, unit, lambda right: math.exp(unit) * solve(right))


def _in_range(diagonal: Float64[ndarray, " n"]) -> bool:
    return bool(np.all((diagonal > 1e-290) & (diagonal < 1e250)))


def _beyond_linear(problem: DualProblem, direction: Float64[ndarray, " n"]) -> Begin | None:
    """Return a multiple of the direction beyond the linear range with its target, or None if it fits badly.

    Where many entries of w matter alike, the solutions for all targets have nearly the same direction.
    """
    ray = Ray(problem, direction)
    first = 1.0 / float(np.max(np.abs(ray.change)))
    size = _size_on(ray, first)
    for _ in range(_TRIALS):
        if size is None:
            return None
        unit = min(ray.unit(size), 0.0)
        if not np.isfinite(unit):
            return None
        found = problem.at(size * direction, unit)
        if found.size <= _ALIKE * float(np.linalg.norm(problem.goal)):
            return Begin(found.nu, unit)
        size = (first + size) / 2.0
    return None


def _size_on(ray: "Ray", first: float) -> float | None:
    """Return the multiple of a ray that reaches the whole target, or None if it is smaller than `first` or not found.

    The logarithm of the reached target is about linear in the multiple where the inverse mirror map is exponential.
    """
    size, unit = first, ray.unit(first)
    if not unit < -1.0:
        return None
    ahead = 2.0 * first
    for _ in range(_TRIALS):
        next_unit = ray.unit(ahead)
        if not np.isfinite(next_unit) or not next_unit > unit:
            return None
        if abs(next_unit) < _REACHED:
            return ahead
        size, unit, ahead = ahead, next_unit, ahead - next_unit * (ahead - size) / (next_unit - unit)
        if not ahead > first:
            return None
    return None


class Ray:
    """The dual variables c nu for c > 0.

    Attributes:
        change: (d,) the change X^T nu of z at c = 1.
    """

    def __init__(self, problem: DualProblem, direction: Float64[ndarray, " n"]) -> None:
        self._problem, self.change = problem, problem.pull(direction)
        self._full = float(direction @ problem.goal)

    def unit(self, size: float) -> float:
        """Return the logarithm of the share of the target that w - w0 reaches along the direction; maybe infinite."""
        z = self._problem.z0 + size * self.change
        unit = self._problem.dual_map.log_size(z)
        change = self._problem.dual_map.point(z, unit) - in_unit(self._problem.w0, unit)
        share = float(self.change @ change) / self._full
        return unit + math.log(share) if 0.0 < share < np.inf else -np.inf if share <= 0.0 else np.inf


def _linear_range(problem: DualProblem, direction: Float64[ndarray, " n"]) -> float:
    """Return the largest u <= 0 for which w - w0 is about linear up to the dual variable e^u times the direction."""
    ray, full = problem.pull(direction), float(direction @ problem.goal)

    def linear(unit: float) -> bool:
        w = problem.dual_map.point(problem.z0 + math.exp(unit) * ray, unit)
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = float(ray @ (w - in_unit(problem.w0, unit))) / full
        return 1.0 / _LINEAR <= ratio <= _LINEAR

    low, high = (_LEAST_BESIDE if problem.w0.any() else _LEAST), 0.0
    if linear(high):
        return high
    # The range usually ends where z has changed by about 1.
    guess = -math.log(float(np.max(np.abs(ray))))
    if low < guess - _AROUND and guess + _AROUND < high:
        if linear(guess - _AROUND):
            low = guess - _AROUND
        if not linear(guess + _AROUND):
            high = guess + _AROUND
    while high - low > 0.5:
        middle = (low + high) / 2.0
        low, high = (middle, high) if linear(middle) else (low, middle)
    return low


def _start_without_slope(problem: DualProblem) -> Begin:
    """Return a start where dw / dz at w0 is 0, infinite, or outside of float64: a dual variable of the size 1."""
    solve: Solve | None = factorized(problem.rows.gram(np.ones(len(problem.w0))))
    assert solve is not None  # the rows are independent
    direction = solve(problem.goal)
    ray = Ray(problem, direction)
    log_size = -math.log(float(np.max(np.abs(ray.change))))
    unit = ray.unit(math.exp(log_size))
    if unit > _LEAST:
        # No continuation is needed: the dual variable on this ray whose point has the targets is near enough.
        low, high = log_size - _RAY, log_size + _RAY
        for _ in range(_HALVINGS):
            log_size = (low + high) / 2.0
            unit = ray.unit(math.exp(log_size))
            low, high = (log_size, high) if unit < 0.0 else (low, log_size)
        unit = 0.0
    return Begin(math.exp(log_size) * direction, unit)
