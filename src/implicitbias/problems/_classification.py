"""Linear classification: two classes and a loss of the margins, or any number of classes and the cross-entropy."""

from typing import Any

import numpy as np
import scipy
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import LinearMap
from implicitbias.problems._in_w import ProblemInW
from implicitbias.problems._labels import many_classes, two_classes
from implicitbias.problems._loss_names import MARGIN_NAMES, checked_loss
from implicitbias.problems._matrices import checked_matrices, checked_matrix, holds_matrices
from implicitbias.problems._rows import checked_map, checked_names, checked_w

_MANY = "cross_entropy"
# From this margin on, log(1 + e^-m) is e^-m up to rounding.
_LARGE_MARGIN = 40.0


class Classification(ProblemInW):
    r"""The problem $L(w) = \frac{1}{n} \sum_i \ell(y_i \langle x_i, w \rangle)$, labels $y_i = \pm 1$, no intercept.

    With the loss "cross_entropy" there may be more classes. Then w is a matrix (d, k) with a column for each class, the
    loss of a row is $\log \sum_c \exp(\langle x_i, w_c - w_{y_i} \rangle)$, and its margin is
    $\min_{c \ne y_i} \langle x_i, w_{y_i} - w_c \rangle$.

    If X holds matrices $X_i$ (p, q), then w is a matrix (p, q) too, with the margins
    $y_i \langle X_i, w \rangle = y_i \operatorname{tr}(X_i^\top w)$.

    Args:
        X: (n, d) dense array, `scipy.sparse` matrix, `numpy.memmap` or DataFrame, as for `LeastSquares`.
            Or (n, p, q) dense array of matrices, for the losses of two classes.
        y: (n,) labels with two different values; the larger one (or the later one in the alphabet) counts as +1. With
            "cross_entropy" any labels with at least two different values.
        loss: "logistic" for log(1 + exp(-m)), "exponential" for exp(-m), where m is the margin, or "cross_entropy".
        feature_names: the d names of the columns; by default the column names of a DataFrame.

    Attributes:
        linear_map: X as a `LinearMap`.
        y: (n,) -1.0 or 1.0, or indices 0 ... k - 1 into `classes` for "cross_entropy"; read-only.
        classes: the labels; the first one of two counts as -1.
        loss_name: "logistic", "exponential" or "cross_entropy".
        feature_names: the names of the columns as strings, or None if they have no names.

    Raises:
        InputError: the labels do not have exactly two values (at least two for "cross_entropy"), the loss is unknown,
            the shapes disagree, X has a single row, the data hold text, masks, NaN, infinite or extreme values, or X
            holds matrices and the loss is "cross_entropy" or names are given.

    Reference:
        pesme2024mirror; lyu2020margin.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-1.0, 0.5]], ["yes", "no"])
        >>> problem.y.tolist(), problem.classes
        ([1.0, -1.0], ('no', 'yes'))
        >>> problem.margins([1.0, 0.0]).tolist()
        [2.0, 1.0]
        >>> ib.Classification([[1.0], [2.0], [3.0]], ["a", "b", "c"], loss="cross_entropy").predictor_shape
        (1, 3)
        >>> ib.Classification(
        ...     [[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]], [1, -1]
        ... )
        Classification(n=2, shape=(2, 3), loss='logistic')
    """

    linear_map: LinearMap
    y: Any
    classes: tuple[Any, ...]
    loss_name: str
    feature_names: tuple[str, ...] | None

    def __init__(self, X: Any, y: Any, loss: Any = "logistic", *, feature_names: Any = None) -> None:
        loss_name = checked_loss(loss, (*MARGIN_NAMES, _MANY), own=False)
        targets, classes = many_classes(y) if loss_name == _MANY else two_classes(y)
        linear_map: LinearMap
        if holds_matrices(X):
            _refuse_for_matrices(np.shape(X), loss_name, feature_names)
            linear_map, feature_names = checked_matrices(X, len(targets)), None
        else:
            linear_map, names = checked_map(X, len(targets))
            feature_names = checked_names(feature_names, names, linear_map.shape[1])
        self._settle(
            {
                "linear_map": linear_map,
                "y": targets,
                "classes": classes,
                "loss_name": loss_name,
                "feature_names": feature_names,
            }
        )

    @property
    def labels(self) -> tuple[Any, ...] | None:
        """The labels; the first one of two counts as -1."""
        return self.classes

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (n, d) of X, or (n, p, q)."""
        return (self.linear_map.shape[0], *self.linear_map.domain)

    @property
    def X(self) -> Any:
        """The data, read-only: a float64 array, a memory map, or a `scipy.sparse.csc_array`."""
        return getattr(self.linear_map, "X", self.linear_map)

    @property
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w: (d,), (p, q) if X holds matrices, or (d, k) for "cross_entropy"."""
        domain = self.linear_map.domain
        return (*domain, len(self.classes)) if self.by_classes else domain

    @property
    def by_classes(self) -> bool:
        """Whether w has a column for each class, as for "cross_entropy"."""
        return self.loss_name == _MANY

    def margins(self, w: Any) -> Float64[ndarray, " n"]:
        """Return the margins, (n,): y_i <x_i, w>, or the score of the own class minus the largest other score."""
        point = self.predictor(w)
        if not self.by_classes:
            return frozen(self.y * self.linear_map.matvec(point))
        scores = self._scores(point)
        rows = np.arange(len(scores))
        own = scores[rows, self.y]
        scores[rows, self.y] = -np.inf
        return frozen(own - np.max(scores, axis=1))

    def row_weights(self, w: Any) -> Float64[ndarray, "..."]:
        r"""Return the weights of the rows in the gradient, for any margins: $\nabla L \propto -\sum_i x_i q_i$.

        With two classes they are $q_i y_i$ with $q_i \propto -\ell'(m_i)$, (n,). For "cross_entropy" row i has the
        vector $e_{y_i} - p_i$ of the class probabilities, (n, k). They are computed from logarithms, and the largest
        size is 1.
        """
        return frozen(self._row_weights(self.predictor(w)))

    def _row_weights(self, point: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        if self.by_classes:
            return _weights_of_scores(self._scores(point), self.y)
        margins = self.y * self.linear_map.matvec(point)
        logs = -margins if self.loss_name == "exponential" else -np.logaddexp(0.0, margins)
        weights: ndarray = self.y * np.exp(logs - np.max(logs))
        return weights

    def descent_direction(self, w: Any) -> Float64[ndarray, "..."]:
        r"""Return a positive multiple of $-\nabla L(w)$, shaped as w, for any margins: $\sum_i x_i q_i$ of the weights.

        Raises:
            InputError: w has the wrong shape or holds NaN.
        """
        return frozen(self.descent_formula(self.predictor(w)))

    def descent_formula(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        """Return `descent_direction` at a checked float64 array, for loops of many small steps."""
        weights = self._row_weights(w)
        if not self.by_classes:
            return self.linear_map.rmatvec(weights)
        return self.linear_map.rmatvec(np.ascontiguousarray(weights.T)).T

    def log_of_loss(self, w: Any) -> float:
        """Return ln L(w), also where the loss itself is 0 in float64 because all margins are large."""
        if self.by_classes:
            scores = self._scores(self.predictor(w))
            rows = np.arange(len(scores))
            others = scores - scores[rows, self.y][:, None]
            others[rows, self.y] = -np.inf
            # The loss of a row is log(1 + e^-m) with this m.
            margins = -scipy.special.logsumexp(others, axis=1)
        else:
            margins = self.margins(w)
        logs = -margins if self.loss_name == "exponential" else _log_of_logistic(margins)
        return float(scipy.special.logsumexp(logs) - np.log(len(logs)))

    def _scores(self, w: Float64[ndarray, "d k"]) -> Float64[ndarray, "n k"]:
        return np.stack([self.linear_map.matvec(column) for column in w.T], axis=1)

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, "..."]:
        """Return `w` as a checked float64 array of the shape `predictor_shape`."""
        shape = self.predictor_shape
        if len(shape) == 1:
            return checked_w(w, name, shape[0])
        return checked_matrix(w, name, shape, ": a column for each class" if self.by_classes else "")

    def objective(self) -> Any:
        """Return the `Objective` in w with JAX arrays; call it inside `double_precision`.

        Raises:
            InputError: X is sparse and the loss is "cross_entropy".
        """
        import jax.numpy as jnp

        from implicitbias.problems._loss import as_loss
        from implicitbias.problems._objective import Linear, MeanLoss, Model, Objective

        mean_loss = MeanLoss(jnp.asarray(self.y), as_loss(self.loss_name))
        if not self.by_classes:
            return Objective(Linear(self.linear_map.traced()), mean_loss)
        X = self.linear_map.storage().dense
        if X is None:
            raise InputError(
                "X is sparse, a dense array is expected for the loss 'cross_entropy' and its flows; type "
                "ib.Classification(X.toarray(), y, loss='cross_entropy')"
            )
        return Objective(Model(_scores, jnp.asarray(X, dtype=float)), mean_loss)

    def __repr__(self) -> str:
        n, *domain = self.shape
        size = f"d={domain[0]}" if len(domain) == 1 else f"shape={tuple(domain)}"
        return f"Classification(n={n}, {size}, loss={self.loss_name!r})"


def _refuse_for_matrices(shape: tuple[int, ...], loss_name: str, feature_names: Any) -> None:
    """Raise an `InputError` for options that are not defined if the rows of X are matrices."""
    if loss_name == _MANY:
        raise InputError(
            f"X has shape {shape} and the loss is 'cross_entropy', for which rows (n, d) are expected; type "
            "X = X.reshape(len(X), -1), or loss='logistic' for two classes"
        )
    if feature_names is not None:
        raise InputError(
            f"feature_names is given and X has shape {shape}, but names belong to the columns of X (n, d); leave "
            "feature_names out"
        )


def _scores(w: Any, X: Any) -> Any:
    return X @ w


def _weights_of_scores(scores: Float64[ndarray, "n k"], y: Int64[ndarray, " n"]) -> Float64[ndarray, "n k"]:
    """Return the vectors e_(y_i) - p_i, divided by their largest entry."""
    rows = np.arange(len(scores))
    logs = scores - scipy.special.logsumexp(scores, axis=1)[:, None]
    logs[rows, y] = -np.inf
    # 1 - p_y is the sum of the other probabilities, which does not cancel.
    own = scipy.special.logsumexp(logs, axis=1)
    largest = np.max(own)
    weights = -np.exp(logs - largest)
    weights[rows, y] = np.exp(own - largest)
    return weights


def _log_of_logistic(margins: Float64[ndarray, " n"]) -> Float64[ndarray, " n"]:
    """Return ln log(1 + e^-m). For a large m it is -m up to rounding, where the loss may be 0 in float64."""
    near = np.log(np.logaddexp(0.0, -np.minimum(margins, _LARGE_MARGIN)))
    return np.where(margins > _LARGE_MARGIN, -margins, near)
