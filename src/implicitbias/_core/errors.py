"""The errors of the library: what was got, what was expected, the likely cause, the line to type."""

from typing import Any


class ImplicitBiasError(Exception):
    """Base of every error that the library raises on purpose."""


class InputError(ImplicitBiasError, ValueError):
    """The input is at fault; the message names what was got, what was expected and what to type."""


class InfeasibleError(ImplicitBiasError, ValueError):
    """No point satisfies the constraints; `certificate` proves it.

    Attributes:
        certificate: a `Certificate` whose residuals measure the proof of infeasibility.
    """

    def __init__(self, message: str, certificate: Any) -> None:
        super().__init__(message)
        self.certificate = certificate

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle their `args` only, and worker processes send them home pickled.
        return (type(self), (str(self), self.certificate))
