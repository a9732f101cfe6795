"""The errors of the library. A message says what was got, what was expected, the likely cause and what to type."""

from typing import Any


class ImplicitBiasError(Exception):
    """The base class of all errors that the library raises on purpose."""


class InputError(ImplicitBiasError, ValueError):
    """An error in the input; the message says what was got, what was expected and what to type."""


class InfeasibleError(ImplicitBiasError, ValueError):
    """An error that says that no point satisfies the constraints; `certificate` proves this.

    Attributes:
        certificate: a `Certificate` whose residuals measure the proof of infeasibility.
        combination: (m,) the weights of the constraints in the convex combination that proves it; None if the proof
            is of another kind.
    """

    def __init__(self, message: str, certificate: Any, combination: Any = None) -> None:
        super().__init__(message)
        self.certificate = certificate
        self.combination = combination

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes return exceptions by pickling, and by default only `args` is pickled.
        return (type(self), (str(self), self.certificate, self.combination))


def in_one_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an exception."""
    try:
        text = str(error)
    except Exception:
        text = "the message of this exception cannot be read"
    return as_unicode(text).strip().partition("\n")[0]


def as_unicode(text: str) -> str:
    r"""Return a text with its lone surrogates written as \\udc80, because UTF-8 has no bytes for them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
