"""The test rows of a forecast, and the losses and errors of parameters on training and test rows."""

from enum import Enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import real_array
from implicitbias._core.errors import InputError
from implicitbias._core.modules import PlainModule
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias.problems import MeanLoss, Objective, TrainingProblem

# The names of the measured columns, in the order in which `Gauge` returns them.
COLUMNS = ("train_loss", "test_loss", "train_error", "test_error", "norm")
# The number of points whose predictions are computed in one call. It is fixed, so that one program is compiled, and
# small, because few points are measured at a time where a crossing is located.
BLOCK = 8


class ErrorKind(Enum):
    """What an error is: the misclassified fraction, by sign or by the largest output, or the mean squared error."""

    SIGN = "the sign of the prediction is wrong"
    ARGMAX = "another output is larger than that of the class"
    SQUARED = "the squared distance of prediction and target"

    @property
    def counts(self) -> bool:
        """Whether the error is a misclassified fraction."""
        return self is not ErrorKind.SQUARED

    @property
    def text(self) -> str:
        """The name of the error for readers."""
        return "misclassified fraction" if self.counts else "mean squared error"


def kind_of(mean_loss: MeanLoss) -> ErrorKind:
    """Return the kind of the error, which the loss and the training targets decide.

    Raises:
        InputError: the loss is the user's own and its targets are not numbers, so that no error is known.
    """
    targets = np.asarray(mean_loss.targets)
    if mean_loss.loss.of_margins is not None:
        return ErrorKind.ARGMAX if targets.dtype.kind in "iu" else ErrorKind.SIGN
    if targets.ndim != 2 or targets.dtype.kind not in "fiu":
        raise InputError(
            f"the targets have the shape {targets.shape} and the type {targets.dtype}, numbers (n,) or (n, k) are "
            "expected, because the error of a forecast is a misclassified fraction or a mean squared error"
        )
    if targets.shape[1] == 1:
        return ErrorKind.SIGN if set(np.unique(targets)) == {-1.0, 1.0} else ErrorKind.SQUARED
    low, high = np.min(targets), np.max(targets)
    one_hot = (
        low < high
        and np.all((targets == high).sum(axis=1) == 1)
        and np.all((targets == low) | (targets == high))
    )
    return ErrorKind.ARGMAX if one_hot else ErrorKind.SQUARED


class Gauge(PlainModule):
    """The training and the test rows with their loss, as a function of the flat parameters.

    Attributes:
        train: the objective on the training rows.
        test: the objective on the test rows.
        shape: the layout of the parameters.
        kind: the kind of the error.
    """

    train: Objective
    test: Objective
    shape: TreeShape
    kind: ErrorKind = eqx.field(static=True)

    @property
    def test_rows(self) -> int:
        """The number of test rows."""
        return int(self.test.mean_loss.targets.shape[0])

    def measured(self, states: Float64[ndarray, "m size"]) -> Float64[ndarray, "m columns"]:
        """Return the columns `COLUMNS` at these parameters."""
        rows = np.empty((len(states), len(COLUMNS)))
        with double_precision():
            for begin in range(0, len(states), BLOCK):
                block = states[begin : begin + BLOCK]
                padded = np.concatenate([block, np.repeat(block[-1:], BLOCK - len(block), axis=0)])
                rows[begin : begin + len(block)] = np.asarray(_measured(self, padded))[: len(block)]
        return rows

    def test_predictions(self, state: Float64[ndarray, " size"]) -> Float64[ndarray, "n k"]:
        """Return the predictions for the test rows."""
        with double_precision():
            return np.asarray(_predicted(self.test, self.shape, state))

    def train_predictions(self, state: Float64[ndarray, " size"]) -> Float64[ndarray, "n k"]:
        """Return the predictions for the training rows."""
        with double_precision():
            return np.asarray(_predicted(self.train, self.shape, state))


@eqx.filter_jit
def _predicted(objective: Objective, shape: TreeShape, state: Any) -> jax.Array:
    return objective.readout(shape.unflatten(jnp.asarray(state)))


@eqx.filter_jit
def _measured(gauge: Gauge, states: Any) -> jax.Array:
    def one(state: jax.Array) -> jax.Array:
        params = gauge.shape.unflatten(state)
        found = [_loss_and_error(part, params, gauge.kind) for part in (gauge.train, gauge.test)]
        norm = jnp.sqrt(jnp.sum(state**2))
        return jnp.stack([found[0][0], found[1][0], found[0][1], found[1][1], norm])

    return jax.lax.map(one, jnp.asarray(states))


def _loss_and_error(objective: Objective, params: Any, kind: ErrorKind) -> tuple[jax.Array, jax.Array]:
    predictions, targets = objective.readout(params), objective.mean_loss.targets
    if kind is ErrorKind.SQUARED:
        error = jnp.mean(jnp.sum((predictions - targets) ** 2, axis=1))
    elif kind is ErrorKind.SIGN:
        error = _share(predictions[:, 0] * targets.reshape(-1) <= 0.0)
    else:
        own = targets if targets.ndim == 1 else jnp.argmax(targets, axis=1)
        error = _share(jnp.argmax(predictions, axis=1) != own)
    return objective.mean_loss.value(predictions), error


def _share(wrong: jax.Array) -> jax.Array:
    # The mean of booleans would be float32.
    return jnp.mean(jnp.where(wrong, 1.0, 0.0))


def gauge_of(
    problem: TrainingProblem, shape: TreeShape, start: Float64[ndarray, " size"], test: Any
) -> Gauge:
    """Return the gauge of a problem and its test rows, which `test` holds as (X, y).

    Raises:
        InputError: test is not a pair, its shapes or labels disagree with the problem, or values are not finite.
    """
    if not isinstance(test, (tuple, list)) or len(test) != 2:
        raise InputError(
            f"test is a {type(test).__name__}, a pair of inputs and targets is expected: type test=(X_test, y_test)"
        )
    with double_precision():
        train = problem.double_objective
        targets = _test_targets(problem, train.mean_loss, test[1])
        readout = train.readout.at(_test_inputs(test[0], len(targets)))
        objective = Objective(readout, MeanLoss(jnp.asarray(targets), train.mean_loss.loss))
        gauge = Gauge(train, objective, shape, kind_of(train.mean_loss))
        try:
            first = gauge.test_predictions(start)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the model fails on the test inputs ({error}); pass inputs like those of the problem, with as many "
                "rows as test targets"
            ) from error
        outputs = gauge.train_predictions(start).shape[1]
    if first.shape != (len(targets), outputs):
        raise InputError(
            f"the predictions for the test inputs have the shape {first.shape}, {(len(targets), outputs)} is expected"
        )
    bad = np.flatnonzero(~np.isfinite(first).all(axis=1))
    if len(bad):
        raise InputError(
            f"{len(bad)} test predictions are NaN or infinite at the start, the first for row {bad[0]}"
        )
    if targets.ndim == 1 and targets.dtype.kind in "iu" and targets.max() >= outputs:
        raise InputError(f"test targets reach the class {targets.max()}, but the model has {outputs} outputs")
    return gauge


def _test_inputs(X: Any, rows: int) -> ndarray:
    given = np.asarray(X)
    if given.dtype.kind not in "iub":
        given = real_array(X, "the test inputs", ndim=given.ndim)
    if given.ndim == 0 or len(given) != rows:
        raise InputError(
            f"the test inputs have the shape {given.shape}, {rows} rows are expected as in the test targets"
        )
    return given


def _test_targets(problem: TrainingProblem, mean_loss: MeanLoss, y: Any) -> ndarray:
    """Return the test targets in the form that the loss uses."""
    known, given = np.asarray(mean_loss.targets), np.asarray(y)
    if given.ndim == 0 or given.size == 0:
        raise InputError(
            f"the test targets have the shape {given.shape}, one target for each test row is expected"
        )
    if problem.labels is not None:
        labels = list(problem.labels)
        strange = sorted({repr(label) for label in given.ravel().tolist() if label not in labels})
        if strange:
            raise InputError(
                f"the test targets hold the label {strange[0]}, the labels of the problem are {labels}; use the same "
                "labels for both"
            )
        places = np.array([labels.index(label) for label in given.ravel().tolist()])
        return places if known.dtype.kind in "iu" else (2.0 * places - 1.0).reshape(-1, *known.shape[1:])
    if known.ndim == 1 and known.dtype.kind in "iu":
        if given.ndim != 1 or given.min() < 0 or np.any(given != np.floor(given)):
            raise InputError(
                "the test targets must be classes 0 ... k - 1 of shape (n,), like those of the problem"
            )
        return given.astype(np.int64)
    numbers = real_array(y, "the test targets", ndim=given.ndim)
    numbers = numbers[:, None] if numbers.ndim == 1 and known.ndim == 2 else numbers
    if numbers.shape[1:] != known.shape[1:]:
        raise InputError(
            f"each test target has the shape {numbers.shape[1:]}, {known.shape[1:]} is expected as in the problem"
        )
    return numbers
