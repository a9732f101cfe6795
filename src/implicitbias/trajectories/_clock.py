r"""The clock of an integration: the variable in which an engine integrates, and its conversion to the time of the flow.

On separable data a flow takes a time t of which only the logarithm is within float64. The logarithmic clock has the
variable $\tau = \ln(1 + t / t_0)$, which is $t / t_0$ at the start and $\ln t - \ln t_0$ later.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.values import Value


class Clock(Value):
    """The conversion between the variable of an engine and the time t of a flow; both increase, and both begin at 0.

    Args:
        log_unit: ln t_0 of a logarithmic clock, or None if the variable is the time itself.
    """

    log_unit: float | None

    def __init__(self, log_unit: float | None = None) -> None:
        self._settle({"log_unit": None if log_unit is None else float(log_unit)})

    @property
    def plain(self) -> bool:
        """Whether the variable is the time itself."""
        return self.log_unit is None

    def log_times(self, readings: Any) -> Float64[ndarray, "..."]:
        """Return ln t for values of the variable; -inf at 0."""
        readings = np.asarray(readings)
        with np.errstate(divide="ignore"):
            if self.log_unit is None:
                return np.asarray(np.log(readings))
            return np.asarray(self.log_unit + readings + np.log(-np.expm1(-readings)))

    def times(self, readings: Any) -> Float64[ndarray, "..."]:
        """Return t for values of the variable; inf where t leaves float64."""
        if self.log_unit is None:
            return np.asarray(readings)
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(self.log_times(readings)))

    def readings(self, times: Any) -> Float64[ndarray, "..."]:
        """Return the variable at these times t."""
        if self.log_unit is None:
            return np.asarray(times)
        with np.errstate(divide="ignore"):
            return self.readings_of_logs(np.log(times))

    def readings_of_logs(self, log_times: Any) -> Float64[ndarray, "..."]:
        """Return the variable at times with these natural logarithms."""
        with np.errstate(over="ignore"):
            if self.log_unit is None:
                return np.asarray(np.exp(log_times))
            return np.asarray(np.logaddexp(0.0, np.asarray(log_times) - self.log_unit))

    def text(self, reading: float, digits: int = 4) -> str:
        """Return the time as text, for messages."""
        if self.log_unit is None:
            return f"t = {reading:.{digits}g}"
        return f"ln t = {float(self.log_times(reading)):.{digits}g}"
