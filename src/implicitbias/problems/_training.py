"""What every problem offers: loss, gradient, predictions and the objective that flows integrate."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.values import Value


class TrainingProblem(Value, ABC):
    """A frozen value: a mean loss over rows as a function of parameters. JAX is imported where it is needed."""

    @abstractmethod
    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """The `TreeShape` of the parameters and their entries in one vector, or an `InputError`."""

    @abstractmethod
    def objective(self) -> Any:
        """The `Objective`, with JAX arrays; called under double precision."""

    @cached_property
    def double_objective(self) -> Any:
        """The `Objective` in float64, made once."""
        from implicitbias._core.precision import double_precision

        with double_precision():
            return self.objective()

    def loss(self, params: Any) -> float:
        """The mean loss over the rows.

        Raises:
            InputError: bad parameters, or predictions or losses that are not finite.
        """
        return self._forward(params)[0]

    def predict(self, params: Any) -> ndarray:
        """The predictions (n,) or (n, k) for the rows of the problem.

        Raises:
            InputError: bad parameters, or predictions that are not finite.
        """
        predictions = self._forward(params, losses_count=False)[1]
        return predictions[:, 0] if predictions.shape[1] == 1 else predictions

    def gradient(self, params: Any) -> Any:
        """The gradient of the mean loss, shaped as the parameters; read-only NumPy leaves.

        Raises:
            InputError: bad parameters, or predictions, losses or derivatives that are not finite.
        """
        shape, flat = self.checked_params(params)
        return shape.numpy_tree(self._finite_gradient(shape, flat))

    def refuse_non_finite(self, shape: Any, flat: Float64[ndarray, " size"]) -> None:
        """What a flow needs at its start, computed once: predictions, losses, gradient and curvature.

        Args:
            shape: the `TreeShape` of the parameters, as `checked_params` returned it.
            flat: their entries.

        Raises:
            InputError: one of them is not finite; the message counts and locates.
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
                f"row {bad[0]}; the structured solver needs it: start elsewhere, or give your ib.Loss its `root`"
            )

    def _forward(self, params: Any, losses_count: bool = True) -> tuple[float, ndarray]:
        from implicitbias._core.precision import double_precision
        from implicitbias.problems._objective import forward

        shape, flat = self.checked_params(params)
        with double_precision():
            value, losses, predictions = (
                np.asarray(part) for part in forward(self.double_objective, shape, flat)
            )
        _refuse_predictions(predictions)
        if losses_count:
            _refuse_losses(losses, predictions)
        return float(value), frozen(predictions)

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
        "of X, though the parameters are finite; overflow, a logarithm or a division by 0 in the model does this: try "
        f"it on X[{bad[0]}:{bad[0] + 1}], or start from smaller parameters"
    )


def _refuse_gradient(shape: Any, slope: ndarray, losses: ndarray, predictions: ndarray) -> None:
    _refuse_predictions(predictions)
    _refuse_losses(losses, predictions)
    bad = np.flatnonzero(~np.isfinite(slope))
    if len(bad):
        raise InputError(
            f"the gradient is NaN or infinite in {len(bad)} of {len(slope)} entries, the first in leaf "
            f"{shape.leaf_of(int(bad[0]))}, though the loss is finite; a square root, norm or division at 0 in the "
            "model does this, also in the branch that jax.numpy.where drops: guard its argument, or start elsewhere"
        )


def _refuse_losses(losses: ndarray, predictions: ndarray) -> None:
    bad = _bad_rows(losses)
    if len(bad):
        raise InputError(
            f"the loss is {losses[bad[0]]} in {len(bad)} of {len(losses)} rows, the first is row {bad[0]}, whose "
            f"prediction is {predictions[bad[0]].tolist()}; start from smaller parameters, or change the unit of y"
        )
