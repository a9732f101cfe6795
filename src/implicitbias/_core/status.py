"""How a computation ended, as a sentence."""

from enum import Enum


class Status(Enum):
    """How a computation ended. The value is a sentence for people, `ok` is for code.

    `ok` is true when the result is what was asked for: it converged, or it stopped where the caller said.

    Examples:
        >>> import implicitbias as ib
        >>> path = ib.saddle_path(ib.LeastSquares([[1.0, 0.0], [0.0, 1.0]], [2.0, 1.0]))
        >>> path.status.ok
        True
        >>> print(path.status.value)
        Converged: the end was reached and its certificate holds.
    """

    CONVERGED = "Converged: the end was reached and its certificate holds."
    NOT_UNIQUE = (
        "Converged, but the end is not unique: several points share its value and its certificate; "
        "the canonical one is returned."
    )
    NOT_RESOLVED = (
        "Some points are not unique, and which of several is the canonical one could not be told in float64: "
        "one with the same value and certificate is returned (drop near-duplicates to see which it is)."
    )
    REACHED_TIME = "Stopped at the requested end time."
    REACHED_COUNT = "Stopped after the requested number of events; more follow."
    STOPPED_BY_CALLER = "Stopped because a callback asked for it."
    INTERRUPTED = "Interrupted from the keyboard: what was computed until then is returned."
    MAX_STEPS = "Stopped early: the step limit was reached before the end time (raise max_steps)."
    STEP_UNDERFLOW = (
        "Stopped early: the step size fell below what the time variable can resolve "
        "(loosen rtol, or look for a blow-up at the last time)."
    )
    BLEW_UP = "Stopped early: the state grows without bound at the last time, in finite time."
    NOT_FINITE = (
        "Stopped early: the loss or its gradient is not finite just after the last time "
        "(a logarithm or root at its border, an overflow, or a step of gradient descent that diverges)."
    )
    LOW_PRECISION = (
        "Reached the requested end time, but the model computes in less than float64 inside: about seven digits "
        "at best (remove its casts to float32, or build its constants in float64)."
    )
    NOT_CERTIFIED = (
        "Finished, but the certificate does not hold: look at certificate.residuals; "
        "badly conditioned data is the usual cause."
    )

    @property
    def ok(self) -> bool:
        """Whether the result is what was asked for."""
        return self not in _FAILURES


_FAILURES = (
    Status.INTERRUPTED,
    Status.MAX_STEPS,
    Status.STEP_UNDERFLOW,
    Status.BLEW_UP,
    Status.NOT_FINITE,
    Status.LOW_PRECISION,
    Status.NOT_CERTIFIED,
    Status.NOT_RESOLVED,
)
