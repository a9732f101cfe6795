"""The potential at one time of a reparametrised flow with weight decay, for maps that are quadratic in theta."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.arrays import real_number
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._fields import outputs_of
from implicitbias.parametrizations._from_function import as_parametrization
from implicitbias.parametrizations._induced_potential import induced_potential
from implicitbias.potentials import Potential

# The number of points at which the degree is tested, and the relative error that rounding is allowed to make.
_POINTS, _ROUNDING = 8, 1e-9
# The largest product of weight decay and time; with a larger one, the start would leave float64.
_LONGEST = 300.0


def decayed_potential(G: Any, theta0: Any, weight_decay: Any, time: Any) -> Potential:
    r"""Return the potential $R_t$ of w = G(theta) after some time of gradient flow with weight decay.

    For the flow of $L(G(\theta)) + \frac\lambda2 \lVert \theta \rVert^2$ from $\theta_0$, weight decay shrinks the
    start. If the gradients of the entries of G commute, and G is homogeneous of degree 2, then for every loss

    $\theta_t = e^{-\lambda t} \, \psi(\theta_0; \mu_t)$ with $\mu_t = -\int_0^t \nabla L(w_s) \, ds$,

    because the field $-\lambda \theta$ commutes with the fields $\nabla G_i$ of degree 1. Hence
    $\nabla R_t(w_t) = \mu_t$ for the potential $R_t$ that G induces from the start $e^{-\lambda t} \theta_0$. For
    u * v it is a hyperbolic entropy of the scale $a_0 e^{-2 \lambda t}$. On a linear problem $\nabla R_t(w_t)$ is at
    all times a combination of the rows of X.

    For G of another degree p the field $\nabla R_t(w_t)$ decays or grows by itself, with
    $\frac{d}{dt} \nabla R_t(w_t) = (p - 2) \lambda \nabla R_t(w_t) - \nabla L(w_t)$. Such maps are refused, because
    this is no mirror flow.

    Args:
        G: a parametrization, or a function of theta written with `jax.numpy` that returns one array w.
        theta0: the start, a pytree of arrays.
        weight_decay: the number $\lambda \ge 0$, as in `ib.GradientFlow(problem, weight_decay=...)`.
        time: the time t >= 0 of this flow.

    Returns:
        The potential, with the mirror map 0 at $e^{-2 \lambda t} G(\theta_0)$.

    Raises:
        InputError: G is not homogeneous of degree 2, or induces no potential from theta0; the weight decay or the time
            is not a finite number >= 0, or their product exceeds 300.

    Reference:
        jacobs2025mirror.

    Examples:
        >>> import implicitbias as ib
        >>> R = ib.decayed_potential(ib.HadamardProduct(), ([2.0], [0.0]), weight_decay=0.5, time=1.0)
        >>> round(float(R.log_scale[0] - ib.HyperbolicEntropy(2.0).log_scale), 9)
        -1.0
    """
    G = as_parametrization(G)
    theta0 = G.checked(theta0, "theta0")
    exponent = _checked(weight_decay, "weight_decay") * _checked(time, "time")
    if exponent > _LONGEST:
        raise InputError(
            f"weight_decay * time is {exponent:g}, at most {_LONGEST:g} is expected, because the start "
            "e^(-weight_decay * time) theta0 leaves float64; use a shorter time, or for u * v "
            "ib.HyperbolicEntropy(log_scale=...)"
        )
    _refuse_other_degrees(G, theta0)
    shrunk = jax.tree.map(
        lambda part: np.exp(-exponent) * part if eqx.is_inexact_array(part) else part, theta0
    )
    return induced_potential(G, shrunk)


def _refuse_other_degrees(G: Any, theta0: Any) -> None:
    """Raise an `InputError` if Euler's identity J theta = 2 G of degree 2 fails at theta0 or at points around it."""
    outputs, flat = outputs_of(G, theta0)
    size = float(np.max(np.abs(flat), initial=0.0)) or 1.0
    moves = np.random.default_rng(0).standard_normal((_POINTS, len(flat)))
    with double_precision():
        for move in (0.0, *moves):
            at = jnp.asarray(flat + size * move)
            w, slope = (np.asarray(part) for part in jax.jvp(outputs, (at,), (at,)))
            wrong = np.abs(slope - 2.0 * w)
            if not np.all(wrong <= _ROUNDING * (np.max(np.abs(w)) + np.max(np.abs(slope)))):
                i = int(np.argmax(wrong))
                raise InputError(
                    f"{G!r} is not homogeneous of degree 2 in theta: at theta = {np.round(np.asarray(at), 4).tolist()} "
                    f"<grad G_{i}, theta> is {slope[i]:.6g}, {2.0 * w[i]:.6g} is expected; with weight decay its flow "
                    "is no mirror flow of a changing potential: integrate theta itself by "
                    "ib.GradientFlow(problem.reparametrize(G), weight_decay=...)"
                )


def _checked(value: Any, name: str) -> float:
    """Return a finite number >= 0, or raise an `InputError`."""
    number = real_number(value)
    if number is None or not 0.0 <= number < np.inf:
        raise InputError(f"{name} is {value!r}, a finite number >= 0 is expected; type {name}=0.01")
    return number
