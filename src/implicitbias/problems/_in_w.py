"""Problems whose predictions are linear in one array w."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias.problems._training import TrainingProblem

if TYPE_CHECKING:
    from implicitbias.problems._reparametrized import ReparametrizedProblem


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
        from implicitbias.problems._reparametrized import ReparametrizedProblem

        return ReparametrizedProblem(self, G)

    def checked_params(self, params: Any, name: str = "params") -> tuple[Any, Float64[ndarray, " size"]]:
        """The `TreeShape` of w and its entries in one vector, or an `InputError`."""
        from implicitbias._core.trees import tree_shape

        return tree_shape(self.predictor(params, name), name)
