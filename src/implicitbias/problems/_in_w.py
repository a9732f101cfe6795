"""Problems whose predictions are linear in one array w, and their reparametrizations w = G(theta)."""

from abc import abstractmethod
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.maps import Map
from implicitbias.problems._training import TrainingProblem


class ProblemInW(TrainingProblem):
    """A problem whose parameters are w itself; `reparametrize` gives the same problem in theta with w = G(theta)."""

    @property
    @abstractmethod
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape of w."""

    @abstractmethod
    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, "..."]:
        """Return `w` as a checked float64 array."""

    def reparametrize(self, G: Any) -> "ReparametrizedProblem":
        """Return the problem in theta with w = G(theta), for instance `problem.reparametrize(ib.HadamardProduct())`.

        Raises:
            InputError: G is not a parametrization.
        """
        return ReparametrizedProblem(self, G)

    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """Return the `TreeShape` of w and its entries as one vector, or raise an `InputError`."""
        from implicitbias._core.trees import tree_shape

        return tree_shape(self.predictor(params, name), name)


class ReparametrizedProblem(TrainingProblem):
    """The problem that `problem.reparametrize(G)` returns: a function of theta with the predictions of w = G(theta).

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

    @property
    def labels(self) -> tuple[Any, ...] | None:
        """The labels of the problem in w."""
        return self.problem.labels

    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """Return the `TreeShape` of theta and its entries as one vector, or raise an `InputError`."""
        import jax

        from implicitbias._core.precision import double_precision
        from implicitbias._core.trees import tree_shape

        theta = self.G.checked(params, name)
        expected = self.problem.predictor_shape
        with double_precision():
            got = jax.eval_shape(self.G.formula, theta).shape
        if got != expected:
            raise InputError(
                f"{name} gives w of shape {got}, but the problem has w of shape {expected}; "
                f"make the arrays of {name} for a w of that shape"
            )
        return tree_shape(theta, name)

    def objective(self) -> Any:
        """Return the `Objective` in theta with JAX arrays; call it inside `double_precision`."""
        import equinox as eqx
        import jax
        import jax.numpy as jnp

        from implicitbias.problems._objective import Objective

        inner = self.problem.objective()
        # JAX traces the arrays of G. Its functions and numbers are constants of the compiled program.
        G = jax.tree.map(lambda leaf: jnp.asarray(leaf) if eqx.is_array(leaf) else leaf, self.G)
        return Objective(inner.readout.reparametrized(G), inner.mean_loss)

    def __repr__(self) -> str:
        return f"{self.problem!r}.reparametrize({type(self.G).__name__}())"
