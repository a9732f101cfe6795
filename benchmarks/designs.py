"""The thousand designs of the tests: how often the path is certified, compared with scikit-learn's `lars_path`."""

import json
import warnings
from collections import Counter

import numpy as np
from sklearn.linear_model import lars_path

import implicitbias as ib
from benchmarks._measure import RESULTS, machine
from tests.oracles.designs import designs


def right(problem: ib.LeastSquares, w: np.ndarray) -> bool:
    """Return whether w is certified to have the least l1 norm among the minimisers of the loss."""
    return bool(np.all(np.isfinite(w))) and ib.certify(problem, w, ib.MinL1()).holds


def main() -> None:
    total: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    ours_judged: Counter[str] = Counter()
    peer: Counter[str] = Counter()
    warned: Counter[str] = Counter()
    for design in designs():
        problem = ib.LeastSquares(design.X, design.y)
        path = ib.saddle_path(problem)
        total[design.family] += 1
        ours[design.family] += path.certificate.holds
        ours_judged[design.family] += right(problem, path.coefficients[-1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            coefficients = lars_path(design.X, design.y, method="lasso")[2]
        peer[design.family] += right(problem, coefficients[:, -1])
        warned[design.family] += bool(caught)
    print(f"{'family':<36} designs  saddle_path  its end, judged alone  lars_path  (of which it warned)")
    for family, count in total.items():
        print(
            f"{family:<36} {count:7d}  {ours[family]:11d}  {ours_judged[family]:21d}"
            f"  {peer[family]:9d}  ({warned[family]})"
        )
    sums = [sum(counter.values()) for counter in (total, ours, ours_judged, peer, warned)]
    print(f"{'all':<36} {sums[0]:7d}  {sums[1]:11d}  {sums[2]:21d}  {sums[3]:9d}  ({sums[4]})")
    RESULTS.mkdir(exist_ok=True)
    rows = {
        family: [total[family], ours[family], ours_judged[family], peer[family], warned[family]]
        for family in total
    }
    (RESULTS / "designs.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
