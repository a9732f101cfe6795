"""What a point can be certified to be."""

from abc import ABC, abstractmethod
from typing import Any

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.values import Fingerprinted


class Criterion(Fingerprinted, ABC):
    """A property of a point that can be proved by numbers."""

    @abstractmethod
    def certificate(self, problem: Any, point: Any) -> Certificate:
        """The numbers that prove or refute it."""


def certify(problem: Any, point: Any, criterion: Criterion) -> Certificate:
    """Judge any point, from this library or not, by a criterion.

    Args:
        problem: the problem, for instance a `LeastSquares`.
        point: (d,) the point w.
        criterion: what it is claimed to be, for instance `MinL1()`.

    Returns:
        A `Certificate`: `holds`, `gap`, `residuals`, `sentence`.

    Raises:
        InputError: a point of the wrong shape or with NaN, or a criterion that is none.

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
