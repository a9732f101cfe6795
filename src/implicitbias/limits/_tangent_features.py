"""The tangent features at given parameters: the gradients of the constraints f = y, or y f >= 1, and their kernel."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.linalg.blas import dsymv

from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias.limits._norm_constraints import constraints_of
from implicitbias.predictors import Jacobian, of

# The default largest size of the kernel in bytes.
BYTES = 2 * 2**30


class TangentFeatures:
    """The m rows g_i of the Jacobian of the constraints in the parameters.

    The kernel <g_i, g_j> is held if it fits into `max_bytes`. Otherwise its columns are computed when they are needed.

    Attributes:
        constraints: the constraints.
        jacobian: the Jacobian of the predictions.
        flat: (p,) the parameters.
        max_bytes: the most bytes of the kernel, or of the columns of it.
    """

    def __init__(self, problem: Any, params: Any, max_bytes: int = BYTES) -> None:
        self.constraints, self.flat = constraints_of(problem, params)
        self.jacobian = Jacobian(self.constraints.predictor, self.constraints.tree, self.flat)
        self.max_bytes = max_bytes
        self._of, self._params = of(problem), params
        self._columns: dict[int, Float64[ndarray, " m"]] = {}
        if not np.any(self.transpose(np.cos(1.0 + np.arange(self.number)))):
            raise InputError(
                "the gradient of the predictions is 0 at params, parameters on which the predictions depend are "
                "expected; the likely cause are parameters that are all 0, or units that are all dead: pass the "
                "parameters at which the training starts"
            )

    @property
    def regression(self) -> bool:
        """Whether the constraints are f = y."""
        return self.constraints.equality

    @property
    def number(self) -> int:
        """The number m of constraints."""
        return self.constraints.number

    @cached_property
    def target(self) -> Float64[ndarray, " m"]:
        """The values that the features times h have to reach: y - f in regression, else 1."""
        if not self.regression:
            return np.ones(self.number)
        assert self.constraints.targets is not None
        return np.asarray((self.constraints.targets - self.jacobian.predictions).ravel())

    @cached_property
    def kernel(self) -> Float64[ndarray, "m m"] | None:
        """The kernel of the features, or None if it is too large."""
        n, k = self.jacobian.predictions.shape
        if 8 * max(n * k, self.number) ** 2 > self.max_bytes:
            return None
        plain = self._of.tangent_kernel(self._params, max_bytes=self.max_bytes)
        if self.regression:
            return plain.reshape(n * k, n * k)
        if self.constraints.own is None:
            assert self.constraints.targets is not None
            signs = self.constraints.targets[:, 0]
            return plain * signs[:, None] * signs
        half = self.constraints.lift(plain.reshape(n, k, n * k))
        return self.constraints.lift(np.ascontiguousarray(half.T).reshape(n, k, self.number))

    def apply(self, h: Float64[ndarray, " p"]) -> Float64[ndarray, " m"]:
        """Return <g_i, h> for all i."""
        return self.constraints.lift(self.jacobian.matvec(h).reshape(self.jacobian.predictions.shape))

    def transpose(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, " p"]:
        """Return the sum of q_i g_i."""
        return np.array(self.jacobian.rmatvec(self.constraints.pulled(q).ravel()))

    def products(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        """Return the kernel times q, by products with the Jacobian if the kernel is not held."""
        if self.kernel is None:
            return self.apply(self.transpose(q))
        # The kernel is symmetric, and this product reads only one half of it.
        return np.asarray(dsymv(1.0, self.kernel.T, q))

    def block(self, rows: Int64[ndarray, " k"]) -> Float64[ndarray, "k k"]:
        """Return the kernel of some rows, as an array that may be changed.

        Raises:
            ImplicitBiasError: neither the kernel nor its columns of these rows fit into memory.
        """
        if self.kernel is not None:
            return self.kernel.copy() if len(rows) == self.number else self.kernel[np.ix_(rows, rows)]
        needed = 8 * len(rows) * self.number
        if needed > self.max_bytes:
            raise ImplicitBiasError(
                f"{len(rows)} of {self.number} rows may be support vectors, whose columns of the tangent kernel take "
                f"{needed / 2**30:.2g} GiB, at most {self.max_bytes / 2**30:.2g} GiB are allowed; pass fewer rows, or "
                "raise max_bytes"
            )
        chosen = [int(i) for i in rows]
        if 8 * self.number * (len(self._columns) + len(rows)) > self.max_bytes:
            self._columns = {i: self._columns[i] for i in chosen if i in self._columns}
        for i in chosen:
            if i not in self._columns:
                self._columns[i] = self.products(np.eye(1, self.number, i)[0])
        block = np.stack([self._columns[i][rows] for i in chosen])
        return (block + block.T) / 2

    def rows(self, rows: Int64[ndarray, " k"]) -> Float64[ndarray, "k p"]:
        """Return some of the features as a dense array."""
        return np.stack([self.transpose(np.eye(1, self.number, int(i))[0]) for i in rows])

    @cached_property
    def size(self) -> float:
        """An estimate of the root mean square of the norms of the features, from the kernel or from one product."""
        if self.kernel is not None:
            return float(np.sqrt(np.mean(np.diag(self.kernel))))
        # The signs have no pattern, so that the products of different features nearly cancel.
        signs = np.where(np.random.default_rng(0).standard_normal(self.number) > 0.0, 1.0, -1.0)
        return float(np.linalg.norm(self.transpose(signs))) / np.sqrt(self.number)
