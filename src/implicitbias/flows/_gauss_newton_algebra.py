"""Algebras: ways to solve linear systems with the Gauss-Newton matrix of a step.

Each algebra gives the same solution up to a tolerance far below the error of the step, at another cost.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx

from implicitbias._core.modules import PlainModule
from implicitbias.flows._method import Method
from implicitbias.flows._rkc import Rkc
from implicitbias.flows._ros34pw2 import Rosenbrock
from implicitbias.flows._tsit5 import Tsit5
from implicitbias.predictors import TracedJacobian

# The largest number of iterations of conjugate gradients; more of them make the step fail.
CG_STEPS = 1000
# The relative residual of conjugate gradients, in units of the rounding error, below which no solve goes.
_ROUNDING = 500.0
# A product with J and one with J^T take about 2 n p multiplications, each of which costs less time than reading an
# entry of the kernel: (n k)^2 entries are read instead if 2 n p is more than 2 _ROW_READS (n k)^2.
_ROW_READS = 4

# A function (right (p,), gap (n, k)) -> (x, J x, iterations) with
# (shift I + gamma_step J^T S J) x = right - gamma_step J^T S gap.
Elimination = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]


class GaussNewtonMatrix(NamedTuple):
    """The matrix shift I + gamma_step J^T S J, where S is block diagonal with the blocks R R^T.

    `accuracy` is the largest accepted norm of the error of a solution x, for solvers that iterate.
    """

    J: TracedJacobian
    roots: jax.Array
    gamma_step: jax.Array
    shift: jax.Array
    accuracy: jax.Array

    @property
    def ratio(self) -> jax.Array:
        """The factor of J^T S J if the matrix is divided by `shift`."""
        return self.gamma_step / self.shift

    def curve(self, f: jax.Array) -> jax.Array:
        """Return S f."""
        return self.spread(self.collect(f))

    def collect(self, f: jax.Array) -> jax.Array:
        """Return R^T f."""
        return jnp.einsum("nkl,nk->nl", self.roots, f)

    def spread(self, r: jax.Array) -> jax.Array:
        """Return R r."""
        return jnp.einsum("nkl,nl->nk", self.roots, r)

    @property
    def size(self) -> int:
        """The number n k of predictions."""
        return self.roots.shape[0] * self.roots.shape[1]

    def rooted_kernel(self, gram: jax.Array | None = None) -> jax.Array:
        """Return I + ratio R^T J J^T R, (n k, n k); `gram` is J J^T (n, k, n, k) if that is known."""
        if gram is None:
            rooted = self.J.rooted_gram(self.roots)
        else:
            rooted = jnp.einsum("nkl,nkmi,mij->nlmj", self.roots, gram, self.roots, optimize="optimal")
        rooted = rooted.reshape(self.size, self.size)
        return jnp.eye(self.size, dtype=rooted.dtype) + self.ratio * rooted


class Algebra(PlainModule):
    """A way to solve the linear systems of a step."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name by which users ask for the algebra."""

    @property
    def method(self) -> Method:
        """The method that takes the steps."""
        return Rosenbrock()

    @property
    def needs_entries(self) -> bool:
        """Whether the entries of the Jacobian are computed."""
        return False

    @abstractmethod
    def solver(self, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
        """Return the solve for a matrix, and the memory for the next one."""

    def first_memory(self, rows: int) -> Any:
        """Return the memory before the first step for n k = rows, as NumPy arrays; by default there is none."""
        return ()

    def learned(self, memory: Any, iterations: jax.Array) -> Any:
        """Return the memory after a step whose solves took this number of iterations."""
        return memory


class NormalEquations(Algebra):
    """The p x p matrix is factorised; `by_blocks` says that the entries of J are computed block by block."""

    by_blocks: bool = eqx.field(static=True)

    @property
    def name(self) -> str:
        return "normal"

    @property
    def needs_entries(self) -> bool:
        return not self.by_blocks

    def solver(self, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
        J = matrix.J
        normal = J.normal(matrix.roots)
        eye = jnp.eye(len(normal), dtype=normal.dtype)
        solve = _cholesky(matrix.shift * eye + matrix.gamma_step * normal)

        def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            x = solve(right - matrix.gamma_step * J.rmv(matrix.curve(gap)))
            return x, J.mv(x), jnp.zeros((), int)

        return eliminate, memory


class Kernel(Algebra):
    """The n k x n k matrix of Woodbury's identity is factorised; J is needed only for the kernel and in products.

    `given` says that the predictor knows the kernel from its structure; otherwise it is computed from the entries of J.
    `called` is the name.
    """

    given: bool = eqx.field(static=True)
    called: str = eqx.field(static=True, default="kernel")

    @property
    def name(self) -> str:
        return self.called

    @property
    def needs_entries(self) -> bool:
        return not self.given

    def solver(self, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
        J, shift, ratio = matrix.J, matrix.shift, matrix.ratio
        n, k = matrix.roots.shape[:2]
        gram = None if self._multiplies(matrix) else J.gram()
        solve = _cholesky(matrix.rooted_kernel(gram))

        def kernel(f: jax.Array) -> jax.Array:
            if gram is None:
                return J.mv(J.rmv(f))
            return (gram.reshape(n * k, n * k) @ f.reshape(-1)).reshape(n, k)

        def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            # The kernel of S gap need not be formed: with the factorised matrix M = I + ratio R^T J J^T R, it is
            # R^T J J^T R = (M - I) / ratio, so that the inverse of M cancels in it.
            ahead = J.mv(right)
            inner = solve(matrix.collect(ahead + shift * gap).reshape(-1)).reshape(n, k)
            back = ratio * matrix.spread(inner)
            return (right - J.rmv(back)) / shift, (ahead - kernel(back)) / shift, jnp.zeros((), int)

        return eliminate, memory

    def _multiplies(self, matrix: GaussNewtonMatrix) -> bool:
        """Return whether products with J J^T are made by J, and not by the kernel, which would read more numbers."""
        (n, k), J = matrix.roots.shape[:2], matrix.J
        p = jax.eval_shape(J.rmv, matrix.roots[:, 0]).size
        return self.given and _ROW_READS * n * k**2 > p


class Products(Algebra):
    """Conjugate gradients, which store neither J nor the kernel."""

    @property
    def name(self) -> str:
        return "products"

    def solver(self, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
        return by_iterations(matrix, lambda r: r), memory


class Explicit(Algebra):
    """The explicit method Tsit5, or a stabilised one. Conjugate gradients solve the linear systems of other callers."""

    stabilised: bool = eqx.field(static=True, default=False)

    @property
    def name(self) -> str:
        return "stabilised" if self.stabilised else "explicit"

    @property
    def method(self) -> Method:
        return Rkc() if self.stabilised else Tsit5()

    def solver(self, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
        return by_iterations(matrix, lambda r: r), memory


class _Iterate(NamedTuple):
    """An iterate of conjugate gradients for (I + ratio R^T J J^T R) y = b.

    Attributes:
        residual: b minus the left side at y, (n, k).
        direction: the direction of the next change of y, (n, k).
        size: the product of the residual and the preconditioned residual.
        pulled: J^T R y, (p,).
        pushed: J J^T R y, (n, k).
        iterations: the number of iterations.
    """

    residual: jax.Array
    direction: jax.Array
    size: jax.Array
    pulled: jax.Array
    pushed: jax.Array
    iterations: jax.Array


def by_iterations(matrix: GaussNewtonMatrix, precondition: Callable[[jax.Array], jax.Array]) -> Elimination:
    """Return the solve by preconditioned conjugate gradients in the space of predictions.

    The iterates carry J^T R y and J J^T R y, so that a solve needs one product with J and one with J^T for each
    iteration and for the right side, and no others. A solver of a library does not return them: with it, a solve with 6
    iterations needed the products of 10.
    """
    J, shift, ratio = matrix.J, matrix.shift, matrix.ratio
    # An error e of y makes an error ratio J^T R e / shift of x. With the residual r this is at most
    # sqrt(ratio) |r| / (2 shift), because s / (1 + s^2) <= 1/2 for each singular value s of sqrt(ratio) J^T R.
    accuracy = 2 * matrix.accuracy * shift / jnp.sqrt(jnp.maximum(ratio, jnp.finfo(ratio.dtype).tiny))

    def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        start = right - matrix.gamma_step * J.rmv(matrix.curve(gap))
        ahead = J.mv(start)
        b = matrix.collect(ahead)
        rounding = _ROUNDING * jnp.finfo(b.dtype).eps * jnp.linalg.norm(b)
        largest = jnp.maximum(accuracy, rounding)

        def unfinished(at: _Iterate) -> jax.Array:
            return (jnp.linalg.norm(at.residual) > largest) & (at.iterations < CG_STEPS)

        def iterate(at: _Iterate) -> _Iterate:
            pulled = J.rmv(matrix.spread(at.direction))
            pushed = J.mv(pulled)
            image = at.direction + ratio * matrix.collect(pushed)
            length = at.size / jnp.vdot(at.direction, image)
            residual = at.residual - length * image
            conditioned = precondition(residual)
            size = jnp.vdot(residual, conditioned)
            direction = conditioned + size / at.size * at.direction
            pulled, pushed = at.pulled + length * pulled, at.pushed + length * pushed
            return _Iterate(residual, direction, size, pulled, pushed, at.iterations + 1)

        first = precondition(b)
        count = jnp.zeros((), int)
        begin = _Iterate(b, first, jnp.vdot(b, first), jnp.zeros_like(start), jnp.zeros_like(ahead), count)
        end = jax.lax.while_loop(unfinished, iterate, begin)
        # If conjugate gradients do not converge, NaN makes the stepper reject the step. A shorter step gives a
        # better-conditioned system. The comparison is false for NaN, too.
        found = jnp.where(jnp.linalg.norm(end.residual) <= largest, ratio, jnp.nan)
        return (start - found * end.pulled) / shift, (ahead - found * end.pushed) / shift, end.iterations

    return eliminate


def _cholesky(matrix: jax.Array) -> Callable[[jax.Array], jax.Array]:
    operator = lx.MatrixLinearOperator(matrix, lx.positive_semidefinite_tag)
    solver = lx.Cholesky()
    factor = solver.init(operator, options={})
    return lambda b: lx.linear_solve(operator, b, solver, state=factor, throw=False).value
