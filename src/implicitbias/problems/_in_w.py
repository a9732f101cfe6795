"""Problems whose predictions are linear in one array w, as they are and seen through a parametrization w = G(theta)."""

from abc import abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.maps import Map
from implicitbias.problems._training import TrainingProblem


class ProblemInW(TrainingProblem):
    """A problem in w itself: its parameters are w, and `reparametrize` puts a parametrization in front."""

    @property
    @abstractmethod
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w."""

    @abstractmethod
    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, "..."]:
        """`w` as a checked float64 array."""

    def reparametrize(self, G: Any) -> "ReparametrizedProblem":
        """The problem in theta, w = G(theta), for instance `problem.reparametrize(ib.HadamardProduct())`.

        Raises:
            InputError: G is not a parametrization.
        """
        return ReparametrizedProblem(self, G)

    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """The `TreeShape` of w and its entries in one vector, or an `InputError`."""
        from implicitbias._core.trees import tree_shape

        return tree_shape(self.predictor(params, name), name)


class ReparametrizedProblem(TrainingProblem):
    """The problem of `problem.reparametrize(G)`: its parameters are theta, its predictions those of w = G(theta).

    Attributes:
        problem: the problem in w.
        G: the parametrization.
    """

    problem: ProblemInW
    G: Any

    def __init__(self, problem: ProblemInW, G: Any) -> None:
        if isinstance(G, type) and issubclass(G, Map):
            raise InputError(f"G is the class {G.__name__}, an instance is expected: type {G.__name__}()")
        if not isinstance(G, Map):
            raise InputError(
                f"G is {G!r}, a parametrization is expected: type problem.reparametrize(ib.HadamardProduct())"
            )
        self._settle({"problem": problem, "G": G})

    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """The `TreeShape` of theta and its entries in one vector, or an `InputError`."""
        import jax

        from implicitbias._core.precision import double_precision
        from implicitbias._core.trees import tree_shape

        theta = self.G.checked(params, name)
        expected = self.problem.predictor_shape
        with double_precision():
            got = jax.eval_shape(self.G.formula, theta).shape
        if got != expected:
            raise InputError(
                f"{name} gives w of shape {got}, the problem has w of shape {expected}: "
                f"make the arrays of {name} for a w of that shape"
            )
        return tree_shape(theta, name)

    def objective(self) -> Any:
        """The `Objective` in theta, with JAX arrays; called under double precision."""
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        from implicitbias.problems._objective import Objective, Reparametrized

        inner = self.problem.objective()
        # The arrays of G are traced; its functions and numbers are part of the program.
        G = jax.tree.map(lambda leaf: jnp.asarray(leaf) if eqx.is_array(leaf) else leaf, self.G)
        return Objective(Reparametrized(inner.readout.linear, G), inner.mean_loss)

    def __repr__(self) -> str:
        return f"{self.problem!r}.reparametrize({type(self.G).__name__}())"
