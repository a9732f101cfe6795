"""The protocol by which problems and predictors use a parametrization."""

from typing import Any, Protocol, runtime_checkable

from numpy import ndarray


@runtime_checkable
class Map(Protocol):
    """A map theta -> w with its Jacobian products and, if known, its closed-form flow."""

    def is_entrywise(self) -> bool:
        """Return whether w_i depends only on the i-th entries of the arrays of theta."""

    def formula(self, theta: Any) -> Any:
        """Return w as a JAX array; JAX traces this method."""

    def checked(self, theta: Any, name: str = "theta") -> Any:
        """Return theta with float64 NumPy leaves, or raise an `InputError`."""

    def has_kernel(self, linear: Any) -> bool:
        """Return whether `kernel` needs no Jacobian if the predictions are this `TracedMap` of w."""

    def kernel(self, theta: Any, linear: Any, other: Any) -> Any:
        """Return X J J^T Z^T (n, m) as a JAX array, where X = `linear`, Z = `other` and J = dw / dtheta."""

    def layer_factors(self, theta: Any, linear: Any) -> Any:
        """Return the factors of X J for each leaf of theta, or None if X J has no known factors."""

    def closed_form_flow(self, theta0: Any) -> Any:
        """Return theta as a function of -int grad L dt and lam t, or None if no closed form is known."""

    def __call__(self, theta: Any) -> ndarray:
        """Return w as a NumPy array."""
