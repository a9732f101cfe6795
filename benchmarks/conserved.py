"""Numbers of conservation laws of random networks: `ib.conserved_quantities` against the known rules for them.

The networks are drawn as in the test of the authors of arXiv 2307.00144: 50 linear networks of 2 to 4 matrices with
sizes uniform in 2 to 5, and 50 ReLU networks of 2 to 4 matrices with sizes uniform in 2 to 9, half of them with hidden
biases. The authors report 41 s and 136 s for one network, on 64 cores. Compilation is included: the persistent cache
of compiled programs is switched off.
"""

import itertools
import os
import sys
import time
from typing import Any, NamedTuple

import jax
import numpy as np

import implicitbias as ib
from benchmarks._measure import machine

NETWORKS = 50
# Seconds for one network in the paper's repository, on 64 cores.
LINEAR_SECONDS, RELU_SECONDS = 41.0, 136.0


class Drawn(NamedTuple):
    """A network: its parameters, what conserves the laws, and the number of laws by the known rule."""

    theta: Any
    G: Any
    rule: int


def linear(theta: Any) -> jax.Array:
    product = theta[0]
    for matrix in theta[1:]:
        product = product @ matrix
    return product


def relu(theta: Any, X: Any) -> jax.Array:
    *hidden, last = theta
    for layer in hidden:
        X = jax.nn.relu(X @ layer["W"] + layer.get("b", 0.0))
    return X @ last["W"]


def matrices(rng: np.random.Generator, most: int) -> list[np.ndarray]:
    sizes = rng.integers(2, most + 1, size=rng.integers(2, 5) + 1)
    return [rng.standard_normal(shape) for shape in itertools.pairwise(sizes)]


def linear_rule(theta: list[np.ndarray]) -> int:
    """Return the rank of the gradients of the entries of U_i^T U_i - U_{i+1} U_{i+1}^T at a random point."""
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


def linear_network(rng: np.random.Generator) -> Drawn:
    theta = matrices(rng, 5)
    return Drawn(theta, linear, linear_rule(theta))


def relu_network(rng: np.random.Generator) -> Drawn:
    """Return a network and random inputs; its rule is one law for each hidden unit."""
    layers: list[Any] = [{"W": matrix} for matrix in matrices(rng, 9)]
    if rng.random() < 0.5:
        for layer in layers[:-1]:
            layer["b"] = rng.standard_normal(layer["W"].shape[1])
    size = sum(leaf.size for leaf in jax.tree.leaves(layers))
    X = rng.standard_normal((3 * size, len(layers[0]["W"])))
    problem = ib.Problem(relu, X, np.zeros((len(X), layers[-1]["W"].shape[1])))
    return Drawn(layers, problem, sum(layer["W"].shape[1] for layer in layers[:-1]))


def compare(name: str, draw: Any, paper_seconds: float, networks: int) -> None:
    rng = np.random.default_rng(0)
    seconds, cpu, equal, complete = [], [], 0, 0
    for _ in range(networks):
        network = draw(rng)
        jax.clear_caches()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        found = ib.conserved_quantities(network.G, network.theta)
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
        equal += found.count == network.rule
        complete += found.complete
        if found.count != network.rule:
            print(
                f"  {[leaf.shape for leaf in jax.tree.leaves(network.theta)]}: {found.count}, rule {network.rule}"
            )
    print(
        f"{name}: {equal} of {networks} counts equal the rule, and the laws are complete for {complete} networks"
    )
    for words, ours in (("seconds", seconds), ("seconds of the processor", cpu)):
        ratio = paper_seconds / np.mean(ours)
        print(
            f"  {words}: mean {np.mean(ours):.2f}, largest {np.max(ours):.2f}; {ratio:.0f} x faster than the paper"
        )


def main() -> None:
    """Count the laws of all networks, and print equal counts and seconds."""
    os.environ["IMPLICITBIAS_COMPILE_CACHE"] = "off"
    print(machine())
    networks = int(sys.argv[1]) if len(sys.argv) > 1 else NETWORKS
    compare("linear", linear_network, LINEAR_SECONDS, networks)
    compare("ReLU", relu_network, RELU_SECONDS, networks)


if __name__ == "__main__":
    main()
