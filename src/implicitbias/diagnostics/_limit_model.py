"""The base class of fitted models whose coefficients are those of limits."""

from abc import ABC, abstractmethod
from typing import Any


class LimitModel(ABC):
    """A fitted classifier that consists of one or several limits. Figures need no more than this class."""

    @abstractmethod
    def labelled_limits(self) -> tuple[tuple[Any, tuple[str, ...]], ...]:
        """Return the limits, each with the names of the classes of its problem in their order.

        Raises:
            sklearn.exceptions.NotFittedError: the model is not fitted.
        """
