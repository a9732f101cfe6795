"""The base class of all problems: loss, gradient, predictions, and the objective that flows integrate."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.values import Value


class TrainingProblem(Value, ABC):
    """A mean loss over rows as a function of parameters, as a frozen value; JAX is imported on first use."""

    @abstractmethod
    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """Return the `TreeShape` of the parameters and their entries as one vector, or raise an `InputError`."""

    @abstractmethod
    def objective(self) -> Any:
        """Return the `Objective` with JAX arrays; call it inside `double_precision`."""

    @property
    def labels(self) -> tuple[Any, ...] | None:
        """The labels in the order in which the loss counts them; None for other targets and for classes 0 ... k - 1."""
        return None

    @cached_property
    def double_objective(self) -> Any:
        """The `Objective` in float64; it is made once."""
        from implicitbias._core.precision import double_precision

        with double_precision():
            return self.objective()

    def loss(self, params: Any) -> float:
        """Return the mean loss over the rows.

        Raises:
            InputError: the parameters are invalid, or predictions or losses are not finite.
        """
        return self._forward(params)[0]

    def log_of_loss(self, params: Any) -> float:
        """Return ln F; of losses of margins also where the loss itself is 0 in float64 because all margins are large.

        Raises:
            InputError: the parameters are invalid, or predictions are not finite.
        """
        from implicitbias._core.precision import double_precision
        from implicitbias.problems._objective import log_value

        predictions = self._forward(params, losses_count=False)[1]
        with double_precision():
            return float(log_value(self.double_objective.mean_loss, predictions))

    def predict(self, params: Any) -> ndarray:
        """Return the predictions (n,) or (n, k) for the rows of the problem.

        Raises:
            InputError: the parameters are invalid, or predictions are not finite.
        """
        predictions = self._forward(params, losses_count=False)[1]
        return predictions[:, 0] if predictions.shape[1] == 1 else predictions

    def gradient(self, params: Any) -> Any:
        """Return the gradient of the mean loss as a pytree like the parameters, with read-only NumPy leaves.

        Raises:
            InputError: the parameters are invalid, or predictions, losses or derivatives are not finite.
        """
        shape, flat = self.checked_params(params)
        return shape.numpy_tree(self._finite_gradient(shape, flat))

    def refuse_non_finite(self, shape: Any, flat: Float64[ndarray, " size"]) -> None:
        """Raise an `InputError` unless predictions, losses, gradient and second derivatives are finite.

        Args:
            shape: the `TreeShape` of the parameters, as returned by `checked_params`.
            flat: the entries of the parameters.

        Raises:
            InputError: some numbers are not finite; the message says how many and where the first one is.
        """
        from implicitbias._core.precision import double_precision
        from implicitbias.problems._objective import gradient_and_roots

        with double_precision():
            parts = gradient_and_roots(self.double_objective, shape, flat)
            slope, losses, predictions, roots = (np.asarray(part) for part in parts)
        _refuse_gradient(shape, slope, losses, predictions)
        bad = _bad_rows(roots)
        if len(bad):
            raise InputError(
                f"the second derivative of the loss is not finite in {len(bad)} of {len(roots)} rows, the first is "
                f"row {bad[0]}; the structured solver needs it: choose another start, or define `root` in your ib.Loss"
            )

    def _forward(self, params: Any, losses_count: bool = True) -> tuple[float, ndarray]:
        from implicitbias._core.precision import double_precision

        shape, flat = self.checked_params(params)
        with double_precision():
            value, losses, predictions = (np.asarray(part) for part in self._forward_of(shape)(flat))
        _refuse_predictions(predictions)
        if losses_count:
            _refuse_losses(losses, predictions)
        return float(value), frozen(predictions)

    def _forward_of(self, shape: Any) -> Any:
        from implicitbias.problems._objective import Forward

        return self.remembered("forward", shape, lambda: Forward(self.double_objective, shape))

    def remembered(self, name: str, shape: Any, compute: Callable[[], Any]) -> Any:
        """Return what `compute` gives for a layout; it is kept unless the layout holds arrays, which may differ.

        Args:
            name: a name of what is computed.
            shape: the `TreeShape` of the parameters.
            compute: a function whose value depends on this problem and this layout only.
        """
        if shape.has_arrays:
            return compute()
        key = name, shape.key
        if key not in self._memory:
            self._memory[key] = compute()
        return self._memory[key]

    @cached_property
    def _memory(self) -> dict[Any, Any]:
        """What `remembered` keeps."""
        return {}

    def _finite_gradient(self, shape: Any, flat: ndarray) -> ndarray:
        from implicitbias._core.precision import double_precision
        from implicitbias.problems._objective import gradient

        with double_precision():
            parts = gradient(self.double_objective, shape, flat)
            slope, losses, predictions = (np.asarray(part) for part in parts)
        _refuse_gradient(shape, slope, losses, predictions)
        return slope


def _bad_rows(array: ndarray) -> ndarray:
    return np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))


def _refuse_predictions(predictions: ndarray) -> None:
    bad = _bad_rows(predictions)
    if len(bad) == 0:
        return
    values = predictions[bad[0]].tolist()
    shown = (
        values[0] if len(values) == 1 else f"[{', '.join(map(str, values[:4]))}{' ...' * (len(values) > 4)}]"
    )
    raise InputError(
        f"{len(bad)} of {len(predictions)} predictions are NaN or infinite, the first is {shown} for row {bad[0]} "
        "of X, although the parameters are finite. The likely cause is an overflow, a logarithm or a division by 0 in "
        f"the model: evaluate it on X[{bad[0]}:{bad[0] + 1}], or start from smaller parameters"
    )


def _refuse_gradient(shape: Any, slope: ndarray, losses: ndarray, predictions: ndarray) -> None:
    _refuse_predictions(predictions)
    _refuse_losses(losses, predictions)
    bad = np.flatnonzero(~np.isfinite(slope))
    if len(bad):
        raise InputError(
            f"the gradient is NaN or infinite in {len(bad)} of {len(slope)} entries, the first in leaf "
            f"{shape.leaf_of(int(bad[0]))}, although the loss is finite. The likely cause is a square root, a norm or "
            "a division at 0 in the model, possibly in the branch that jax.numpy.where does not select: change its "
            "argument there, or choose another start"
        )


def _refuse_losses(losses: ndarray, predictions: ndarray) -> None:
    bad = _bad_rows(losses)
    if len(bad):
        raise InputError(
            f"the loss is {losses[bad[0]]} in {len(bad)} of {len(losses)} rows, the first is row {bad[0]}, whose "
            f"prediction is {predictions[bad[0]].tolist()}; start from smaller parameters, or change the unit of y"
        )
