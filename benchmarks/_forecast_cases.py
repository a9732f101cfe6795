"""The distribution of training runs on which forecasts of grokking are calibrated, and runs that should not grok.

`drawn(seed)` draws the family, the activation, the width, the loss, the scale of the start, the weight decay and the
learning rate; `negative(seed, kind)` draws a run in which one thing is wrong. The same seed gives the same run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from numpy import ndarray
from numpy.random import Generator
from sklearn.datasets import load_digits

import implicitbias as ib

# The largest number of steps to lam t = 10; runs that need more are drawn again.
MOST_STEPS = 400_000
SLOW = 10.0
KINDS = (
    "weight decay above the gap",
    "more rows than parameters",
    "random labels",
    "small start",
    "rank drop",
    "large rate",
    "adam",
)


class Case(NamedTuple):
    """One training run: the problem, the test rows, the start, and how it is trained.

    `words` describes it, and `sharpness` is the largest absolute eigenvalue of the Hessian of the loss at the start.
    """

    problem: ib.Problem
    test: tuple[ndarray, ndarray]
    start: Any
    weight_decay: float
    learning_rate: float
    optimizer: str
    sharpness: float
    words: dict[str, Any]


class Data(NamedTuple):
    """Training and test rows, and the start at the scale 1."""

    model: Callable[[Any, Any], Any]
    loss: str
    train: tuple[ndarray, ndarray]
    test: tuple[ndarray, ndarray]
    start: Any
    words: dict[str, Any]


def tanh_net(params: Any, X: Any) -> Any:
    return jnp.tanh(X @ params["W"]) @ params["a"]


def softplus_net(params: Any, X: Any) -> Any:
    return jax.nn.softplus(X @ params["W"]) @ params["a"]


def gelu_net(params: Any, X: Any) -> Any:
    return jax.nn.gelu(X @ params["W"]) @ params["a"]


def quadratic_net(params: Any, X: Any) -> Any:
    return (X @ params["W"]) ** 2 @ params["a"]


def diagonal_net(params: Any, X: Any) -> Any:
    return X @ (params["u"] * params["v"])


def linear_model(params: Any, X: Any) -> Any:
    return X @ params["w"]


def factor_model(params: Any, X: Any) -> Any:
    return X @ jnp.ravel(params["U"] @ params["V"].T)


NETS = {"tanh": tanh_net, "softplus": softplus_net, "gelu": gelu_net}


def _net(rng: Generator, inputs: int, width: int, outputs: tuple[int, ...] = ()) -> Any:
    W = rng.standard_normal((inputs, width)) / np.sqrt(inputs)
    return {"W": W, "a": rng.standard_normal((width, *outputs)) / np.sqrt(width)}


def _chosen(rng: Generator) -> tuple[str, int]:
    return str(rng.choice(list(NETS))), int(rng.choice([16, 32]))


def signs(rng: Generator) -> Data:
    """Return the sign of a random direction of 12 inputs."""
    (name, width), direction = _chosen(rng), rng.standard_normal(12)
    X = rng.standard_normal((340, 12))
    y, loss = np.sign(X @ direction), str(rng.choice(["squared", "squared", "logistic"]))
    words = {"family": "signs", "activation": name, "width": width, "loss": loss}
    return Data(NETS[name], loss, (X[:40], y[:40]), (X[40:], y[40:]), _net(rng, 12, width), words)


def teacher(rng: Generator) -> Data:
    """Return a regression on the sum of three softplus units."""
    name, width = _chosen(rng)
    X, units = rng.standard_normal((330, 8)), rng.standard_normal((8, 3))
    y = np.logaddexp(0.0, X @ units).sum(axis=1)
    y = (y - y[:30].mean()) / y[:30].std()
    words = {"family": "teacher", "activation": name, "width": width, "loss": "squared"}
    return Data(NETS[name], "squared", (X[:30], y[:30]), (X[30:], y[30:]), _net(rng, 8, width), words)


def parity(rng: Generator) -> Data:
    """Return images of digits, with the target 1 for even and -1 for odd digits."""
    name, width = str(rng.choice(list(NETS))), 10
    images, labels = load_digits(return_X_y=True)
    rows = rng.permutation(len(images))[:350]
    X, y = images[rows] / 16.0, np.where(labels[rows] % 2 == 0, 1.0, -1.0)
    words = {"family": "parity of digits", "activation": name, "width": width, "loss": "squared"}
    return Data(NETS[name], "squared", (X[:50], y[:50]), (X[50:], y[50:]), _net(rng, 64, width), words)


def modular(rng: Generator) -> Data:
    """Return addition mod 7 with a quadratic network, one-hot inputs and targets."""
    base, width = 7, 24
    a, b = np.divmod(rng.permutation(base**2), base)
    X = np.concatenate([np.eye(base)[a], np.eye(base)[b]], axis=1)
    y = np.eye(base)[(a + b) % base]
    words = {"family": "addition mod 7", "activation": "square", "width": width, "loss": "squared"}
    start = _net(rng, 2 * base, width, (base,))
    return Data(quadratic_net, "squared", (X[:36], y[:36]), (X[36:], y[36:]), start, words)


def diagonal(rng: Generator) -> Data:
    """Return a sparse linear regression with the network u * v."""
    X, truth = rng.standard_normal((220, 40)), np.zeros(40)
    truth[:3] = rng.choice([-1.0, 1.0], size=3) * rng.uniform(0.5, 1.5, size=3)
    start = {"u": 0.5 * rng.standard_normal(40), "v": 0.5 * rng.standard_normal(40)}
    words = {"family": "diagonal network", "activation": "none", "width": 40, "loss": "squared"}
    y = X @ truth
    return Data(diagonal_net, "squared", (X[:20], y[:20]), (X[20:], y[20:]), start, words)


def linear(rng: Generator) -> Data:
    """Return a linear regression with fewer rows than features."""
    X, truth = rng.standard_normal((220, 40)), 0.3 * rng.standard_normal(40)
    words = {"family": "linear regression", "activation": "none", "width": 40, "loss": "squared"}
    y, start = X @ truth, {"w": rng.standard_normal(40)}
    return Data(linear_model, "squared", (X[:20], y[:20]), (X[20:], y[20:]), start, words)


def completion(rng: Generator) -> Data:
    """Return the completion of an 8 x 8 matrix of rank 1 from 36 entries."""
    matrix = np.outer(rng.standard_normal(8), rng.standard_normal(8))
    entries = rng.permutation(64)
    X, y = np.eye(64)[entries], matrix.ravel()[entries]
    start = {"U": 0.5 * rng.standard_normal((8, 8)), "V": 0.5 * rng.standard_normal((8, 8))}
    words = {"family": "matrix completion", "activation": "none", "width": 8, "loss": "squared"}
    return Data(factor_model, "squared", (X[:36], y[:36]), (X[36:], y[36:]), start, words)


# Three families of networks with hidden units are twice as likely as the others.
NETWORKS = (signs, teacher, parity)
FAMILIES = (signs, signs, teacher, teacher, parity, parity, modular, diagonal, linear, completion)


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def sharpness_of(data: Data, start: Any) -> float:
    """Return the largest absolute eigenvalue of the Hessian of the loss, by 300 steps of the power method."""
    X, y = (jnp.asarray(part) for part in data.train)
    with jax.enable_x64(True):
        flat, unflat = jax.flatten_util.ravel_pytree(jax.tree.map(jnp.asarray, start))

        def loss(u: jax.Array) -> jax.Array:
            outputs = data.model(unflat(u), X)
            if data.loss == "logistic":
                return jnp.mean(jax.nn.softplus(-y * outputs))
            return jnp.sum((outputs - y) ** 2) / (2 * len(X))

        product = jax.jit(lambda v: jax.jvp(jax.grad(loss), (flat,), (v,))[1])
        vector = np.random.default_rng(0).standard_normal(len(flat))
        for _ in range(300):
            vector = np.asarray(product(vector / np.linalg.norm(vector)))
    return float(np.linalg.norm(vector))


def _case(
    seed: Any, data: Data, scale: float, lam: float, share: float, optimizer: str = "gradient_descent"
) -> Case:
    """Return a run whose learning rate is a share of 1 / sharpness at the start."""
    start = jax.tree.map(lambda leaf: scale * leaf, data.start)
    sharpness = sharpness_of(data, start)
    rate = float(f"{share / sharpness:.3g}")
    size = sum(leaf.size for leaf in jax.tree.leaves(start))
    words = {
        "seed": seed, **data.words, "rows": len(data.train[0]), "test_rows": len(data.test[0]), "parameters": size,
        "scale": scale, "weight_decay": lam, "learning_rate": rate,
    }  # fmt: skip
    problem = ib.Problem(data.model, *data.train, data.loss)
    return Case(problem, data.test, start, lam, rate, optimizer, sharpness, words)


def _usual(rng: Generator) -> tuple[float, float, float]:
    """Return the scale of the start, the weight decay, and the learning rate times the sharpness at the start."""
    return _log_uniform(rng, 3.0, 6.0), _log_uniform(rng, 3e-4, 5e-3), _log_uniform(rng, 0.2, 1.0)


def drawn(seed: int, families: tuple[Callable[[Generator], Data], ...] = FAMILIES) -> Case:
    """Return a run of the distribution.

    The family is drawn from `families`, and the activation and the width (16 or 32) uniformly; a third of the runs on
    signs have the logistic loss. The scale of the start is log-uniform in [3, 6], the weight decay in [3e-4, 5e-3], and
    the learning rate in [0.2, 1] / sharpness at the start. Runs that need more than 400 000 steps to lam t = 10 are
    drawn again from the same family.
    """
    rng = np.random.default_rng([seed, 0])
    family = families[rng.integers(len(families))]
    while True:
        data = family(rng)
        scale, lam, share = _usual(rng)
        case = _case(seed, data, scale, lam, share)
        if SLOW / (lam * case.learning_rate) <= MOST_STEPS:
            return case


def negative(seed: int, kind: str) -> Case:
    """Return a run of the distribution in which one thing is wrong."""
    rng = np.random.default_rng([seed, 1 + KINDS.index(kind)])
    family = FAMILIES[rng.integers(len(FAMILIES))]
    if kind == "rank drop":  # The rank of the Jacobian falls with the number of features in use.
        family = (diagonal, completion)[rng.integers(2)]
    while True:
        data = _overdetermined(rng) if kind == "more rows than parameters" else family(rng)
        scale, lam, share = _usual(rng)
        if kind == "weight decay above the gap":
            lam = _log_uniform(rng, 0.1, 1.0)
        if kind == "random labels":
            train, test = ((X, rng.permutation(y)) for X, y in (data.train, data.test))
            data = data._replace(train=train, test=test)
        if kind == "small start":
            scale = _log_uniform(rng, 0.05, 0.3)
        if kind == "large rate":
            scale, share = _log_uniform(rng, 0.5, 2.0), _log_uniform(rng, 2.2, 6.0)
        case = _case(seed, data, scale, lam, share, "adam" if kind == "adam" else "gradient_descent")
        if kind == "adam":
            rate = float(f"{_log_uniform(rng, 1e-3, 1e-2):.3g}")
            case = case._replace(learning_rate=rate, words={**case.words, "learning_rate": rate})
        if SLOW / (lam * case.learning_rate) <= MOST_STEPS:
            return case._replace(words={"kind": kind, **case.words})


def _overdetermined(rng: Generator) -> Data:
    """Return noisy targets of more rows than parameters: a linear model, or a network of two units."""
    X, truth = rng.standard_normal((340, 8)), rng.standard_normal(8)
    y = X @ truth + rng.standard_normal(340)
    words: dict[str, Any] = {"family": "noisy regression", "loss": "squared"}
    if rng.integers(2):
        start, model, more = {"w": rng.standard_normal(8)}, linear_model, {"activation": "none", "width": 8}
    else:
        start, model, more = _net(rng, 8, 2), tanh_net, {"activation": "tanh", "width": 2}
    return Data(model, "squared", (X[:40], y[:40]), (X[40:], y[40:]), start, words | more)
