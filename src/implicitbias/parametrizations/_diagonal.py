"""Diagonal maps: each coordinate of w has its own parameters, and the metric of w is diagonal."""

from abc import abstractmethod
from typing import Any

import jax

from implicitbias._core.errors import InputError
from implicitbias._core.traced_maps import TracedMap
from implicitbias.parametrizations._exponential_chart import ExponentialChart
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._parametrization import Parametrization


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

    def growth_times(self, direction: Any) -> Growth:
        r"""Return how the coordinates grow from theta0 = scale * direction as scale -> 0.

        Under a constant force $-\partial_i L = f$ the coordinate $w_i$ becomes visible at the slow time $t_i^+ / f$, as
        a positive number, where f > 0, and at $t_i^- / |f|$, as a negative one, where f < 0. With these thresholds
        `saddle_path(problem, growth_times=...)` predicts what the flow of `problem.reparametrize(G)` does.

        Args:
            direction: shaped as theta.

        Returns:
            A `Growth`: the thresholds t_plus and t_minus, shaped as w, in slow time, which is
            $t / \ln(1/\mathrm{scale})$ for maps of second order at 0 and $t \cdot \mathrm{scale}^{D-2}$ for those of
            order D >= 3 (inf where w_i can never take that sign); the split among dependent columns, where it is known;
            and the conversion of slow time to flow time. It unpacks as `t_plus, t_minus`.

        Raises:
            InputError: no growth times are known for this map, or a coordinate that never moves from this direction.

        Reference:
            zhao2026gradient.
        """
        self.checked(direction, "direction")
        raise InputError(
            f"{type(self).__name__} has no growth times to give; HadamardProduct, SquareDifference, DeepDiagonal and "
            "Featurewise have: for a two-layer map of your own type ib.Featurewise(k), w_i = k(theta[i])"
        )


class TwoLayerDiagonal(Diagonal):
    """A map of two arrays whose gradient flow, with or without weight decay, has a closed form in -int grad L dt."""

    @abstractmethod
    def exponential_chart(self, theta0: Any) -> ExponentialChart:
        """Return the closed-form flow from theta0."""

    def closed_form_flow(self, theta0: Any) -> ExponentialChart | None:
        return self.exponential_chart(theta0)
