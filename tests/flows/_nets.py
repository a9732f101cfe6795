"""Small networks, losses and high-precision references that share no code with the library's flows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib

N, D, WIDTH = 6, 3, 4
_rng = np.random.default_rng(0)
X = _rng.standard_normal((N, D))
Y = _rng.standard_normal(N)
MANY = _rng.standard_normal((N, 2))
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
CLASSES = np.array([0, 1, 2, 0, 1, 2])


def softplus_net(params: Any, X: Any) -> Any:
    W, b, a = params
    return jax.nn.softplus(X @ W + b) @ a


def tanh_net(params: Any, X: Any) -> Any:
    return jnp.tanh(X @ params["W"] + params["b"]) @ params["a"]


class Cauchy(ib.Loss):
    """A loss that is not convex."""

    def value(self, prediction: Any, target: Any) -> Any:
        return jnp.sum(jnp.log1p((prediction - target) ** 2))


class LogCosh(ib.Loss):
    """A convex loss."""

    def value(self, prediction: Any, target: Any) -> Any:
        return jnp.sum(jnp.log(jnp.cosh(prediction - target)))


def pair_start(outputs: int | None = None, seed: int = 1) -> tuple[ndarray, ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    last = (WIDTH,) if outputs is None else (WIDTH, outputs)
    return rng.standard_normal((D, WIDTH)), rng.standard_normal(WIDTH), rng.standard_normal(last)


def dict_start(outputs: int | None = None, seed: int = 1) -> dict[str, ndarray]:
    return dict(zip("Wba", pair_start(outputs, seed), strict=True))


class Case(NamedTuple):
    """A model, targets, the loss as the library names it and as the reference writes it, over all rows."""

    model: Callable[[Any, Any], Any]
    start: Any
    y: ndarray
    loss: Any
    losses: Callable[[Any, Any], Any]

    def problem(self) -> ib.Problem:
        return ib.Problem(self.model, X, self.y, self.loss)


CASES = {
    "squared": Case(softplus_net, pair_start(), Y, "squared", lambda f, y: (f - y) ** 2 / 2),
    "squared, two outputs": Case(
        tanh_net, dict_start(2), MANY, "squared", lambda f, y: jnp.sum((f - y) ** 2, axis=1) / 2
    ),
    "logistic": Case(softplus_net, pair_start(), SIGNS, "logistic", lambda f, y: jnp.log1p(jnp.exp(-y * f))),
    "exponential": Case(softplus_net, pair_start(), SIGNS, "exponential", lambda f, y: jnp.exp(-y * f)),
    "three classes": Case(
        tanh_net,
        dict_start(3),
        CLASSES,
        "cross_entropy",
        lambda f, y: jnp.log(jnp.sum(jnp.exp(f), axis=1)) - f[jnp.arange(N), y],
    ),
    "not convex": Case(softplus_net, pair_start(), Y, Cauchy(), lambda f, y: jnp.log1p((f - y) ** 2)),
    "convex": Case(softplus_net, pair_start(), Y, LogCosh(), lambda f, y: jnp.log(jnp.cosh(f - y))),
}


def flat_rows(states: Any, count: int) -> ndarray:
    """Return the leaves of states with a leading axis as rows (count, size), in JAX's order."""
    return np.concatenate([np.reshape(leaf, (count, -1)) for leaf in jax.tree.leaves(states)], axis=1)


def reference(
    model: Callable[[Any, Any], Any],
    start: Any,
    losses: Callable[[Any], Any],
    weight_decay: float,
    times: ndarray,
    inputs: ndarray = X,
) -> ndarray:
    """Return the flat parameters (m, size) at the times, computed by SciPy's DOP853 with rtol 1e-12."""
    with jax.enable_x64(True):
        flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, start))
        slope = jax.jit(jax.grad(lambda point: jnp.mean(losses(model(unravel(point), inputs)))))
        answer = solve_ivp(
            lambda _, u: -np.asarray(slope(u)) - weight_decay * u,
            (0.0, times[-1]),
            np.asarray(flat),
            method="DOP853",
            rtol=1e-12,
            atol=1e-14,
            t_eval=times,
        )
    assert answer.success
    return answer.y.T


def case_reference(case: Case, weight_decay: float, times: ndarray) -> ndarray:
    return reference(case.model, case.start, lambda f: case.losses(f, case.y), weight_decay, times)
