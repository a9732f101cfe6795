"""The work of `implicitbias path`: from a table to a certified report."""

import warnings
from typing import Any

import pandas

from implicitbias._core.errors import InputError
from implicitbias._core.progress import Progress
from implicitbias._core.tables import Table, some
from implicitbias.cli._path_choice import Choice, command_line
from implicitbias.cli._path_files import csv_names
from implicitbias.cli._table_job import data_facts, feature_frame, origin_facts
from implicitbias.estimators import SaddlePathRegressor, SaddlePathRegressorCV, splitter
from implicitbias.limits import Jump
from implicitbias.plotting import PathReport


def fit_table(table: Table, choice: Choice, progress: Progress) -> PathReport:
    """Return the report of the certified path of a table, with cross-validation if it is requested."""
    frame, groups = _rows(table, choice)
    model = _model(choice, progress)
    arguments = {} if groups is None else {"groups": groups}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if choice.folds is not None:
            progress(0.0, f"{choice.folds}-fold cross-validation")
        model.fit(frame, table.y, **arguments)
    progress(1.0, f"{model.path_.n_jumps} jumps")
    told = dict.fromkeys(str(warning.message) for warning in caught)
    notes = (*_notes(table, tuple(frame.columns)), *told)
    return PathReport.of_model(model, table.title, table.target, _facts(table, choice), notes)


def _rows(table: Table, choice: Choice) -> tuple[Any, Any]:
    """Return the features as a frame, and the groups of the rows or None."""
    frame = feature_frame(table)
    groups = table.groups
    if groups is None:
        return frame, None
    count = len(pandas.unique(groups))
    if choice.folds is not None and count < choice.folds:
        advice = f"type --cv {count}" if count > 1 else "leave --groups out"
        raise InputError(
            f"--cv is {choice.folds}, but column {choice.groups!r} has {count} different values, and each fold needs "
            f"at least one; {advice}"
        )
    return frame, groups


def _model(choice: Choice, progress: Progress) -> SaddlePathRegressor | SaddlePathRegressorCV:
    """Return the estimator of the options. The fraction of the work that it reports is R^2, which ends near 1."""

    def tell(jump: Jump) -> None:
        text = f"jump {jump.number}, {jump.active} active, R² {jump.r2:.4f}"
        progress(min(max(jump.r2, 0.0), 0.999), text)

    if choice.folds is None:
        return SaddlePathRegressor(
            fit_intercept=choice.fit_intercept, standardize=choice.standardize, on_jump=tell
        )
    return SaddlePathRegressorCV(
        cv=splitter(choice.folds, choice.seed, grouped=choice.groups is not None),
        rule=choice.rule,
        fit_intercept=choice.fit_intercept,
        standardize=choice.standardize,
        on_jump=tell,
    )


def _notes(table: Table, features: tuple[str, ...]) -> list[str]:
    notes = list(table.notes)
    renamed = [new for new, name in zip(csv_names(features), features, strict=True) if new != name]
    if renamed:
        notes.append(
            f"path.csv names these features in parentheses, because other columns have their names: {some(renamed)}; "
            "to see their own names there, rename them in the table"
        )
    return notes


def _facts(table: Table, choice: Choice) -> dict[str, str]:
    facts = data_facts(table, choice.standardize, choice.fit_intercept)
    if choice.folds is not None:
        facts["cross-validation"] = _folds_told(choice)
    return facts | origin_facts(command_line(table, choice), _in_python(choice))


def _folds_told(choice: Choice) -> str:
    """Return in words how the folds were made and how the time was chosen."""
    if choice.groups is None:
        kind = "blocks of consecutive rows" if choice.seed is None else "shuffled rows"
    else:
        kind = f"whole groups of {choice.groups}" + ("" if choice.seed is None else ", shuffled")
    seed = "" if choice.seed is None else f", seed {choice.seed}"
    rule = (
        "least error"
        if choice.rule == "best"
        else "earliest time within one standard error of the least error"
    )
    return f"{choice.folds} folds of {kind}{seed}; {rule}"


def _in_python(choice: Choice) -> str:
    """Return the line of Python that fits the same model."""
    options, fitted = [], "X, y"
    if choice.folds is not None:
        kind = "KFold" if choice.groups is None else "GroupKFold"
        shuffled = "" if choice.seed is None else f", shuffle=True, random_state={choice.seed}"
        plain = choice.groups is None and choice.seed is None
        options = [f"cv={choice.folds}" if plain else f"cv={kind}({choice.folds}{shuffled})"]
        options += [] if choice.rule == "best" else [f'rule="{choice.rule}"']
        fitted += "" if choice.groups is None else ", groups=groups"
    options += [] if choice.fit_intercept else ["fit_intercept=False"]
    options += ["standardize=True"] if choice.standardize else []
    kind = "SaddlePathRegressor" if choice.folds is None else "SaddlePathRegressorCV"
    return f"ib.{kind}({', '.join(options)}).fit({fitted})"
