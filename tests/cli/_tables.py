"""Tables for the tests of `implicitbias path`, and what the path of one is when it is computed by hand."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas
from numpy import ndarray

import implicitbias as ib


def table(n: int = 30, d: int = 5, seed: int = 0) -> pandas.DataFrame:
    """Columns of unlike means and scales, and a target `y` of three of them with noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-2, 3, d) + rng.normal(0.0, 50.0, d)
    y = 7.0 + (X - X.mean(axis=0)) / X.std(axis=0) @ np.where(np.arange(d) < 3, 2.0 - np.arange(d), 0.0)
    frame = pandas.DataFrame(X, columns=[f"feature {j}" for j in range(d)])
    return frame.assign(y=y + 0.3 * rng.standard_normal(n))


def written(folder: Path, text: str | bytes, name: str = "data.csv") -> str:
    """The path of a file with this content."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


class ByHand(NamedTuple):
    """Coefficients (k+1, d) and intercepts (k+1,) for the rows as they are."""

    path: ib.SaddlePath
    coefficients: ndarray
    intercepts: ndarray


# Oracle: means and standard deviations by NumPy, and the algebra of undoing them.
def by_hand(X: ndarray, y: ndarray, standardize: bool = True, intercept: bool = True) -> ByHand:
    mean = X.mean(axis=0)
    scale = np.sqrt(((X - mean) ** 2).mean(axis=0)) if standardize else np.ones(X.shape[1])
    shift, level = (mean, y.mean()) if intercept else (np.zeros(X.shape[1]), 0.0)
    path = ib.saddle_path(ib.LeastSquares((X - shift) / scale, y - level))
    coefficients = path.coefficients / scale
    return ByHand(path, coefficients, level - coefficients @ shift)


def facts_of(data: Any) -> dict[str, str]:
    """The facts in the store of a result, which say how it was made."""
    return json.loads(data["facts"].item())
