"""Grokking in sparse classification (diagonal network, logistic loss): the flow compared with gradient descent."""

import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

ROWS, INPUTS, NORM, RATE = 128, 2000, 128.0, 0.01
DESCENT_STEPS = 20_000


def data() -> tuple[ib.Classification, np.ndarray, np.ndarray, np.ndarray]:
    """Return random signs with labels that depend on three of them, and test points."""
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], (ROWS, INPUTS))
    X_test = rng.choice([-1.0, 1.0], (10_000, INPUTS))
    rule = np.zeros(INPUTS)
    rule[:3] = 1.0
    return ib.Classification(X, np.sign(X @ rule)), X_test, np.sign(X_test @ rule), rule


def compare(weight_decay: float, target: float) -> Row:
    problem, X_test, y_test, _ = data()
    diagonal = problem.reparametrize(ib.SquareDifference())
    start = (np.full(INPUTS, NORM / np.sqrt(2 * INPUTS)),) * 2
    flow = ib.GradientFlow(diagonal, weight_decay)
    end = 20.0 / weight_decay

    def accuracy(theta: tuple[np.ndarray, np.ndarray]) -> float:
        u, v = theta
        return float(np.mean(np.sign(X_test @ (u**2 - v**2)) == y_test))

    trajectory = ib.simulate(flow, start, t1=end)
    reference = ib.simulate(flow, start, t1=end, rtol=1e-8).final
    error = max(
        np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(trajectory.final, reference, strict=True)
    )
    # Gradient descent is run for a part of the time only: it gives its answer there and the cost of a step.
    descent = ib.GradientDescent(diagonal, RATE, weight_decay)
    part = DESCENT_STEPS * RATE
    ours, theirs = alternate(
        [lambda: ib.simulate(flow, start, t1=end), lambda: ib.simulate(descent, start, t1=part)], 3
    )
    there, here = ib.simulate(descent, start, t1=part).final, trajectory.state(part)
    apart = max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(there, here, strict=True))
    steps = end / RATE
    note = (
        f"{trajectory.stats.steps} steps; {steps:.0e} steps of descent extrapolated from {DESCENT_STEPS}; "
        f"test accuracy {accuracy(trajectory.state(10.0)):.2f} at t = 10, {accuracy(trajectory.final):.2f} at the end"
    )
    return Row(
        f"diagonal net, logistic ({ROWS}, {INPUTS}), lam = {weight_decay:g}, tau = 20",
        f"gradient descent, rate {RATE}",
        ours,
        theirs / DESCENT_STEPS * steps,
        float(error),
        float(apart),
        note,
        target,
    )


def main() -> None:
    report("grokking_diagonal", [compare(1e-3, target=300.0), compare(1e-5, target=30_000.0)])


if __name__ == "__main__":
    main()
