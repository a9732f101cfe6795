"""Completion of the multiplication table (d = 97) to lam t = 20: the flow compared with gradient descent."""

import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report
from implicitbias.studies._table_settings import SETTINGS

# The rate 0.1 and the weight decay 1e-4 of the paper, whose loss is twice ours.
RATE, DECAY, TAU = 0.2, 5e-5, 20.0
DESCENT_STEPS = 500


def main() -> None:
    case = SETTINGS["97x97"].case(10.0)
    flow = ib.GradientFlow(case.problem, DECAY)
    descent = ib.GradientDescent(case.problem, RATE, DECAY)
    end, part = TAU / DECAY, DESCENT_STEPS * RATE
    trajectory = ib.simulate(flow, case.start, t1=end)
    reference = ib.simulate(flow, case.start, t1=end, rtol=1e-6, times=[part, end])
    ours, theirs = alternate(
        [lambda: ib.simulate(flow, case.start, t1=end), lambda: ib.simulate(descent, case.start, t1=part)], 1
    )
    there = ib.simulate(descent, case.start, t1=part).final

    def apart(found: tuple[np.ndarray, ...], known: tuple[np.ndarray, ...]) -> float:
        return max(
            float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(found, known, strict=True)
        )

    steps = end / RATE
    note = (
        f"{trajectory.stats.steps} steps; {steps:.0e} steps of descent extrapolated from {DESCENT_STEPS}; errors of "
        f"theta at t = {part:g}; at the end ours has {apart(trajectory.final, reference.final):.1e}"
    )
    common = reference.state(part)
    row = Row(
        "multiplication table, d = 97, to lam t = 20",
        "gradient descent, rate 0.1",
        ours,
        theirs / DESCENT_STEPS * steps,
        apart(trajectory.state(part), common),
        apart(there, common),
        note,
    )
    report("multiplication_table", [row])


if __name__ == "__main__":
    main()
