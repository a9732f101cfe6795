"""Diagonal maps: each coordinate of w has its own parameters, and the metric of w is diagonal."""

from abc import abstractmethod
from typing import Any

import jax

from implicitbias._core.errors import InputError
from implicitbias._core.traced_maps import TracedMap
from implicitbias.parametrizations._exponential_flow import ExponentialFlow
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import Potential


class Diagonal(Parametrization):
    """A map whose coordinate w_i depends only on the i-th entries of the arrays of theta."""

    @abstractmethod
    def metric(self, theta: Any) -> jax.Array:
        """Return the diagonal of J J^T in the shape of w; theta and the result are JAX arrays."""

    def is_entrywise(self) -> bool:
        return True

    def has_kernel(self, linear: TracedMap) -> bool:
        return linear.has_gram

    def kernel(self, theta: Any, linear: TracedMap, other: TracedMap) -> jax.Array:
        """Return $X \\operatorname{diag}(g) Z^\\top$ (n, m) for JAX arrays, where g is the `metric`."""
        return linear.gram(self.metric(theta), other)

    def inverse_metric_product(self, theta: Any, v: jax.Array) -> jax.Array:
        """Return v divided by the `metric`, for JAX arrays."""
        return v / self.metric(theta)

    def growth_times(self, direction: Any) -> Growth:
        r"""Return how the coordinates grow from theta0 = scale * direction as scale -> 0.

        Under a constant force $-\partial_i L = f > 0$, the coordinate $w_i$ becomes positive and visible at the slow
        time $t_i^+ / f$. Under a constant force f < 0, it becomes negative and visible at the slow time $t_i^- / |f|$.
        With these thresholds, `saddle_path(problem, growth_times=...)` predicts the flow of `problem.reparametrize(G)`.

        Args:
            direction: the direction of the start, a pytree like theta.

        Returns:
            A `Growth`, which unpacks as `t_plus, t_minus`. It holds the thresholds in slow time, in the shape of w;
            they are inf where w_i can never have that sign. Slow time is $t / \ln(1/\mathrm{scale})$ for maps of order
            2 at 0 and $t \cdot \mathrm{scale}^{D-2}$ for maps of order D >= 3. It also holds the split among dependent
            columns if that is known, and it converts slow time to flow time.

        Raises:
            InputError: growth times are not known for this map, or a coordinate never moves from this direction.

        Reference:
            zhao2026gradient.
        """
        self.checked(direction, "direction")
        raise InputError(
            f"the growth times of {type(self).__name__} are not known; those of HadamardProduct, SquareDifference, "
            "DeepDiagonal and Featurewise are: for your own two-layer map w_i = k(theta[i]) type ib.Featurewise(k)"
        )


class TwoLayerDiagonal(Diagonal):
    """A map of two arrays whose gradient flow, with or without weight decay, has a closed form in -int grad L dt."""

    def known_potential(self, theta0: Any) -> Potential | None:
        """Return the hyperbolic entropy, or None if a coordinate never changes sign, or w is not a vector."""
        w = self(theta0)
        return self.potential(theta0) if w.ndim == 1 and not self.one_sided(theta0) else None

    @abstractmethod
    def one_sided(self, theta0: Any) -> bool:
        """Return whether some coordinate of w never changes sign on flows from theta0."""

    @abstractmethod
    def closed_form_flow(self, theta0: Any) -> ExponentialFlow:
        """Return the closed-form flow from theta0."""
