"""The names of the algebras by which users choose how linear systems are solved."""

from typing import Any

from implicitbias._core.errors import InputError

# What each algebra does.
NAMES = {
    "layers": "the n k x n k matrix of Woodbury's identity is factorised, with the tangent kernel from dense layers",
    "kernel": "the n k x n k matrix of Woodbury's identity is factorised",
    "normal": "the p x p matrix of the normal equations is factorised",
    "lagged": "conjugate gradients, preconditioned by the factor of an earlier step",
    "nystrom": "conjugate gradients, preconditioned by the largest eigenvalues of the kernel of an earlier step",
    "products": "conjugate gradients, which store no matrix",
    "explicit": "steps of the explicit method Tsit5",
    "stabilised": "steps of the explicit Runge-Kutta-Chebyshev method, whose stages follow the stiffness",
}
# Those of single steps, which the solver of diffrax can use.
OF_STEPS = ("layers", "kernel", "normal", "products")


def checked_algebra(name: Any, names: Any = tuple(NAMES)) -> str:
    """Return the name of an algebra, or raise an `InputError` if it is neither "auto" nor one of the names."""
    if name != "auto" and name not in names:
        choices = ", ".join(repr(choice) for choice in names)
        raise InputError(f"the algebra is {name!r}, 'auto' or one of {choices} is expected")
    return str(name)
