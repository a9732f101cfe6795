"""Linear classification with two classes and a loss of the margins."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.linear_maps import LinearMap
from implicitbias.problems._in_w import ProblemInW
from implicitbias.problems._labels import two_classes
from implicitbias.problems._loss_names import MARGIN_NAMES, checked_loss
from implicitbias.problems._rows import checked_map, checked_names, checked_w


class Classification(ProblemInW):
    r"""The problem $L(w) = \frac{1}{n} \sum_i \ell(y_i \langle x_i, w \rangle)$, labels $y_i = \pm 1$, no intercept.

    Args:
        X: (n, d) dense array, `scipy.sparse` matrix, `numpy.memmap` or DataFrame, as for `LeastSquares`.
        y: (n,) labels with two different values; the larger one (or the later one in the alphabet) counts as +1.
        loss: "logistic" for log(1 + exp(-m)), or "exponential" for exp(-m), where m is the margin.
        feature_names: the d names of the columns; by default the column names of a DataFrame.

    Attributes:
        linear_map: X as a `LinearMap`.
        y: (n,) -1.0 or 1.0, read-only.
        classes: the two labels; the first one counts as -1.
        loss_name: "logistic" or "exponential".
        feature_names: the names of the columns as strings, or None if they have no names.

    Raises:
        InputError: the labels do not have exactly two values, the loss is not one of the two, the shapes disagree, X
            has a single row, or the data hold text, masks, NaN, infinite or extreme values.

    Reference:
        pesme2024mirror; lyu2020margin.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-1.0, 0.5]], ["yes", "no"])
        >>> problem.y.tolist(), problem.classes
        ([1.0, -1.0], ('no', 'yes'))
        >>> problem.margins([1.0, 0.0]).tolist()
        [2.0, 1.0]
    """

    linear_map: LinearMap
    y: Float64[ndarray, " n"]
    classes: tuple[Any, Any]
    loss_name: str
    feature_names: tuple[str, ...] | None

    def __init__(self, X: Any, y: Any, loss: Any = "logistic", *, feature_names: Any = None) -> None:
        signs, classes = two_classes(y)
        linear_map, names = checked_map(X, len(signs))
        self._settle(
            {
                "linear_map": linear_map,
                "y": signs,
                "classes": classes,
                "loss_name": checked_loss(loss, MARGIN_NAMES, own=False),
                "feature_names": checked_names(feature_names, names, linear_map.shape[1]),
            }
        )

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n, d) of X."""
        return self.linear_map.shape

    @property
    def X(self) -> Any:
        """The data (n, d), read-only: a float64 array in Fortran order, a memory map, or a `scipy.sparse.csc_array`."""
        return getattr(self.linear_map, "X", self.linear_map)

    @property
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w: (d,)."""
        return (self.shape[1],)

    def margins(self, w: Any) -> Float64[ndarray, " n"]:
        """Return the margins y_i <x_i, w>, (n,)."""
        return frozen(self.y * self.linear_map.matvec(self.predictor(w)))

    def row_weights(self, w: Any) -> Float64[ndarray, " n"]:
        r"""Return the weights $q_i \ge 0$ of the rows in the gradient, $\nabla L \propto -\sum_i q_i y_i x_i$.

        They sum to 1 and are computed from the logarithms of $-\ell'(m_i)$, so that they are right for any margins.
        """
        margins = self.margins(w)
        logs = -margins if self.loss_name == "exponential" else -np.logaddexp(0.0, margins)
        weights = np.exp(logs - np.max(logs))
        return frozen(weights / np.sum(weights))

    def log_of_loss(self, w: Any) -> float:
        """Return ln L(w), also where the loss itself is 0 in float64 because all margins are large."""
        import jax.numpy as jnp
        from jax.scipy.special import logsumexp

        from implicitbias._core.precision import double_precision
        from implicitbias.problems._loss import as_loss

        margins = self.margins(w)
        with double_precision():
            loss = as_loss(self.loss_name).of_margins
            assert loss is not None  # both losses of this class are losses of margins
            return float(logsumexp(loss.log_value(jnp.asarray(margins)))) - float(np.log(len(margins)))

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, " d"]:
        """Return `w` as a checked (d,) float64 array."""
        return checked_w(w, name, self.shape[1])

    def objective(self) -> Any:
        """Return the `Objective` in w with JAX arrays; call it inside `double_precision`."""
        import jax.numpy as jnp

        from implicitbias.problems._loss import as_loss
        from implicitbias.problems._objective import Linear, MeanLoss, Objective

        return Objective(
            Linear(self.linear_map.traced()), MeanLoss(jnp.asarray(self.y), as_loss(self.loss_name))
        )

    def __repr__(self) -> str:
        return f"Classification(n={self.shape[0]}, d={self.shape[1]}, loss={self.loss_name!r})"
