"""Criteria: properties of a point that a certificate can prove."""

from abc import ABC, abstractmethod
from typing import Any

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.values import Fingerprinted


class Criterion(Fingerprinted, ABC):
    """A property of a point that can be proved by numbers.

    To write a criterion of your own, derive a frozen dataclass from this class and define `certificate`.

    Reference:
        pesme2023saddle for `Saddle` and `MinL1`; rockafellar1970convex for the duality behind `MinL1` and `MinNorm`.

    Examples:
        >>> from dataclasses import dataclass
        >>> import numpy as np, implicitbias as ib
        >>> @dataclass(frozen=True, eq=False)
        ... class Interpolates(ib.Criterion):
        ...     def certificate(self, problem, point):
        ...         worst = float(np.max(np.abs(problem.residual(point))))
        ...         return ib.Certificate("the point fits the data", None, {"residual": worst}, 1e-9)
        >>> problem = ib.LeastSquares([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.0])
        >>> ib.certify(problem, [3.0, 0.0], Interpolates()).sentence
        'Proved: the point fits the data.'
    """

    @abstractmethod
    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the numbers that prove or refute that the point has the property."""


def certify(problem: Any, point: Any, criterion: Criterion) -> Certificate:
    """Return the certificate of a point for a criterion. The point may come from any source.

    Args:
        problem: the problem, for instance a `LeastSquares`.
        point: the point w, (d,) or of the shape of the matrix; for `MinParameterNorm()` a pytree of parameters.
        criterion: the claimed property: `MinL1()`, `MinNorm(gauge)`, `Saddle()`, `MaxMargin(horizon)`,
            `MinParameterNorm()`, or a `Criterion` of your own.

    Returns:
        A `Certificate`: `holds`, `gap`, `residuals`, `sentence`.

    Raises:
        InputError: the point has the wrong shape or holds NaN, or the criterion is not a `Criterion`.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.0])
        >>> ib.certify(problem, [3.0, 0.0], ib.MinL1()).gap
        0.0
    """
    if not isinstance(criterion, Criterion):
        got = criterion.__name__ + " (the class)" if isinstance(criterion, type) else repr(criterion)
        raise InputError(f"criterion is {got}, an instance such as ib.MinL1() is expected")
    return criterion.certificate(problem, point)
