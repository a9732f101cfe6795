"""The public class of predictors, and the function `of` that returns the predictor of a problem."""

from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias._core.values import Value
from implicitbias.predictors._jacobian import BYTES, Jacobian
from implicitbias.predictors._traced import TracedPredictor, traced
from implicitbias.problems import TrainingProblem

# The size in bytes of the block of rows of the Jacobian that is held at a time. Two blocks are in memory; a Jacobian of
# this size is one block.
_BLOCK_BYTES = 512 * 2**20


class Predictor(Value):
    """The predictions of a problem, their Jacobian J in the parameters, and the tangent kernel J J^T.

    `of(problem)` returns this object. It uses known structure of linear models, of reparametrised linear models (the
    metric of a diagonal map or the entries of a factored matrix), and of models that treat their rows independently.

    Attributes:
        problem: the problem.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> from implicitbias import predictors
        >>> problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [1.0, 1.0]).reparametrize(
        ...     ib.HadamardProduct()
        ... )
        >>> theta = (np.array([1.0, 2.0]), np.array([3.0, 0.0]))
        >>> predictor = predictors.of(problem)
        >>> predictor.predict(theta).tolist()
        [3.0, 0.0]
        >>> predictor.tangent_kernel(theta).tolist()  # X diag(u^2 + v^2) X^T
        [[26.0, 8.0], [8.0, 4.0]]
        >>> predictor.jacobian(theta).shape
        (2, 4)
    """

    problem: TrainingProblem

    def __init__(self, problem: Any) -> None:
        if not isinstance(problem, TrainingProblem):
            raise InputError(
                f"problem is a {type(problem).__name__}, a problem is expected, for instance ib.Problem(model, X, y)"
            )
        self._settle({"problem": problem})

    @cached_property
    def traced(self) -> TracedPredictor:
        """The predictor in a form that JAX can trace, in float64."""
        with double_precision():
            return traced(self.problem.double_objective.readout)

    def predict(self, params: Any, X2: Any = None) -> ndarray:
        """Return the predictions (n,) or (n, k) at the problem's inputs, or at `X2`.

        Args:
            params: the parameters, as for `problem.loss`.
            X2: other inputs: an (m, d) array for a linear model, a pair (rows, cols) for entries of a matrix, and
                inputs like X for any other model.

        Raises:
            InputError: the parameters or the inputs are invalid, or predictions are not finite.
        """
        if X2 is None:
            return self.problem.predict(params)
        shape, flat = self.problem.checked_params(params)
        predictions = Jacobian(self._at(X2), shape, flat).predictions
        if not np.all(np.isfinite(predictions)):
            raise InputError(
                "predictions at X2 are NaN or infinite; the likely cause is an overflow in the model"
            )
        return frozen(predictions[:, 0] if predictions.shape[1] == 1 else predictions)

    def linearised(self, params: Any, change: Any, X2: Any) -> tuple[ndarray, ndarray]:
        """Return the predictions f and their derivatives <grad f, change> at other inputs, (n,) or (n, k) each.

        Args:
            params: the parameters.
            change: a change of the parameters, a pytree like them.
            X2: the inputs, as in `predict`.

        Raises:
            InputError: the parameters, the change or the inputs are invalid, or predictions are not finite.
        """
        values = self.predict(params, X2)
        shape, flat = self.problem.checked_params(params)
        _, direction = self.problem.checked_params(change, "change")
        changes = Jacobian(self._at(X2), shape, flat).matvec(direction)
        return values, frozen(changes.reshape(values.shape))

    def jacobian(self, params: Any) -> Jacobian:
        """Return the Jacobian at these parameters as a linear operator (n k, p).

        Raises:
            InputError: the parameters are invalid.
        """
        shape, flat = self.problem.checked_params(params)
        with double_precision():
            return Jacobian(self.traced.fitted(shape, flat), shape, flat)

    def tangent_kernel(
        self, params: Any, X2: Any = None, *, max_bytes: int = BYTES
    ) -> Float64[ndarray, "..."]:
        r"""Return the tangent kernel $K = J J^\top$, or $J J_2^\top$ with the Jacobian $J_2$ at other inputs.

        Args:
            params: the parameters.
            X2: other inputs, as in `predict`; None means the inputs of the problem.
            max_bytes: the largest accepted size of the kernel in bytes. The Jacobian is held in blocks of rows.

        Returns:
            An array (n, m) for one output, and (n, k, m, k) for k outputs.

        Raises:
            InputError: the parameters or the inputs are invalid.
            ImplicitBiasError: the kernel is larger than `max_bytes`.
        """
        shape, flat = self.problem.checked_params(params)
        with double_precision():
            here = self.traced.fitted(shape, flat)
            there = here if X2 is None else here.at(X2)
            n, k = _output_shape(here, shape, flat)
            m, _ = _output_shape(there, shape, flat)
            if 8 * n * k * m * k > max_bytes:
                raise ImplicitBiasError(
                    f"the kernel has {n * k} x {m * k} entries and takes {8 * n * k * m * k / 2**30:.2g} GiB, at most "
                    f"{max_bytes / 2**30:.2g} GiB are allowed; use fewer rows, jacobian(params).matvec and rmatvec, or "
                    "raise max_bytes"
                )
            if here.has_kernel:
                kernel = np.asarray(_structured(here, there, shape, flat))
            else:
                left = Jacobian(here, shape, flat)
                kernel = _by_blocks(left, left if there is here else Jacobian(there, shape, flat))
        kernel = kernel.reshape(n, k, m, k)
        return frozen(kernel[:, 0, :, 0] if k == 1 else kernel)

    def _at(self, X2: Any) -> TracedPredictor:
        with double_precision():
            return self.traced.at(X2)

    def __repr__(self) -> str:
        return f"Predictor({self.problem!r})"


def of(problem: Any) -> Predictor:
    """Return the predictor of a problem: `LeastSquares`, `Classification`, `Problem` or a reparametrised problem.

    Raises:
        InputError: the argument is not a problem.
    """
    return Predictor(problem)


def _output_shape(predictor: TracedPredictor, shape: TreeShape, flat: ndarray) -> tuple[int, ...]:
    # The parameters are traced as a vector, because a pytree may also hold functions.
    return jax.eval_shape(lambda point: predictor(shape.unflatten(point)), flat).shape


@eqx.filter_jit
def _structured(here: TracedPredictor, there: TracedPredictor, shape: TreeShape, flat: Any) -> jax.Array:
    return here.kernel(shape.unflatten(flat), there)


def _by_blocks(left: Jacobian, right: Jacobian) -> ndarray:
    """Return J J2^T, computed from blocks of rows of both Jacobians, of which two are in memory at a time.

    If both are the same object, only the blocks on and below the diagonal are computed.
    """
    rows, p = left.shape
    width = max(1, _BLOCK_BYTES // (8 * p))
    width = rows if left is right and rows <= 2 * width else width
    kernel = np.empty((rows, right.shape[0]))
    for a in range(0, right.shape[0], width):
        columns = slice(a, min(a + width, right.shape[0]))
        block = right.dense(columns)
        for b in range(a if left is right else 0, rows, width):
            some = slice(b, min(b + width, rows))
            kernel[some, columns] = (block if left is right and a == b else left.dense(some)) @ block.T
            if left is right:
                kernel[columns, some] = kernel[some, columns].T
    return kernel
