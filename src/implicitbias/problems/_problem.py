"""Problems with any model written in JAX."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.fingerprints import shared_function
from implicitbias.problems._labels import class_indices, two_classes
from implicitbias.problems._loss_names import MARGIN_NAMES, NAMES, checked_loss
from implicitbias.problems._training import TrainingProblem


class Problem(TrainingProblem):
    r"""The problem $F(\theta) = \frac{1}{n} \sum_i \ell(f(\theta; X)_i, y_i)$ for any model f written in JAX.

    Args:
        model: a function model(params, X) written with `jax.numpy` that returns predictions (n,) or (n, k). The
            parameters are any pytree of floating-point arrays (a tuple, a dict, an equinox module, the variables of a
            flax module) and are passed to the model in float64. Functions with equal content (code, defaults, closure,
            globals) share their compiled programs.
        X: (n, ...) inputs. Floating-point inputs are converted to float64; integers (tokens) and booleans are kept.
        y: targets: (n,) or (n, k) like the predictions for "squared"; (n,) labels with two different values for
            "logistic" and "exponential", of which the larger one counts as +1; (n,) classes 0 ... k - 1 for
            "cross_entropy"; (n, ...) for an `ib.Loss`.
        loss: an `ib.Loss` or a name. The loss of a row is 1/2 ||f - y||^2 for "squared", log(1 + exp(-y f)) for
            "logistic", exp(-y f) for "exponential", and logsumexp(f) - f_y for "cross_entropy".

    Attributes:
        model: the model.
        X: the inputs, read-only.
        y: the targets in the form that the loss uses (-1.0 or 1.0 for two classes), read-only.
        classes: the two labels for "logistic" and "exponential", where the first one counts as -1; otherwise None.
        loss_function: the name of the loss, or the `ib.Loss`.

    Raises:
        InputError: the model is not callable, the numbers of rows disagree, labels are not classes, or values are NaN.
            Methods that take parameters raise it if the model fails, or if its predictions have a wrong shape or are
            not finite.

    Reference:
        boursier2025grokking and lyu2024dichotomy study the flows of these losses.

    Examples:
        >>> import jax.numpy as jnp, numpy as np, implicitbias as ib
        >>> def model(params, X):
        ...     W, a = params
        ...     return jnp.tanh(X @ W) @ a
        >>> problem = ib.Problem(model, np.eye(2), [0.0, 1.0])
        >>> problem.loss((np.zeros((2, 3)), np.ones(3)))
        0.25
    """

    model: Any
    X: ndarray
    y: ndarray
    classes: tuple[Any, Any] | None
    loss_function: Any

    def __init__(self, model: Any, X: Any, y: Any, loss: Any = "squared") -> None:
        if not callable(model):
            raise InputError(
                f"model is a {type(model).__name__}, a function model(params, X) -> predictions is expected; "
                "for an equinox module type model=lambda net, X: jax.vmap(net)(X), and pass the module as params"
            )
        loss_function, inputs = checked_loss(loss, NAMES, own=True), _checked_inputs(X)
        targets, classes = _checked_targets(y, loss_function)
        if len(inputs) != len(targets):
            raise InputError(f"X has {len(inputs)} rows and y has {len(targets)}, they must agree")
        self._settle(
            {
                "model": shared_function(model),
                "X": inputs,
                "y": targets,
                "classes": classes,
                "loss_function": loss_function,
            }
        )

    @property
    def labels(self) -> tuple[Any, ...] | None:
        """The two labels for "logistic" and "exponential", where the first one counts as -1; otherwise None."""
        return self.classes

    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """Return the `TreeShape` of the parameters and their entries as one vector, or raise an `InputError`.

        The model is traced but not computed, to check the shape and the type of its output.
        """
        from implicitbias._core.precision import double_precision
        from implicitbias._core.trees import tree_shape
        from implicitbias.problems._model_output import Statement, refuse_output

        shape, flat = tree_shape(params, name)
        if shape.key not in self._fitting:  # Tracing takes milliseconds, so it is done once for each shape.
            with double_precision():
                refuse_output(Statement(self.model, self.X, self.y, self.loss_function), shape, flat)
            self._fitting.add(shape.key)
        return shape, flat

    @cached_property
    def _fitting(self) -> set[Any]:
        """The keys of the parameter shapes for which the model has passed the checks."""
        return set()

    def objective(self) -> Any:
        """Return the `Objective` in the parameters with JAX arrays; call it inside `double_precision`."""
        import jax

        from implicitbias.problems._loss import as_loss
        from implicitbias.problems._objective import MeanLoss, Model, Objective

        targets = self.y
        if self.loss_function in ("squared", *MARGIN_NAMES) and targets.ndim == 1:
            targets = targets[:, None]
        mean_loss = MeanLoss(jax.device_put(targets), as_loss(self.loss_function))
        return Objective(Model(self.model, jax.device_put(self.X)), mean_loss)

    def __repr__(self) -> str:
        loss = self.loss_function
        name = repr(loss) if isinstance(loss, str) else f"{type(loss).__name__}()"
        return f"Problem({getattr(self.model, '__name__', type(self.model).__name__)}, n={len(self.y)}, loss={name})"


def _checked_inputs(X: Any) -> ndarray:
    array = _whole_or_real(X, "X")
    if array.ndim == 0 or array.size == 0:
        raise InputError(
            f"X has shape {array.shape}, inputs (n, ...) with one row for each target are expected"
        )
    return array


def _checked_targets(y: Any, loss: Any) -> tuple[ndarray, tuple[Any, Any] | None]:
    if loss in MARGIN_NAMES:
        return two_classes(y)
    if loss == "cross_entropy":
        return class_indices(y), None
    array = _whole_or_real(y, "y")
    if array.ndim == 0 or array.size == 0 or (loss == "squared" and array.ndim > 2):
        expected = "(n,) or (n, k)" if loss == "squared" else "(n, ...)"
        raise InputError(
            f"y has shape {array.shape}, targets {expected} with one row for each row of X are expected"
        )
    return array if loss != "squared" else frozen(array.astype(np.float64)), None


def _whole_or_real(value: Any, name: str) -> ndarray:
    """Return a read-only copy: integers and booleans keep their type, other numbers become finite float64."""
    try:
        ndim = np.ndim(value)
    except ValueError:  # The rows have unequal lengths; `real_array` reports this.
        ndim = 1
    real = real_array(value, name, ndim)
    whole = not hasattr(value, "columns") and np.asarray(value).dtype.kind in "iub"
    return frozen(np.array(value) if whole else real)
