"""The order of `GaussNewtonRosenbrock` as a function of h lam: constant steps in the slow phase of a small network."""

import json
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import RESULTS, machine

DECAYS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
STEPS = (5, 10, 20, 40, 80)


def model(params: Any, X: Any) -> Any:
    W, b, a = params
    return jnp.tanh(X @ W + b) @ a


def problem_and_start() -> tuple[ib.Problem, tuple[np.ndarray, ...]]:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6, 3))
    start = (rng.standard_normal((3, 6)), rng.standard_normal(6) / 2, rng.standard_normal(6))
    return ib.Problem(model, X, rng.standard_normal(6)), start


def flat(params: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in params])


def errors(weight_decay: float) -> list[float]:
    """Return the relative errors at tau = 3 of 5 ... 80 equal steps from tau = 1, when the fast phase is over."""
    problem, start = problem_and_start()
    flow = ib.GradientFlow(problem, weight_decay)
    begin, end = 1 / weight_decay, 3 / weight_decay
    y0 = ib.simulate(flow, start, t1=begin, rtol=1e-9).final
    exact = flat(ib.simulate(flow, y0, t1=end - begin, rtol=1e-10).final)
    found = []
    with jax.enable_x64(True):
        for count in STEPS:
            solution = diffrax.diffeqsolve(
                flow.term(),
                ib.GaussNewtonRosenbrock(),
                0.0,
                end - begin,
                (end - begin) / count,
                jax.tree.map(jnp.asarray, y0),
                saveat=diffrax.SaveAt(t1=True),
                max_steps=count + 2,
            )
            got = flat(jax.tree.map(lambda leaf: np.asarray(leaf[-1]), solution.ys))
            found.append(float(np.linalg.norm(got - exact) / np.linalg.norm(exact)))
    return found


def main() -> None:
    print(f"\norder  ({machine()})")
    print("  h lam     " + "".join(f"{2 / count:>18g}" for count in STEPS))
    table = {}
    for weight_decay in DECAYS:
        e = np.array(errors(weight_decay))
        orders = np.log2(e[:-1] / e[1:])
        cells = [f"{e[0]:.1e}        "] + [f"{x:.1e} ({q:.2f})  " for x, q in zip(e[1:], orders, strict=True)]
        print(f"  lam {weight_decay:<7g}" + "".join(f"{cell:>18}" for cell in cells), flush=True)
        table[str(weight_decay)] = {"errors": e.tolist(), "orders": orders.tolist()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "order.json").write_text(json.dumps({"machine": machine(), "table": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
