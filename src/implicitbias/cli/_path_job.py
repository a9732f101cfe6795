"""The work of `implicitbias path`: from a table to a certified report."""

import platform
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas

from implicitbias import __version__
from implicitbias._core.progress import Progress
from implicitbias.cli._path_choice import Choice, command_line
from implicitbias.cli._path_files import csv_names
from implicitbias.cli._read_table import Table
from implicitbias.cli._source import some
from implicitbias.estimators import prepare
from implicitbias.limits import Jump, saddle_path
from implicitbias.plotting import PathReport, Validation

# If the rank correlation of the target with the row number is above this, contiguous folds differ systematically.
_ORDERED = 0.3
_WRITTEN_VERSIONS = ("numpy", "scipy", "scikit-learn", "pandas")


def fit_table(table: Table, choice: Choice, progress: Progress) -> PathReport:
    """Return the report of the certified path of a table, with cross-validation if it is requested."""
    frame = pandas.DataFrame(table.X, columns=list(table.features))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        validation = None if choice.folds is None else _validate(frame, table, choice, progress)
        prepared = prepare(
            frame, table.y, None, fit_intercept=choice.fit_intercept, standardize=choice.standardize
        )
        path = saddle_path(prepared.problem, on_jump=_teller(prepared.problem, progress))
    progress(1.0, f"{path.n_jumps} jumps")
    coefficients, intercepts = prepared.original_units(path.coefficients_sparse)
    told = dict.fromkeys(str(warning.message) for warning in caught)
    return PathReport(
        title=table.file.name,
        target=table.target,
        path=path,
        coefficients=coefficients,
        intercepts=np.asarray(intercepts, dtype=np.float64),
        standardized=choice.standardize,
        facts=_facts(table, choice),
        notes=(*_notes(table, choice), *told),
        validation=validation,
    )


def _teller(problem: Any, progress: Progress) -> Any:
    """Return a function that reports each jump. The reported fraction is 1 minus the loss relative to the start."""
    start = problem.loss(np.zeros(problem.shape[1]))

    def tell(jump: Jump) -> None:
        gone = 1.0 - jump.loss / start
        progress(min(max(gone, 0.0), 0.999), f"jump {jump.number}, {jump.active} active, R² {gone:.4f}")

    return tell


def _validate(frame: Any, table: Table, choice: Choice, progress: Progress) -> Validation:
    from implicitbias.estimators import SaddlePathRegressorCV

    progress(0.0, f"{choice.folds}-fold cross-validation")
    model = SaddlePathRegressorCV(
        cv=choice.folds, fit_intercept=choice.fit_intercept, standardize=choice.standardize
    )
    model.fit(frame, table.y)
    n, folds = len(table.y), model.mse_path_.shape[1]
    return Validation(
        np.asarray(model.cv_times_, dtype=np.float64),
        np.asarray(model.mse_path_, dtype=np.float64),
        np.array([len(rows) for rows in np.array_split(np.arange(n), folds)], dtype=np.float64),
        float(model.t_),
    )


def _notes(table: Table, choice: Choice) -> list[str]:
    notes = list(table.notes)
    renamed = [
        new for new, name in zip(csv_names(table.features), table.features, strict=True) if new != name
    ]
    if renamed:
        notes.append(
            f"path.csv names these features in parentheses, because other columns have their names: {some(renamed)}"
        )
    if choice.folds is not None and len(table.y) >= 20 and abs(_order(table.y)) > _ORDERED:
        notes.append(
            "the target increases or decreases with the row number, and each fold is a block of rows; if the order has "
            "no meaning, shuffle the rows with pandas.DataFrame.sample(frac=1, random_state=0) and validate again"
        )
    return notes


def _order(y: np.ndarray) -> float:
    """Return the rank correlation of the target with the number of its row."""
    ranks = pandas.Series(y).rank().to_numpy()
    return float(np.corrcoef(ranks, np.arange(len(y)))[0, 1])


def _facts(table: Table, choice: Choice) -> dict[str, str]:
    n, d = table.X.shape
    columns = "standardised (mean 0, standard deviation 1)" if choice.standardize else "not scaled"
    return {
        "data": f"{table.file.name}: {table.layout}; {n} rows, {d} features and the target {table.target}",
        "SHA-256": table.digest,
        "features": columns
        if choice.fit_intercept or not choice.standardize
        else "divided by their standard deviations",
        "intercept": "fitted" if choice.fit_intercept else "none",
        "command": command_line(table, choice),
        "in Python": _in_python(choice),
        "versions": f"implicitbias {__version__}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in _WRITTEN_VERSIONS),
    }


def _in_python(choice: Choice) -> str:
    options = [] if choice.folds is None else [f"cv={choice.folds}"]
    options += [] if choice.fit_intercept else ["fit_intercept=False"]
    options += ["standardize=True"] if choice.standardize else []
    kind = "SaddlePathRegressor" if choice.folds is None else "SaddlePathRegressorCV"
    return f"ib.{kind}({', '.join(options)}).fit(X, y)"
