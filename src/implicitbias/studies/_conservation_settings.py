"""Networks of the study of conservation laws, and the known numbers of their laws."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.problems import Problem

# The number of rows of random inputs that stand for all inputs, for each parameter.
_ROWS = 3


class Network(NamedTuple):
    """A network.

    Attributes:
        name: its kind and its sizes.
        theta: the parameters.
        G: the map or the problem whose conserved quantities are counted.
        rule: the number of laws that is known from theory.
    """

    name: str
    theta: Any
    G: Any
    rule: int


def linear(theta: Any) -> jax.Array:
    """Return the product of the matrices."""
    product = theta[0]
    for matrix in theta[1:]:
        product = product @ matrix
    return product


def relu(theta: Any, X: Any) -> jax.Array:
    """Return the predictions of a network of ReLUs, with biases in the hidden layers that have them."""
    *hidden, last = theta
    for layer in hidden:
        X = jax.nn.relu(X @ layer["W"] + layer.get("b", 0.0))
    return X @ last["W"]


def smooth(theta: Any, X: Any) -> jax.Array:
    """Return the predictions of the same network with the activation tanh, which is not homogeneous."""
    *hidden, last = theta
    for layer in hidden:
        X = jnp.tanh(X @ layer["W"] + layer.get("b", 0.0))
    return X @ last["W"]


def matrices(rng: np.random.Generator, sizes: Any) -> list[ndarray]:
    """Return random matrices between layers of these sizes."""
    return [rng.standard_normal(shape) for shape in itertools.pairwise(sizes)]


def layers(rng: np.random.Generator, sizes: Any) -> list[dict[str, ndarray]]:
    """Return random layers of these sizes without biases."""
    return [{"W": matrix} for matrix in matrices(rng, sizes)]


def with_biases(rng: np.random.Generator, theta: list[dict[str, ndarray]]) -> list[dict[str, ndarray]]:
    """Return the same layers with random biases in the hidden ones."""
    hidden = [
        {"W": layer["W"], "b": np.asarray(rng.standard_normal(layer["W"].shape[1]))} for layer in theta[:-1]
    ]
    return [*hidden, theta[-1]]


def linear_rule(theta: list[Float64[ndarray, "_ _"]]) -> int:
    """Return the rank of the gradients of the entries of U_i^T U_i - U_{i+1} U_{i+1}^T, at generic matrices U_i."""
    rows = []
    places = np.cumsum([0, *(matrix.size for matrix in theta)])
    for i, (one, two) in enumerate(itertools.pairwise(theta)):
        for j, k in itertools.combinations_with_replacement(range(one.shape[1]), 2):
            left, right = np.zeros_like(one), np.zeros_like(two)
            left[:, j] += one[:, k]
            left[:, k] += one[:, j]
            right[j] -= two[k]
            right[k] -= two[j]
            row = np.zeros(places[-1])
            row[places[i] : places[i + 2]] = np.concatenate([left.ravel(), right.ravel()])
            rows.append(row)
    return int(np.linalg.matrix_rank(np.array(rows), rtol=1e-9))


def linear_network(rng: np.random.Generator, sizes: Any) -> Network:
    """Return a product of random matrices, all of whose laws are differences of neighbouring Gram matrices."""
    theta = matrices(rng, sizes)
    return Network(f"linear {_named(sizes)}", theta, linear, linear_rule(theta))


def relu_network(rng: np.random.Generator, theta: list[dict[str, ndarray]]) -> Network:
    """Return a network of ReLUs on random inputs, which has one law for each hidden unit."""
    units = [layer["W"].shape[1] for layer in theta[:-1]]
    kind = "ReLU with biases" if "b" in theta[0] else "ReLU"
    sizes = [len(theta[0]["W"]), *units, theta[-1]["W"].shape[1]]
    return Network(f"{kind} {_named(sizes)}", theta, on_random_rows(relu, theta, rng), sum(units))


def smooth_network(rng: np.random.Generator, sizes: Any) -> Network:
    """Return a random network with biases and the activation tanh, which has no law."""
    theta = with_biases(rng, layers(rng, sizes))
    return Network(f"tanh with biases {_named(sizes)}", theta, on_random_rows(smooth, theta, rng), 0)


def on_random_rows(model: Any, theta: Any, rng: np.random.Generator) -> Problem:
    """Return the model on random inputs, more than it has parameters."""
    size = sum(leaf.size for leaf in jax.tree.leaves(theta))
    X = rng.standard_normal((_ROWS * size, len(theta[0]["W"])))
    return Problem(model, X, np.zeros((len(X), theta[-1]["W"].shape[1])))


def drawn_linear(rng: np.random.Generator) -> Network:
    """Return a linear network of 2 to 4 matrices with sizes from 2 to 5, as in arXiv 2307.00144."""
    return linear_network(rng, rng.integers(2, 6, size=rng.integers(2, 5) + 1))


def drawn_relu(rng: np.random.Generator) -> Network:
    """Return a ReLU network of 2 to 4 matrices with sizes from 2 to 9, as in arXiv 2307.00144; half have biases."""
    theta = layers(rng, rng.integers(2, 10, size=rng.integers(2, 5) + 1))
    return relu_network(rng, with_biases(rng, theta) if rng.random() < 0.5 else theta)


def _named(sizes: Any) -> str:
    return "-".join(str(int(size)) for size in sizes)
