"""The base class of fitted models whose coefficients are those of a saddle path at one time."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias.diagnostics._error_curve import ErrorCurve


class PathModel(ABC):
    """A fitted model that reads a saddle path at the slow time `t_`. Reports and figures need no more than this class.

    Attributes:
        t_: the slow time at which the path is read.
        standardize: whether the columns of the problem of the path have unit standard deviation.
    """

    t_: float
    standardize: Any

    @property
    @abstractmethod
    def path_(self) -> Any:
        """The `SaddlePath`, in the units of its own problem, whose columns are those of the caller's X."""

    @property
    @abstractmethod
    def sparse_coef_path_(self) -> Any:
        """(d, k+1) `scipy.sparse.csc_array` of coefficients after each jump, in the units of the caller's X."""

    @property
    @abstractmethod
    def intercept_path_(self) -> Float64[ndarray, " k"]:
        """(k+1,) intercepts after each jump, in the units of the caller's data."""

    @abstractmethod
    def held_out_errors(self) -> ErrorCurve | None:
        """Return the errors from which cross-validation chose `t_`; None if `t_` was not chosen in this way."""
