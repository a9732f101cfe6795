"""The status of a result: how the computation ended, as a sentence."""

from enum import Enum


class Status(Enum):
    """How a computation ended: the value is a sentence for the reader, and `ok` is a boolean for programs.

    `ok` is true if the result is the requested one: the computation converged, or it stopped where the caller asked.

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
        "Converged, but the end is not unique: several points have the same value and certificate, "
        "and the canonical one is returned."
    )
    NOT_RESOLVED = (
        "Some points are not unique, and float64 is not precise enough to decide which one is canonical: "
        "a point with the same value and certificate is returned (drop near-duplicate columns to resolve it)."
    )
    REACHED_TIME = "Stopped at the requested end time."
    REACHED_COUNT = "Stopped after the requested number of events; there are more."
    STOPPED_BY_CALLER = "Stopped because a callback asked for it."
    INTERRUPTED = "Interrupted from the keyboard: the part computed until then is returned."
    CALLBACK_FAILED = (
        "Stopped early: a function of observe or until raised an exception or changed its shape; the part computed "
        "until then is returned."
    )
    MAX_STEPS = "Stopped early: the step limit was reached before the end time (raise max_steps)."
    STEP_UNDERFLOW = (
        "Stopped early: the step size fell below what the time variable can resolve "
        "(loosen rtol, or look for a blow-up at the last time)."
    )
    BLEW_UP = "Stopped early: the state grows without bound as time approaches the last time."
    NOT_FINITE = (
        "Stopped early: the loss or its gradient is not finite just after the last time "
        "(a logarithm or root at the edge of its domain, an overflow, or a step of gradient descent that diverges)."
    )
    ROUNDING = (
        "Stopped early: at the last time, rounding errors hide what the flow still changes (the notes say why and what "
        "to type)."
    )
    LOW_PRECISION = (
        "Reached the requested end time, but the model computes in a lower precision than float64: at most about "
        "seven digits are correct (remove its casts to float32, or build its constants in float64)."
    )
    NOT_CERTIFIED = (
        "Finished, but the certificate does not hold: look at certificate.residuals. "
        "Ill-conditioned data are the usual cause."
    )

    @property
    def ok(self) -> bool:
        """Whether the result is the requested one."""
        return self not in _FAILURES


_FAILURES = (
    Status.INTERRUPTED,
    Status.CALLBACK_FAILED,
    Status.MAX_STEPS,
    Status.STEP_UNDERFLOW,
    Status.BLEW_UP,
    Status.NOT_FINITE,
    Status.ROUNDING,
    Status.LOW_PRECISION,
    Status.NOT_CERTIFIED,
    Status.NOT_RESOLVED,
)
