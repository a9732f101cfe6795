"""Jump times from tiny starts, converged nets to very late times, and the error of the final state against rtol.

References are SciPy's LSODA with the exact compiled Jacobian and a relative tolerance of 1e-11.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import implicitbias as ib
from benchmarks._measure import RESULTS, machine

SCALES = (1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-16, 1e-30)
# The shares of the fall of the loss at which jump times are read.
LEVELS = (0.5, 0.15, 0.02)
ENDS = (1e4, 1e8, 1e300)
TOLERANCES = (1e-3, 1e-4, 1e-5)
# The seeds of the networks of three linear layers.
SEEDS = (0, 1, 2, 3)


def linear(params: Any, X: Any) -> Any:
    for leaf in params:
        X = X @ leaf
    return X


def tanh(params: Any, X: Any) -> Any:
    return jnp.tanh(X @ params[0]) @ params[1]


def two_layers(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def model(params: Any, X: Any) -> Any:
        W, b, a = params
        return activation(X @ W + b) @ a

    return model


def attention(params: Any, X: Any) -> Any:
    Q, K, V, o = params
    scores = jnp.einsum("nid,njd->nij", X @ Q, X @ K) / np.sqrt(Q.shape[1])
    return jnp.einsum("nij,njd->nid", jax.nn.softmax(scores, axis=-1), X @ V).mean(axis=1) @ o


class Work(NamedTuple):
    """A problem, a start, a weight decay and an end time."""

    problem: ib.Problem
    start: tuple[np.ndarray, ...]
    weight_decay: float
    end: float


def models() -> dict[str, Work]:
    """Return networks with unlike activations, losses and depths."""
    rng = np.random.default_rng(1)
    draw = rng.standard_normal
    X, y = draw((12, 4)), draw(12)
    found = {}
    for name, activation in (
        ("gelu", jax.nn.gelu),
        ("softplus", jax.nn.softplus),
        ("tanh", jnp.tanh),
        ("square", jnp.square),
    ):
        start = (draw((4, 12)), draw(12) / 2, draw(12) / 3)
        found[name] = Work(ib.Problem(two_layers(activation), X, y), start, 1e-3, 3e3)
    start = tuple(draw(shape) for shape in ((3, 4), (3, 4), (3, 4), (4,)))
    found["attention"] = Work(ib.Problem(attention, draw((10, 4, 3)), draw(10)), start, 1e-3, 3e3)
    Xc, classes = draw((15, 4)), rng.integers(0, 3, 15)
    classifier = ib.Problem(two_layers(jnp.tanh), Xc, classes, loss="cross_entropy")
    start = (draw((4, 8)), draw(8) / 2, draw((8, 3)) / 3)
    found["cross-entropy"] = Work(classifier, start, 1e-3, 3e3)
    found["cross-entropy, no decay"] = Work(classifier, start, 0.0, 1e3)
    Xl = draw((20, 5))
    deep = ib.Problem(linear, Xl, Xl @ draw((5, 3)) + 0.1 * draw((20, 3)))
    start = (0.3 * draw((5, 6)), 0.3 * draw((6, 6)), 0.3 * draw((6, 3)))
    found["three linear layers"] = Work(deep, start, 1e-2, 1e3)
    return found


def deep_net(seed: int) -> tuple[ib.Problem, tuple[np.ndarray, ...]]:
    """Return a network of three linear layers with modes of the sizes 3, 1.5 and 0.6, and a start of scale 1."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 5))
    left, _, right = np.linalg.svd(rng.standard_normal((5, 3)), full_matrices=False)
    start = tuple(rng.standard_normal(shape) for shape in ((5, 6), (6, 6), (6, 3)))
    return ib.Problem(linear, X, X @ (left * [3.0, 1.5, 0.6]) @ right), start


def small_nets() -> dict[str, tuple[ib.Problem, tuple[np.ndarray, ...], float]]:
    """Return networks for tiny starts: a problem, a start of scale 1, and the rate of the slowest growth."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5))
    left, _, right = np.linalg.svd(rng.standard_normal((5, 3)), full_matrices=False)
    pair = (rng.standard_normal((5, 8)), rng.standard_normal((8, 3)))
    rng = np.random.default_rng(0)
    inputs, y = rng.standard_normal((12, 4)), rng.standard_normal(12)
    net = (rng.standard_normal((4, 8)), rng.standard_normal(8))
    return {
        "linear 5-8-3": (ib.Problem(linear, X, X @ (left * [2.0, 1.0, 0.5]) @ right), pair, 0.45),
        "tanh 4-8-1": (ib.Problem(tanh, inputs, y), net, 0.35),
    }


def flat(params: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def reference(work: Work) -> Any:
    """Return a dense solution of SciPy's LSODA."""
    with jax.enable_x64(True):
        objective = work.problem.double_objective
        u, unravel = ravel_pytree(jax.tree.map(jnp.asarray, work.start))

        def loss(u: Any) -> Any:
            decay = work.weight_decay / 2 * jnp.sum(u**2)
            return objective.mean_loss.value(objective.readout(unravel(u))) + decay

        slope, hessian = jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss))
        return solve_ivp(
            lambda _, u: -np.asarray(slope(u)),
            (0.0, work.end),
            np.asarray(u),
            method="LSODA",
            jac=lambda _, u: -np.asarray(hessian(u)),
            rtol=1e-11,
            atol=1e-14 * float(np.max(np.abs(u))),
            dense_output=True,
        ).sol


def crossings(loss: Callable[[float], float], end: float, levels: np.ndarray) -> np.ndarray:
    return np.array([brentq(lambda t, level=level: loss(t) - level, 0.0, end) for level in levels])


def jump_errors(work: Work, tolerances: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return the relative errors of the jump times over rtol, and the numbers of steps, for each tolerance."""
    solution, shape = reference(work), work.problem.checked_params(work.start)[0]

    def exact(t: float) -> float:
        return float(work.problem.loss(shape.numpy_tree(solution(t))))

    levels = exact(work.end) + np.array(LEVELS) * (exact(0.0) - exact(work.end))
    expected = crossings(exact, work.end, levels)
    found = []
    for rtol in tolerances:
        trajectory = ib.simulate(ib.GradientFlow(work.problem), work.start, t1=work.end, rtol=rtol)

        def ours(t: float, trajectory: Any = trajectory) -> float:
            return float(work.problem.loss(trajectory.state(t)))

        errors = ((crossings(ours, work.end, levels) / expected - 1) / rtol).round(2).tolist()
        found.append(
            {
                "rtol": rtol,
                "steps": trajectory.stats.steps,
                "errors over rtol": errors,
                "notes": trajectory.notes,
            }
        )
    return found


def tiny_starts() -> list[dict[str, Any]]:
    rows = []
    for name, (problem, unit, rate) in small_nets().items():
        for scale in SCALES:
            start = tuple(scale * leaf for leaf in unit)
            work = Work(problem, start, 0.0, 4 * np.log(1 / scale) / rate + 60)
            rows.append({"net": name, "scale": scale, **jump_errors(work, (1e-4,))[0]})
            print(rows[-1], flush=True)
    return rows


def deep_starts() -> list[dict[str, Any]]:
    """Return the errors of the jumps of three linear layers, whose third mode is small and slow at first."""
    rows = []
    for seed in SEEDS:
        for scale in (1e-3, 1e-6):
            problem, unit = deep_net(seed)
            work = Work(problem, tuple(scale * leaf for leaf in unit), 0.0, 2.2 / scale)
            for row in jump_errors(work, (*TOLERANCES, 1e-6)):
                rows.append({"net": "linear 5-6-6-3", "seed": seed, "scale": scale, **row})
                print(rows[-1], flush=True)
    return rows


def rest() -> list[dict[str, Any]]:
    rows = []
    for name, work in models().items():
        if work.weight_decay == 0.0:
            continue
        for end in ENDS:
            tick = time.perf_counter()
            trajectory = ib.simulate(ib.GradientFlow(work.problem, work.weight_decay), work.start, t1=end)
            seconds = time.perf_counter() - tick
            rows.append({"net": name, "end": end, "steps": trajectory.stats.steps, "seconds": seconds})
            print(rows[-1], trajectory.status.name, flush=True)
    return rows


def final_errors() -> list[dict[str, Any]]:
    rows = []
    for name, work in models().items():
        expected = reference(work)(work.end)
        row: dict[str, Any] = {"net": name}
        for rtol in TOLERANCES:
            flow = ib.GradientFlow(work.problem, work.weight_decay)
            trajectory = ib.simulate(flow, work.start, t1=work.end, rtol=rtol)
            error = np.linalg.norm(flat(trajectory.final) - expected) / np.linalg.norm(expected)
            row[str(rtol)] = {
                "steps": trajectory.stats.steps,
                "error over rtol": round(float(error) / rtol, 2),
            }
        rows.append(row)
        print(row, flush=True)
    return rows


def main() -> None:
    print(f"\nstarts_and_rest  ({machine()})")
    data = {
        "machine": machine(),
        "deep": deep_starts(),
        "starts": tiny_starts(),
        "final": final_errors(),
        "rest": rest(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "starts_and_rest.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
