"""The result of `forecast_grokking`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core import labelled
from implicitbias._core.archive import FileKind, damage_told, read_archive, write_archive
from implicitbias._core.claim import Assumption
from implicitbias._core.values import Fingerprinted
from implicitbias.grokking._assumptions import assumptions_of
from implicitbias.grokking._trust import DELAY, FALL, Reason, Trust

_KIND = FileKind("implicitbias.Forecast", 1, "forecast")
_NUMBERS = (
    "memorization_time",
    "grokking_time",
    "test_error_at_memorization",
    "final_test_error",
    "unit",
    "weight_decay",
    "learning_rate",
)


@dataclass(frozen=True, eq=False)
class Forecast(Fingerprinted):
    """When a model groks, to which error, and how far this can be trusted.

    Times are those of the flow; a time t is t / learning_rate steps of gradient descent. Times that are never reached
    are nan.

    Attributes:
        memorization_time: the first time at which the training error is at most 1 % (of its first value, for squared
            errors).
        grokking_time: the first time after it at which the test error has covered half the way from its value at
            memorization to its final value.
        grokking_interval: an interval of the grokking time, whose rule was chosen to cover at least 80 % of measured
            times. It reaches to the times at which the test error is above and below the half-way level by its
            uncertainty: half a test row, and half of the uncertainty of the two errors whose mean it is. The first one
            may be that of one step before or after memorization, and the final one is at rest up to 1.5 test rows or
            0.3 % of the unit. Both ends are then moved outwards, in the logarithm of time, by the largest of 0.01, one
            step of gradient descent, and twice the difference of two forecasts, of which the second one leaves gradient
            descent after half as many steps and has a ten times larger tolerance. If the test error changes by less
            than 4 test rows, 0.5 % of its unit or twice this uncertainty, the interval has no upper end.
        test_error_at_memorization: the test error at the memorization time; nan if there is none.
        final_test_error: the test error at rest.
        unit: the unit of a fall of the test error: 1 for fractions, and the first test error for squared errors.
        weight_decay: the weight decay.
        learning_rate: the learning rate; nan if none was given.
        error_kind: "misclassified fraction" or "mean squared error" (mean over rows, sum over outputs).
        method: which parts are gradient descent and which are the flow, as a sentence.
        trust: `level` ("high", "medium" or "low"), and `reasons`, each a number that was measured on the model.
        assumptions: the assumptions of the theory of the slow phase, each "checked: holds", "checked: fails" or "not
            checkable". They are derived from the numbers in `trust`.
        columns: the curves by name: "t", "train_loss", "test_loss", "train_error", "test_error" and "norm" (m,).

    Reference:
        boursier2025grokking.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [1.0, 1.0])
        >>> test = [[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]], [0.0, 0.0]
        >>> forecast = ib.forecast_grokking(problem, np.array([0.0, 0.0, 3.0]), weight_decay=1e-3, test=test)
        >>> forecast.groks, list(forecast.curve.data_vars)
        (True, ['train_loss', 'test_loss', 'train_error', 'test_error', 'norm'])
    """

    memorization_time: float
    grokking_time: float
    grokking_interval: tuple[float, float]
    test_error_at_memorization: float
    final_test_error: float
    unit: float
    weight_decay: float
    learning_rate: float
    error_kind: str
    method: str
    trust: Trust
    columns: Mapping[str, ndarray]

    @property
    def fall(self) -> float:
        """The fall of the test error after memorization, in units of `unit`; negative if it rises."""
        return (self.test_error_at_memorization - self.final_test_error) / self.unit

    @property
    def groks(self) -> bool:
        """Whether the test error falls by at least 10 points, at least 10 memorization times after the start."""
        late = self.grokking_time >= DELAY * self.memorization_time
        return bool(self.fall >= FALL and late)

    @property
    def memorization_step(self) -> float:
        """The memorization time in steps of gradient descent; nan if no learning rate was given."""
        return self.memorization_time / self.learning_rate

    @property
    def grokking_step(self) -> float:
        """The grokking time in steps of gradient descent; nan if no learning rate was given."""
        return self.grokking_time / self.learning_rate

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """The assumptions of the theory, each checked with a number of the model, or not checkable with a reason."""
        return assumptions_of(self.trust.reasons)

    @cached_property
    def curve(self) -> Any:
        """An `xarray.Dataset` of the losses, the errors and the norm over "t", with the coordinate "step"."""
        times = self.columns["t"]
        variables = {name: (("t",), values) for name, values in self.columns.items() if name != "t"}
        coordinates = {"t": times, "step": ("t", times / self.learning_rate)}
        attributes = {name: getattr(self, name) for name in _NUMBERS}
        attributes |= {"error_kind": self.error_kind, "method": self.method, "trust": self.trust.level}
        return labelled.dataset(variables, coordinates, attributes)

    def to_dataset(self) -> Any:
        """Return the curve as an `xarray.Dataset` of its own, whose attributes are the numbers of the forecast."""
        return self.curve.copy(deep=True)

    def save(self, path: str | Path) -> None:
        """Write the forecast to one NPZ file without pickled code; if writing fails, no incomplete file is left."""
        numbers = np.array([getattr(self, name) for name in _NUMBERS])
        reasons = [list(reason[:1]) + list(reason[3:]) for reason in self.trust.reasons]
        values = np.array([reason[1:3] for reason in self.trust.reasons], dtype=np.float64).reshape(-1, 2)
        arrays = {f"curve:{name}": column for name, column in self.columns.items()}
        arrays |= {"numbers": numbers, "interval": np.array(self.grokking_interval), "reasons": values}
        header = {"error_kind": self.error_kind, "method": self.method, "reasons": reasons}
        write_archive(Path(path), _KIND, header, arrays)

    @staticmethod
    def load(path: str | Path) -> "Forecast":
        """Return a saved forecast.

        Raises:
            InputError: the file does not exist, is damaged, or is not a saved forecast.
        """
        place = Path(path)
        header, arrays = read_archive(place, _KIND)
        with damage_told(place, _KIND):
            reasons = tuple(
                Reason(name, float(value), float(bound), bool(serious), sentence)
                for (name, serious, sentence), (value, bound) in zip(
                    header["reasons"], arrays["reasons"], strict=True
                )
            )
            low, high = arrays["interval"].tolist()
            numbers = dict(zip(_NUMBERS, arrays["numbers"].tolist(), strict=True))
            columns = {
                name.removeprefix("curve:"): column
                for name, column in arrays.items()
                if name.startswith("curve:")
            }
            return Forecast(
                grokking_interval=(low, high),
                error_kind=header["error_kind"],
                method=header["method"],
                trust=Trust(reasons),
                columns=columns,
                **numbers,
            )

    def __str__(self) -> str:
        verdict = "The model groks." if self.groks else "The model does not grok."
        low, high = self.grokking_interval
        lines = [
            verdict,
            f"memorization at {self._time(self.memorization_time)}, grokking at {self._time(self.grokking_time)} "
            f"(interval t = {low:.4g} to {high:.4g})",
            f"test error ({self.error_kind}): {self.test_error_at_memorization:.4g} at memorization, "
            f"{self.final_test_error:.4g} at rest",
            f"trust: {self.trust.level}",
            *(f"- {doubt}" for doubt in self.trust.doubts),
            self.method,
        ]
        return "\n".join(lines)

    def _time(self, time: float) -> str:
        """Return a time, with the number of steps if it is known."""
        if np.isnan(time):
            return "no time"
        steps = time / self.learning_rate
        return f"t = {time:.4g}" if np.isnan(steps) else f"t = {time:.4g} (step {steps:.4g})"
