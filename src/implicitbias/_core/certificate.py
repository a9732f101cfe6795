"""A certificate: numbers that prove, or refute, that a point is what it is said to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, eq=False)
class Certificate:
    """Numbers that prove, or refute, that a point is what it is said to be.

    Attributes:
        holds: whether every residual that counts and the gap are at most `tolerance`.
        gap: the relative duality gap (0 at an optimum; `nan` where the statement has none).
        residuals: named non-negative numbers; each is relative, so that 1e-9 means nine digits.
        tolerance: the bound that `holds` uses.
        sentence: what is certified, or what fails, in words.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [2.0, 1.0])
        >>> ib.certify(problem, [0.0, 1.0], ib.MinL1()).holds
        True
    """

    holds: bool
    gap: float
    residuals: Mapping[str, float]
    tolerance: float
    sentence: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "residuals", MappingProxyType(dict(self.residuals)))
        object.__setattr__(self, "holds", bool(self.holds))
        object.__setattr__(self, "gap", float(self.gap))

    def __str__(self) -> str:
        lines = [("holds: " if self.holds else "DOES NOT HOLD: ") + self.sentence]
        lines.append(f"  gap {self.gap:.1e}   (tolerance {self.tolerance:.0e})")
        lines += [f"  {name} {value:.1e}" for name, value in self.residuals.items()]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # A mapping proxy does not pickle; rebuild from a plain dictionary.
        return (type(self), (self.holds, self.gap, dict(self.residuals), self.tolerance, self.sentence))
