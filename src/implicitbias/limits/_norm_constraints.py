"""The constraints under which the norm of the parameters is minimised: f = y, or all margins at least 1."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias.predictors import Jacobian, TracedPredictor, of
from implicitbias.problems import TrainingProblem

# The largest size in bytes of a dense Jacobian, and of a dense kernel.
_DENSE_BYTES, _KERNEL_BYTES = 2**29, 2**31


class Constraints(NamedTuple):
    r"""The m constraints c = 0 (regression) or $c \ge 0$ (classification) on the parameters.

    In regression c is f - y. In classification c is M - 1 with the margins M: y f for two classes, and $f_y - f_j$ for
    each other class j.

    Attributes:
        predictor: the predictions f, (n, k).
        tree: the layout of the parameters.
        targets: (n, k) the targets y, or the signs (n, 1), or None if there are more classes.
        own: (n,) the class of each row if there are more than two, else None.
        others: (n, k - 1) the other classes, else None.
        equality: whether the constraints are f = y.
    """

    predictor: TracedPredictor
    tree: TreeShape
    targets: Float64[ndarray, "n k"] | None
    own: Int64[ndarray, " n"] | None
    others: Int64[ndarray, "n g"] | None
    equality: bool

    @property
    def number(self) -> int:
        """The number m of constraints."""
        targets = self.targets if self.others is None else self.others
        assert targets is not None
        return targets.size

    def values(self, flat: Float64[ndarray, " p"]) -> Float64[ndarray, " m"]:
        """Return c at the parameters; entries are NaN where the model overflows."""
        with double_precision():
            return self._of_predictions(np.asarray(_predictions(self.predictor, self.tree, flat)))

    def at(self, flat: Float64[ndarray, " p"]) -> "Linearized":
        """Return the constraints linearised at the parameters.

        Raises:
            ImplicitBiasError: the tangent kernel of the constraints does not fit into memory.
        """
        jacobian = Jacobian(self.predictor, self.tree, flat)
        c = self._of_predictions(jacobian.predictions)
        if 8 * len(c) ** 2 > _KERNEL_BYTES:
            raise ImplicitBiasError(
                f"the problem has {len(c)} constraints, whose tangent kernel takes {8 * len(c) ** 2 / 2**30:.2g} GiB, "
                f"at most {_KERNEL_BYTES / 2**30:.2g} GiB are used; pass fewer rows"
            )
        n, k = jacobian.predictions.shape
        p = len(flat)
        if 8 * max(n * k, len(c)) * p <= _DENSE_BYTES:
            J = self.lift(jacobian.dense().reshape(n, k, p))
            return Linearized(self, flat, jacobian, c, J @ J.T, J)
        kernel = _kernel_by_blocks(jacobian)
        half = self.lift(kernel.reshape(n, k, n * k))
        full = self.lift(np.ascontiguousarray(half.T).reshape(n, k, len(c)))
        return Linearized(self, flat, jacobian, c, (full + full.T) / 2, None)

    def _of_predictions(self, f: Float64[ndarray, "n k"]) -> Float64[ndarray, " m"]:
        if self.equality:
            assert self.targets is not None
            return (f - self.targets).ravel()
        return self.lift(f) - 1.0

    def lift(self, rows: Float64[ndarray, "n k ..."]) -> Float64[ndarray, "m ..."]:
        """Return the linear part of c for changes of the predictions, or for rows of their Jacobian."""
        rest = rows.shape[2:]
        if self.equality:
            return rows.reshape(-1, *rest)
        if self.own is None:
            assert self.targets is not None
            return self.targets.reshape(-1, *(1 for _ in rest)) * rows[:, 0]
        n = np.arange(len(rows))
        assert self.others is not None
        difference = rows[n, self.own][:, None] - rows[n[:, None], self.others]
        return difference.reshape(-1, *rest)

    def pulled(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, "n k"]:
        """Return the weights of the predictions for weights q of the constraints: the transpose of `lift`."""
        if self.equality:
            assert self.targets is not None
            return q.reshape(self.targets.shape)
        if self.own is None:
            assert self.targets is not None
            return self.targets * q[:, None]
        assert self.others is not None
        n, g = self.others.shape
        weights = np.zeros((n, g + 1))
        np.put_along_axis(weights, self.others, -q.reshape(n, g), axis=1)
        weights[np.arange(n), self.own] = np.sum(q.reshape(n, g), axis=1)
        return weights

    def by_margins(self, c: Float64[ndarray, " m"]) -> Float64[ndarray, "n g"]:
        """Return values of the constraints by rows of the data."""
        targets = self.targets if self.own is None else self.own
        assert targets is not None
        return c.reshape(len(targets), -1)

    def conflict(self) -> tuple[int, int] | None:
        """Return two rows with equal inputs and different targets, which no parameters solve; None if there are none.

        They are sought only for models that treat their rows independently.
        """
        model = self.predictor.model
        if model is None or not self.predictor.rows_apart:
            return None
        X = np.asarray(model.readout.X)
        targets = self.targets if self.own is None else self.own[:, None]
        assert targets is not None
        _, first, group = np.unique(X.reshape(len(X), -1), axis=0, return_index=True, return_inverse=True)
        twins = first[group.ravel()]
        differs = np.flatnonzero(np.any(targets != targets[twins], axis=1))
        return (int(twins[differs[0]]), int(differs[0])) if len(differs) else None

    def by_rows(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, "..."]:
        """Return multipliers by rows: (n,), or (n, k) for k outputs or classes, with 0 at the own class."""
        if self.own is None:
            assert self.targets is not None
            shaped = self.by_margins(q)
            return shaped[:, 0] if shaped.shape[1] == 1 else shaped
        assert self.others is not None
        table = np.zeros((len(self.own), self.others.shape[1] + 1))
        np.put_along_axis(table, self.others, q.reshape(self.others.shape), axis=1)
        return table

    def curvature(self, flat: ndarray, q: ndarray) -> Any:
        """Return the function v -> v - sum_i q_i (second derivative of c_i) v at the parameters."""
        weights = self.pulled(q)

        def product(v: Float64[ndarray, " p"]) -> Float64[ndarray, " p"]:
            with double_precision():
                return v - np.asarray(_second(self.predictor, self.tree, flat, weights, v))

        return product

    def curvature_matrix(self, flat: ndarray, q: ndarray) -> Float64[ndarray, "p p"]:
        """Return the matrix of `curvature`, which has p x p entries."""
        with double_precision():
            second = np.asarray(_second_matrix(self.predictor, self.tree, flat, self.pulled(q)))
        return np.eye(len(flat)) - (second + second.T) / 2

    def bends(self, flat: ndarray, vectors: Float64[ndarray, "p e"]) -> Float64[ndarray, "m e"]:
        """Return the second derivatives of each c_i along each of the vectors."""
        with double_precision():
            columns = [np.asarray(_bend(self.predictor, self.tree, flat, v)) for v in vectors.T]
        return self.lift(np.stack(columns, axis=-1))


class Linearized(NamedTuple):
    """Constraints at one point, with their Jacobian J.

    Attributes:
        constraints: the constraints.
        flat: (p,) the parameters theta.
        jacobian: the Jacobian of the predictions.
        c: (m,) the values of the constraints.
        kernel: (m, m) J J^T.
        J: (m, p) the Jacobian of the constraints, or None if it does not fit into memory.
    """

    constraints: Constraints
    flat: Float64[ndarray, " p"]
    jacobian: Jacobian
    c: Float64[ndarray, " m"]
    kernel: Float64[ndarray, "m m"]
    J: Float64[ndarray, "m p"] | None

    def matvec(self, v: Float64[ndarray, " p"]) -> Float64[ndarray, " m"]:
        """Return J v."""
        if self.J is not None:
            return self.J @ v
        return self.constraints.lift(self.jacobian.matvec(v).reshape(self.jacobian.predictions.shape))

    def rmatvec(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, " p"]:
        """Return J^T q."""
        if self.J is not None:
            return q @ self.J
        return np.array(self.jacobian.rmatvec(self.constraints.pulled(q).ravel()))

    @property
    def scale(self) -> float:
        """The mean of the diagonal of the kernel."""
        return float(np.mean(np.diag(self.kernel)))

    @property
    def size(self) -> float:
        """The scale of the violation: the norm of the targets plus the norm of J times that of theta.

        The second term bounds the change of the constraints for a relative change of theta, and is not 0 for y = 0.
        """
        targets = self.constraints.targets if self.constraints.equality else np.ones(1)
        assert targets is not None
        return float(np.linalg.norm(targets) + np.sqrt(np.trace(self.kernel)) * np.linalg.norm(self.flat))

    def violation(self) -> float:
        """Return the relative violation of the constraints."""
        return violated(self.c, self.constraints.equality) / (self.size or 1.0)


def violated(c: Float64[ndarray, " m"], equality: bool) -> float:
    """Return the Euclidean norm of the violated parts of the constraints."""
    return float(np.linalg.norm(c if equality else np.minimum(c, 0.0)))


def constraints_of(problem: Any, params: Any) -> tuple[Constraints, Float64[ndarray, " p"]]:
    """Return the constraints of a problem and the checked parameters as one vector.

    Raises:
        InputError: the problem has a loss without constraints, or the parameters are invalid.
    """
    if not isinstance(problem, TrainingProblem):
        raise InputError(
            f"problem is a {type(problem).__name__}, a problem is expected; type ib.Problem(model, X, y)"
        )
    shape, flat = problem.checked_params(params)
    problem.predict(params)  # reports predictions that are not finite
    with double_precision():
        loss = problem.double_objective.mean_loss.loss
        if not loss.quadratic and loss.of_margins is None:
            raise InputError(
                f"the loss is {type(loss).__name__}, whose minimisers are unknown; the least norm of parameters is "
                "defined for the squared loss (f = y) and for losses of margins (y f >= 1): type loss='squared', "
                "'logistic' or 'cross_entropy'"
            )
        predictor = of(problem).traced.fitted(shape, flat)
        targets = np.asarray(problem.double_objective.mean_loss.targets)
    if loss.quadratic:
        return Constraints(predictor, shape, targets.reshape(len(targets), -1), None, None, True), flat
    if targets.dtype.kind == "f":
        return Constraints(predictor, shape, targets.reshape(-1, 1), None, None, False), flat
    own = targets.astype(np.int64)
    classes = problem.predict(params).shape[1]
    every = np.broadcast_to(np.arange(classes), (len(own), classes))
    others = every[every != own[:, None]].reshape(len(own), classes - 1)
    return Constraints(predictor, shape, None, own, others, False), flat


def _kernel_by_blocks(jacobian: Jacobian) -> Float64[ndarray, "nk nk"]:
    """Return the kernel of the predictions from blocks of rows of their Jacobian."""
    rows, p = jacobian.shape
    width = max(1, _DENSE_BYTES // (16 * p))
    kernel = np.empty((rows, rows))
    for a in range(0, rows, width):
        columns = slice(a, min(a + width, rows))
        block = jacobian.dense(columns)
        kernel[columns, columns] = block @ block.T
        for b in range(columns.stop, rows, width):
            some = slice(b, min(b + width, rows))
            kernel[some, columns] = jacobian.dense(some) @ block.T
            kernel[columns, some] = kernel[some, columns].T
    return kernel


@eqx.filter_jit
def _predictions(predictor: TracedPredictor, tree: TreeShape, flat: Any) -> jax.Array:
    return predictor(tree.unflatten(flat))


def _gradient_of(predictor: TracedPredictor, tree: TreeShape, weights: Any) -> Any:
    return jax.grad(lambda point: (weights * predictor(tree.unflatten(point))).sum())


@eqx.filter_jit
def _second(predictor: TracedPredictor, tree: TreeShape, flat: Any, weights: Any, v: Any) -> jax.Array:
    return jax.jvp(_gradient_of(predictor, tree, weights), (flat,), (v,))[1]


@eqx.filter_jit
def _second_matrix(predictor: TracedPredictor, tree: TreeShape, flat: Any, weights: Any) -> jax.Array:
    return jax.jacfwd(_gradient_of(predictor, tree, weights))(flat)


@eqx.filter_jit
def _bend(predictor: TracedPredictor, tree: TreeShape, flat: Any, v: Any) -> jax.Array:
    def slope(point: Any) -> jax.Array:
        return jax.jvp(lambda at: predictor(tree.unflatten(at)), (point,), (v,))[1]

    return jax.jvp(slope, (flat,), (v,))[1]
