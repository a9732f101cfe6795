"""The files of `implicitbias margin --out`, its store, and its JSON document."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.labelled import dataset
from implicitbias._core.tables import Recipe
from implicitbias.cli._margin_job import Inseparable
from implicitbias.cli._path_json import certificate_record
from implicitbias.cli._table_results import TableResult, common_texts
from implicitbias.plotting import (
    MarginReport,
    limit_figure,
    margin_certificate_sentence,
    margin_sentence,
    png,
)
from implicitbias.reports import margin_document

# The entry of the JSON document that says of which command it is.
KIND = "implicitbias margin"


def margin_result(report: MarginReport, recipe: Recipe) -> TableResult:
    """Return a classifier in the forms in which it is written; the recipe makes the features from the columns."""
    return TableResult(
        margin_dataset(report, recipe),
        {"margin.csv": coefficient_table(report), "rows.csv": row_table(report)},
        png(limit_figure(report.limit, report.classes)),
        margin_document(report),
    )


def margin_dataset(report: MarginReport, recipe: Recipe) -> Any:
    """Return the classifier as a dataset over the used features, the classes and the rows of the table.

    `coefficients` and `intercepts` are in the units of the data; for two classes there is one `head`, and a positive
    score means the second class. `recipe` says as JSON how the features are made.
    """
    limit, used = report.limit, report.used
    needed = recipe.only({report.names[j] for j in used})
    gap = limit.certificate.gap
    variables: dict[str, Any] = {
        "coefficients": (("head", "feature"), report.coefficients[:, used]),
        "fitted": (("head", "feature"), report.fitted[:, used]),
        "intercepts": (("head",), report.intercepts),
        "margins": (("row",), report.margins),
        "weights": (("row",), report.weights),
        "own_class": (("row",), report.own),
        "margin": ((), report.margin),
        "gauge": ((), report.horizon),
        "C": ((), report.C),
        "certificate_holds": ((), limit.certificate.holds),
        "certificate_gap": ((), np.nan if gap is None else gap),
        "recipe": ((), json.dumps(needed.record())),
    }
    told = margin_sentence(report), limit.status.value, margin_certificate_sentence(report)
    variables |= common_texts(report.target, report.facts, told, report.sound)
    coordinates = {
        "head": np.array(report.heads, dtype=str),
        "feature": np.array([report.names[j] for j in used], dtype=str),
        "row": report.rows,
        "class": np.array(report.classes, dtype=str),
    }
    return dataset(variables, coordinates, {})


def coefficient_table(report: MarginReport) -> Any:
    """Return a table with the intercept and the features that are used, in the units of the data.

    A class that has the name of the first column, "feature", is called "(feature)".
    """
    import pandas

    names = ["(feature)" if name == "feature" else name for name in report.heads]
    columns: dict[str, Any] = {"feature": ["(intercept)", *(report.names[j] for j in report.used)]}
    for r, name in enumerate(names):
        columns[name] = [report.intercepts[r], *report.coefficients[r, report.used].tolist()]
    return pandas.DataFrame(columns)


def row_table(report: MarginReport) -> Any:
    """Return a table of all rows with their class, margin and weight; the weights of support vectors are positive."""
    import pandas

    return pandas.DataFrame(
        {
            "row": report.rows,
            "class": [report.classes[c] for c in report.own.tolist()],
            "margin": report.margins,
            "weight": report.weights,
        }
    )


def margin_record(report: MarginReport, out: Path | None = None) -> dict[str, Any]:
    """Return the classifier and its certificate as values for strict JSON, in the units of the data.

    Numbers keep all digits, and a number that is not finite is None. For two classes there is one intercept and one
    coefficient of each feature, and a positive score means the second class. For more there is one for each class.
    """
    n, d = report.limit.problem.shape
    status = report.limit.status
    return {
        "kind": KIND,
        "separable": True if report.hard else None,
        "data": report.title,
        "target": report.target,
        "rows": n,
        "features": d,
        "classes": list(report.classes),
        "gauge": report.horizon,
        "C": number(report.C),
        "margin": number(report.margin),
        "misclassified": report.misclassified,
        "intercepts": dict(zip(report.heads, report.intercepts.tolist(), strict=True)),
        "coefficients": {
            report.names[j]: dict(zip(report.heads, report.coefficients[:, j].tolist(), strict=True))
            for j in report.used
        },
        "support": [
            {
                "row": int(report.rows[i]),
                "class": report.classes[report.own[i]],
                "margin": float(report.margins[i]),
                "weight": float(report.weights[i]),
            }
            for i in report.support
        ],
        "notes": list(report.notes),
        "facts": dict(report.facts),
        "status": {"name": status.name, "ok": status.ok, "sentence": status.value},
        "certificate": certificate_record(report.limit.certificate),
        "folder": None if out is None else str(out),
    }


def proof_record(title: str, target: str, proof: Inseparable) -> dict[str, Any]:
    """Return the proof that classes are not separable as values for strict JSON."""
    return {
        "kind": KIND,
        "separable": False,
        "data": title,
        "target": target,
        "combination": [
            {"row": term.row, "class": term.label, "against": term.against, "weight": term.weight}
            for term in proof.witnesses
        ],
        "certificate": certificate_record(proof.certificate),
    }


def number(value: float) -> float | None:
    """Return a number for JSON; None if it is not finite."""
    return value if math.isfinite(value) else None
