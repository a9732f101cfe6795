"""Measurements of the number of samples that the largest l2 and l1 margins need to learn a sparse rule."""

from typing import Any

import numpy as np

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.limits import max_margin
from implicitbias.problems import Classification
from implicitbias.studies._early_late_settings import labels
from implicitbias.studies._seeds import generator

_DIMENSIONS = (30, 60, 120, 240)
# The numbers of samples are these multiples of d for l2, and of ln d for l1.
_SHARES = {"l2": np.geomspace(1.0, 4.0, 5), "l1": np.geomspace(2.5, 20.0, 7)}
_DRAWS, _TESTED = 6, 2000


def samples_dataset(progress: Progress) -> Any:
    """Return the mean test accuracy of both classifiers for several dimensions and numbers of samples."""
    variables: dict[str, Any] = {"d": ("dimension", np.array(_DIMENSIONS))}
    total, done = 2 * len(_DIMENSIONS), 0
    for name, shares in _SHARES.items():
        units = np.array(_DIMENSIONS, dtype=float) if name == "l2" else np.log(_DIMENSIONS)
        counts = np.rint(np.outer(units, shares)).astype(int)
        accuracy, gaps = np.zeros(counts.shape), np.zeros(counts.shape)
        for i, d in enumerate(_DIMENSIONS):
            for j, n in enumerate(counts[i]):
                accuracy[i, j], gaps[i, j] = _accuracy(name, int(n), d)
            done += 1
            progress(done / total, f"{name}, {d} dimensions")
        variables |= {
            f"{name}_n": (("dimension", f"{name}_count"), counts),
            f"{name}_accuracy": (("dimension", f"{name}_count"), accuracy),
            f"{name}_gap": (("dimension", f"{name}_count"), gaps),
        }
    return dataset({}, {}, {}).assign(variables)


def _accuracy(horizon: str, n: int, d: int) -> tuple[float, float]:
    """Return the mean test accuracy over several draws of n samples, and the largest gap of a margin."""
    right, gap = 0.0, 0.0
    for draw in range(_DRAWS):
        rng = generator([draw, n, d])
        X, tested = (rng.choice([-1.0, 1.0], (count, d)) for count in (n, _TESTED))
        limit = max_margin(Classification(X, labels(X)), horizon)
        right += float(np.mean((1.0 + labels(tested) * np.sign(tested @ limit.point)) / 2.0))
        assert limit.certificate.gap is not None
        gap = max(gap, limit.certificate.gap)
    return right / _DRAWS, gap
