"""The files of `implicitbias path --out`: the path as CSV and PNG, the report as an HTML page, and the store."""

import json
from typing import Any

import numpy as np

from implicitbias._core.tables import Recipe
from implicitbias.cli._path_print import certificate_lines
from implicitbias.cli._table_results import TableResult, common_texts
from implicitbias.plotting import PathReport, chosen_sentence, png, validated_path_figure
from implicitbias.reports import path_document

_OWN_COLUMNS = ("jump", "time", "loss", "r2", "intercept")


def path_result(report: PathReport, recipe: Recipe) -> TableResult:
    """Return a path in the forms in which it is written; the recipe makes the features from the columns."""
    return TableResult(
        path_dataset(report, recipe),
        {"path.csv": path_table(report)},
        png(validated_path_figure(report.path, report.validation)),
        path_document(report),
    )


def path_table(report: PathReport) -> Any:
    """Return a table with one row for each jump and coefficients in the units of the data.

    It has the features that are active at some saddle; the coefficients of the others are always 0. A feature that
    has the name of another column, such as "time", is called `(name)`.
    """
    import pandas

    path = report.path
    own = {
        "jump": np.arange(len(path.times)),
        "time": path.times,
        "loss": path.losses,
        "r2": report.r2,
        "intercept": report.intercepts,
    }
    names = csv_names(report.names)
    coefficients = pandas.DataFrame(
        report.coefficients[:, report.used].toarray(), columns=[names[i] for i in report.used.tolist()]
    )
    return pandas.concat([pandas.DataFrame(own), coefficients], axis=1)


def csv_names(names: tuple[str, ...]) -> list[str]:
    """Return the names of features, in parentheses if they would repeat the name of another column of the table."""
    result = list(names)
    for i, name in enumerate(names):
        while result[i] in _OWN_COLUMNS or (result[i] != name and result[i] in names):
            result[i] = f"({result[i]})"
    return result


def path_dataset(report: PathReport, recipe: Recipe) -> Any:
    """Return the path of the features that are active at some saddle as a dataset.

    It has the coefficients of the path and those in the units of the data, and the recipe of these features as JSON.
    """
    data = report.path.to_dataset(active_only=True)
    data["original_coefficients"] = (("jump", "feature"), report.coefficients[:, report.used].toarray())
    data["intercept"] = (("jump",), report.intercepts)
    needed = recipe.only({report.names[i] for i in report.used.tolist()})
    data["recipe"] = ((), json.dumps(needed.record()))
    data["r2"] = (("jump",), report.r2)
    sentences = () if report.validation is None else (chosen_sentence(report),)
    told = (*sentences, report.path.status.value, *certificate_lines(report))
    sound = report.path.status.ok and report.path.certificate.holds
    data = data.assign(common_texts(report.target, report.facts, told, sound))
    if report.validation is not None:
        data["chosen_time"] = ((), report.validation.chosen)
        data["cv_time"] = (("step",), report.validation.curve.times)
        data["cv_error"] = (("step", "fold"), report.validation.curve.errors)
    return data
