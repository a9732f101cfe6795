"""Cross-validated regressors on real data that installed packages bundle: error, support and time over many splits."""

import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_linnerud,
    load_sample_image,
    load_wine,
)
from sklearn.linear_model import LassoCV, LassoLarsCV, OrthogonalMatchingPursuitCV
from sklearn.model_selection import ShuffleSplit
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import implicitbias as ib
from benchmarks._measure import Row, report

FOLDS = 10
SPLITS = 10


class Table(NamedTuple):
    """Columns, target, and the number of rows that each split fits; at most 2000 of the others are scored."""

    name: str
    X: ndarray
    y: ndarray
    rows: int


def tables() -> list[Table]:
    X, y = load_diabetes(return_X_y=True)
    expand = PolynomialFeatures(2, include_bias=False).fit(X)
    # Sex has two values, so that its square is the same column: 64 columns, as in the paper on least angle regression.
    products = expand.transform(X)[:, expand.get_feature_names_out() != "x1^2"]
    wine, cancer, digits, linnerud = load_wine(), load_breast_cancer(), load_digits().data, load_linnerud()
    patches, pixel = image_patches()
    return [
        Table("diabetes", X, y, 330),
        Table("diabetes and products", products, y, 330),
        Table("diabetes and products, few rows", products, y, 100),
        Table("linnerud: weight", linnerud.data, linnerud.target[:, 0], 15),
        Table("wine: alcohol", wine.data[:, 1:], wine.data[:, 0], 130),
        Table("breast cancer: mean fractal dimension", *one_of(cancer.data, 9), 400),
        Table("breast cancer: worst symmetry, few rows", *one_of(cancer.data, 28), 60),
        Table("digits: a middle pixel", *one_of(digits, 28), 200),
        Table("photograph: a pixel from its ring", patches, pixel, 100),
    ]


def one_of(table: ndarray, column: int) -> tuple[ndarray, ndarray]:
    """Return the table in which one column is the target and all others are features."""
    return np.delete(table, column, axis=1), table[:, column]


def image_patches(outer: int = 15, inner: int = 3, count: int = 2100) -> tuple[ndarray, ndarray]:
    """Return patches of a photograph without their inner squares, and the grey values in their middles as targets."""
    grey = load_sample_image("china.jpg").mean(axis=2)
    rng = np.random.default_rng(0)
    ring = np.ones((outer, outer), dtype=bool)
    middle = slice((outer - inner) // 2, (outer + inner) // 2)
    ring[middle, middle] = False
    corners = rng.integers(0, np.array(grey.shape) - outer, size=(count, 2))
    patches = np.stack([grey[i : i + outer, j : j + outer] for i, j in corners])
    return patches[:, ring], patches[:, outer // 2, outer // 2]


def models(n: int, d: int) -> dict[str, Any]:
    return {
        "ours": ib.SaddlePathRegressorCV(cv=FOLDS),
        'ours, rule="1se"': ib.SaddlePathRegressorCV(cv=FOLDS, rule="1se"),
        "LassoCV": LassoCV(cv=FOLDS),
        "LassoLarsCV": LassoLarsCV(cv=FOLDS),
        # Its default limit is d / 10 columns.
        "OrthogonalMatchingPursuitCV": OrthogonalMatchingPursuitCV(cv=FOLDS, max_iter=min(d, n // 2)),
    }


class Scores(NamedTuple):
    """The scores of one model: relative test errors, supports and seconds, each (splits,)."""

    errors: ndarray
    supports: ndarray
    seconds: ndarray


def scores(table: Table) -> dict[str, Scores]:
    """Return the scores of every model on the same splits; columns are standardised by the rows that are fitted."""
    found = {name: np.empty((SPLITS, 3)) for name in models(*table.X.shape)}
    test_rows = min(2000, len(table.y) - table.rows)
    splitter = ShuffleSplit(SPLITS, train_size=table.rows, test_size=test_rows, random_state=0)
    for split, (train, test) in enumerate(splitter.split(table.X)):
        varying = np.ptp(table.X[train], axis=0) > 0
        scaler = StandardScaler().fit(table.X[train][:, varying])
        rows, held_out = (scaler.transform(table.X[side][:, varying]) for side in (train, test))
        for name, model in models(*rows.shape).items():
            begin = time.perf_counter()
            fit_quietly(model, rows, table.y[train])
            seconds = time.perf_counter() - begin
            residual = table.y[test] - model.predict(held_out)
            error = float(np.mean(residual**2) / np.var(table.y[test]))
            found[name][split] = error, np.count_nonzero(model.coef_), seconds
    return {name: Scores(*rows.T) for name, rows in found.items()}


def fit_quietly(model: Any, X: ndarray, y: ndarray) -> None:
    """Fit without warnings: peers warn about early stops and dropped columns, but only their answers are judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)


def compare(table: Table) -> list[Row]:
    """Return the medians; the note has the number of splits in which our error was smaller, and the supports."""
    found = scores(table)
    ours = found["ours"]
    rows = []
    for name, peer in found.items():
        if name == "ours":
            continue
        difference = ours.errors - peer.errors
        note = (
            f"better in {np.sum(difference < 0)} of {SPLITS}; mean difference {difference.mean():+.3f} "
            f"(standard deviation {difference.std(ddof=1):.3f}); "
            f"support {np.median(ours.supports):g} / {np.median(peer.supports):g}"
        )
        seconds = float(np.median(ours.seconds)), float(np.median(peer.seconds))
        errors = float(np.mean(ours.errors)), float(np.mean(peer.errors))
        rows.append(Row(f"{table.name} ({table.rows}, {table.X.shape[1]})", name, *seconds, *errors, note))
    return rows


def main() -> None:
    rng = np.random.default_rng(0)
    ib.SaddlePathRegressorCV().fit(rng.standard_normal((20, 5)), rng.standard_normal(20))  # compiled once
    report("real_data", [row for table in tables() for row in compare(table)])


if __name__ == "__main__":
    main()
