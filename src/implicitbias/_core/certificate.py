"""Certificates: numbers that prove or refute a statement about a point."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.values import Fingerprinted


@dataclass(frozen=True, eq=False)
class Certificate(Fingerprinted):
    """Numbers that prove or refute a statement about a point; the verdict is computed from these numbers.

    Attributes:
        statement: the claim about the point, for instance "the point minimises ||w||_1 over the minimisers of the
            loss".
        gap: the relative duality gap, which is 0 at an optimum; None if the statement has no duality gap.
        residuals: named non-negative numbers. They are relative, so that 1e-9 means nine correct digits.
        tolerance: the largest accepted gap, and the largest accepted value of the residuals not in `tolerances`.
        tolerances: the largest accepted values of the residuals that have a bound of their own.
        note: one more sentence for the reader.
        holds: whether the gap and all residuals are within their bounds. It is derived, and a NaN fails.
        sentence: the verdict in words. It is derived.

    Raises:
        InputError: a gap, a residual or a bound is not a number or is negative, a bound is infinite, there is no number
            at all, or `tolerances` names a residual that does not exist.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [2.0, 1.0])
        >>> ib.certify(problem, [0.0, 1.0], ib.MinL1()).holds
        True
        >>> ib.Certificate("two numbers agree", None, {"difference": 1e-3}, 1e-9).sentence
        'Not proved: two numbers agree; difference is 1e-03, at most 1e-09 is accepted.'
    """

    statement: str
    gap: float | None
    residuals: Mapping[str, float]
    tolerance: float
    tolerances: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        keep = object.__setattr__
        keep(self, "gap", None if self.gap is None else _number("gap", self.gap))
        keep(self, "tolerance", _bound("tolerance", self.tolerance))
        for name, checked in (("residuals", _number), ("tolerances", _bound)):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise InputError(f"{name} is {given!r}, a dictionary of named numbers is expected")
            keep(self, name, MappingProxyType({key: checked(key, value) for key, value in given.items()}))
        if self.gap is None and not self.residuals:
            raise InputError(
                f"a certificate that {self.statement!r} has no numbers, a gap or at least one residual is expected; "
                "without numbers nothing is proved"
            )
        unknown = [name for name in self.tolerances if name not in self.residuals]
        if unknown:
            raise InputError(
                f"tolerances has a bound for {unknown[0]!r}, which is not a residual; the residuals are "
                f"{', '.join(self.residuals)}"
            )

    @property
    def holds(self) -> bool:
        """Whether the gap and all residuals are within their bounds."""
        return not self.failures

    @property
    def failures(self) -> tuple[tuple[str, float, float], ...]:
        """(name, value, bound) of every number that is NaN or larger than its bound; () if the certificate holds."""
        numbers = [] if self.gap is None else [("gap", self.gap, self.tolerance)]
        numbers += [
            (name, value, self.tolerances.get(name, self.tolerance)) for name, value in self.residuals.items()
        ]
        return tuple((name, value, bound) for name, value, bound in numbers if not value <= bound)

    @property
    def sentence(self) -> str:
        """The verdict in words: what is proved, or what is not proved and which numbers are too large."""
        failures = self.failures
        if not failures:
            text = f"Proved: {self.statement}."
        else:
            said = [
                f"{name} is {value:.0e}, at most {bound:.0e} is accepted" for name, value, bound in failures
            ]
            text = f"Not proved: {self.statement}; {'; '.join(said)}."
        return f"{text} {self.note}".rstrip()

    def record(self) -> dict[str, Any]:
        """Return the fields as values for JSON; numbers become texts, which keep all digits, infinity and NaN."""
        return {
            "statement": self.statement,
            "gap": None if self.gap is None else repr(self.gap),
            "residuals": {name: repr(value) for name, value in self.residuals.items()},
            "tolerance": repr(self.tolerance),
            "tolerances": {name: repr(value) for name, value in self.tolerances.items()},
            "note": self.note,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Certificate":
        """Return the certificate that has this `record`."""
        return cls(
            str(record["statement"]),
            None if record["gap"] is None else float(record["gap"]),
            {name: float(value) for name, value in record["residuals"].items()},
            float(record["tolerance"]),
            {name: float(value) for name, value in record["tolerances"].items()},
            str(record["note"]),
        )

    def save(self, path: str | Path) -> None:
        """Write the statement and the numbers to one file without pickled code.

        If writing fails, no incomplete file is left.

        Raises:
            InputError: the file cannot be written.
        """
        from implicitbias._core.archive import write_archive

        write_archive(Path(path), _kind(), {"certificate": self.record()}, {})

    @classmethod
    def load(cls, path: str | Path) -> "Certificate":
        """Return a saved certificate; the verdict is computed from the numbers in the file.

        Raises:
            InputError: the file does not exist, is damaged, or is of another kind.
        """
        from implicitbias._core.archive import damage_told, read_archive

        header, _ = read_archive(Path(path), _kind())
        with damage_told(Path(path), _kind()):
            return cls.of_record(header["certificate"])

    def __str__(self) -> str:
        lines = [self.sentence]
        if self.gap is not None:
            lines.append(f"  gap {self.gap:.1e} (at most {self.tolerance:.0e})")
        for name, value in self.residuals.items():
            lines.append(f"  {name} {value:.1e} (at most {self.tolerances.get(name, self.tolerance):.0e})")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, so the mappings are pickled as plain dictionaries.
        numbers = (self.gap, dict(self.residuals), self.tolerance, dict(self.tolerances))
        return (type(self), (self.statement, *numbers, self.note))


def _kind() -> Any:
    from implicitbias._core.archive import FileKind

    return FileKind("implicitbias.Certificate", 1, "certificate")


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str, bytes)) or getattr(value, "dtype", None) == np.bool_:
        raise InputError(
            f"{name} is {value!r}, a number is expected; the verdict is computed from numbers such as residuals"
        )
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}, a number is expected") from error
    if number < 0.0:
        raise InputError(
            f"{name} is {number:g}, a number >= 0 is expected, because a negative one would pass every bound; "
            f"type abs({name}) or max({name}, 0.0)"
        )
    return number


def _bound(name: str, value: Any) -> float:
    number = _number(name, value)
    if number == np.inf:
        raise InputError(
            f"the bound of {name} is infinite, a finite number is expected; every number passes it"
        )
    return number
