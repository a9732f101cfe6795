"""What problems and predictors need to know of a parametrization."""

from typing import Any, Protocol, runtime_checkable

from numpy import ndarray


@runtime_checkable
class Map(Protocol):
    """A map theta -> w with its geometry."""

    def is_entrywise(self) -> bool:
        """Whether w_i depends on the i-th entries of the arrays of theta only."""

    def formula(self, theta: Any) -> Any:
        """Return w, traced by JAX."""

    def checked(self, theta: Any, name: str = "theta") -> Any:
        """Return theta with float64 NumPy leaves, or raise an `InputError`."""

    def has_kernel(self, linear: Any) -> bool:
        """Whether `kernel` costs no Jacobian for predictions that are this `TracedMap` of w."""

    def kernel(self, theta: Any, linear: Any, other: Any) -> Any:
        """Return X J J^T Z^T (n, m), traced by JAX: X and Z the maps `linear` and `other`, J = dw / dtheta."""

    def layer_factors(self, theta: Any, linear: Any) -> Any:
        """Return the factors of X J leaf by leaf, or None where they have no such structure."""

    def closed_form_flow(self, theta0: Any) -> Any:
        """Return the flow of theta as a function of -int grad L and of lam t, or None where none is known."""

    def __call__(self, theta: Any) -> ndarray:
        """Return w as a NumPy array."""
