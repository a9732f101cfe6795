"""Two classes, a linear predictor, a loss of the margins."""

from typing import Any

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
        y: (n,) labels of any two values; the larger (or later in the alphabet) counts as +1.
        loss: "logistic", log(1 + exp(-m)), or "exponential", exp(-m).
        feature_names: d names of the columns; those of a DataFrame unless given.

    Attributes:
        linear_map: X as the library uses it.
        y: (n,) -1.0 or 1.0, read-only.
        classes: the two labels, that of -1 first.
        loss_name: "logistic" or "exponential".
        feature_names: the names of the columns as strings, None where there are none.

    Raises:
        InputError: labels of one value or of more than two, another loss, shapes that disagree, a single row, NaN,
            infinite or extreme values, text or masked arrays.

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
        """(n, d): rows and columns of X."""
        return self.linear_map.shape

    @property
    def X(self) -> Any:
        """(n, d), read-only: float64 in Fortran order, a memory map as it is, or a `scipy.sparse.csc_array`."""
        return getattr(self.linear_map, "X", self.linear_map)

    @property
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w: (d,)."""
        return (self.shape[1],)

    def margins(self, w: Any) -> Float64[ndarray, " n"]:
        """y_i <x_i, w>."""
        return frozen(self.y * self.linear_map.matvec(self.predictor(w)))

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, " d"]:
        """`w` as a checked (d,) float64 array."""
        return checked_w(w, name, self.shape[1])

    def objective(self) -> Any:
        """The `Objective` in w, with JAX arrays; called under double precision."""
        import jax.numpy as jnp

        from implicitbias.problems._loss import as_loss
        from implicitbias.problems._objective import Linear, MeanLoss, Objective

        return Objective(
            Linear(self.linear_map.traced()), MeanLoss(jnp.asarray(self.y), as_loss(self.loss_name))
        )

    def __repr__(self) -> str:
        return f"Classification(n={self.shape[0]}, d={self.shape[1]}, loss={self.loss_name!r})"
