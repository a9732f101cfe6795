"""The rates at which margins and directions converge on separable data, measured beside the rates of theory.

The record is `docs/records/rates.json`; the tables of the page `docs/rates.md` are printed from it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

import implicitbias as ib
from benchmarks._measure import machine

RECORD = Path(__file__).parents[1] / "docs" / "records" / "rates.json"
_LOGS = np.geomspace(100.0, 23_000.0, 13)
_STEPS = 20_000
_GAUGES = {"l1": ib.gauges.L1(), "l2": ib.gauges.L2(), "linf": ib.gauges.LInf()}


def separable() -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 10))
    return X, np.sign(X @ rng.standard_normal(10))


def slope(x: ndarray, y: ndarray) -> float:
    """Return the slope of ln y against ln x by least squares."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def of_flow(name: str, potential: ib.Potential, loss: str) -> dict[str, Any]:
    """Return gaps of margin and distances in direction of a mirror flow, and their slopes against ln t."""
    problem = ib.Classification(*separable(), loss=loss)
    horizon = potential.horizon()
    limit = ib.max_margin(problem, horizon)
    margin, distance = ib.diagnostics.margin_in(problem, horizon), ib.diagnostics.distance_to(limit)
    run = ib.simulate(ib.MirrorFlow(problem, potential), np.zeros(10), log_t1=float(_LOGS[-1]), rtol=1e-7)
    states = run.state(log_t=_LOGS)
    gaps = np.array([1.0 - margin(0.0, w) / limit.margin for w in states])
    far = np.array([distance(0.0, w) for w in states])
    return {
        "flow": name, "largest_margin": limit.margin, "loss": loss, "status": run.status.name, "log_t": _LOGS.tolist(),
        "margin_gap": gaps.tolist(), "distance": far.tolist(), "unique": limit.status is ib.Status.CONVERGED,
        "margin_slope": slope(_LOGS, gaps), "distance_slope": slope(_LOGS, far),
        "late_margin_slope": slope(_LOGS[-5:], gaps[-5:]), "late_distance_slope": slope(_LOGS[-5:], far[-5:]),
        "loss_slope": float(np.polyfit(_LOGS, [problem.log_of_loss(w) for w in states], 1)[0]),
    }  # fmt: skip


def of_descent(kind: str, decay: float) -> dict[str, Any]:
    """Return gaps of margin and distances in direction of steepest descent, and their slopes against k."""
    problem = ib.Classification(*separable(), loss="exponential")
    gauge = _GAUGES[kind]
    limit = ib.max_margin(problem, gauge)
    margin, distance = ib.diagnostics.margin_in(problem, gauge), ib.diagnostics.distance_to(limit)
    descent = ib.SteepestDescent(problem, gauge, step_size=0.1, decay=decay)
    steps = np.unique(np.geomspace(200, _STEPS, 25).astype(int))
    times = np.array([descent.time(int(k)) for k in steps])
    run = ib.simulate(descent, np.zeros(10), times=times)
    gaps = np.array([1.0 - margin(0.0, w) / limit.margin for w in run.states])
    far = np.array([distance(0.0, w) for w in run.states])
    bound = np.log(40) / (times * limit.margin)
    return {
        "gauge": kind, "decay": decay, "steps": steps.tolist(), "times": times.tolist(),
        "margin_gap": gaps.tolist(), "distance": far.tolist(), "unique": limit.status is ib.Status.CONVERGED,
        "margin_slope": slope(steps, np.maximum(gaps, 1e-300)), "distance_slope": slope(steps, far),
        "largest_share_of_ln_n_over_s": float(np.max(gaps / bound)),
    }  # fmt: skip


def of_gradient_descent() -> dict[str, Any]:
    """Return the gap of margin of gradient descent with a constant step, and its slope against ln t."""
    problem = ib.Classification(*separable(), loss="exponential")
    limit = ib.max_margin(problem, "l2")
    margin, distance = ib.diagnostics.margin_in(problem, ib.gauges.L2()), ib.diagnostics.distance_to(limit)
    run = ib.simulate(ib.GradientDescent(problem, learning_rate=0.1), np.zeros(10), t1=1e5)
    late = run.times > 1e2
    logs, states = np.log(run.times[late]), run.states[late]
    gaps = np.array([1.0 - margin(0.0, w) / limit.margin for w in states])
    far = np.array([distance(0.0, w) for w in states])
    return {
        "learning_rate": 0.1, "log_t": logs.tolist(), "margin_gap": gaps.tolist(), "distance": far.tolist(),
        "margin_slope": slope(logs, gaps), "distance_slope": slope(logs, far),
    }  # fmt: skip


def main() -> None:
    flows = [
        of_flow(name, potential, loss)
        for loss in ("exponential", "logistic")
        for name, potential in (
            ("squared l2", ib.SquaredNorm()), ("l_1.5", ib.PNorm(1.5)), ("l_3", ib.PNorm(3.0)),
            ("hyperbolic entropy, a = 0.01", ib.HyperbolicEntropy(scale=1e-2)), ("cosh", ib.Cosh()),
        )
    ]  # fmt: skip
    descents = [of_descent(kind, decay) for kind in _GAUGES for decay in (0.5, 0.25, 0.75)]
    record = {
        "machine": machine(), "flows": flows, "descents": descents, "gradient_descent": of_gradient_descent()
    }  # fmt: skip
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in flows:
        print(
            f"| {row['flow']} | {row['loss']} | {row['margin_gap'][-1]:.1e} | {row['margin_slope']:.2f} | "
            f"{row['late_margin_slope']:.2f} | {row['distance'][-1]:.1e} | {row['distance_slope']:.2f} | "
            f"{row['late_distance_slope']:.2f} | {row['loss_slope']:.4f} |"
        )
    for row in descents:
        print(
            f"| {row['gauge']} | {row['decay']} | {row['margin_gap'][-1]:.1e} | {row['margin_slope']:.2f} | "
            f"{row['distance'][-1]:.1e} | {row['distance_slope']:.2f} | {row['largest_share_of_ln_n_over_s']:.2f} |"
        )
    last: Any = record["gradient_descent"]
    print(
        f"gradient descent: gap {last['margin_gap'][-1]:.1e}, slopes {last['margin_slope']:.2f} and "
        f"{last['distance_slope']:.2f} against ln t"
    )


if __name__ == "__main__":
    main()
