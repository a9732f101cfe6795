"""The work of `implicitbias margin`: from a table to a certified classifier, or to the proof that there is none."""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError
from implicitbias._core.tables import Table
from implicitbias.cli._margin_choice import MarginChoice, command_line
from implicitbias.cli._table_job import data_facts, feature_frame, origin_facts
from implicitbias.estimators import MaxMarginClassifier
from implicitbias.plotting import MarginReport


class Witness(NamedTuple):
    """One term of the convex combination that proves that classes are not separable.

    Attributes:
        row: the number of the row in the file, from 1 after the header.
        label: its class.
        against: the class against which its margin is taken.
        weight: its weight; all weights have the sum 1.
    """

    row: int
    label: str
    against: str
    weight: float


class Inseparable(NamedTuple):
    """The proof that no linear classifier separates the classes of a table.

    Attributes:
        witnesses: the terms of the convex combination, those of largest weight first.
        certificate: the certificate that the combination of the signed rows is 0.
    """

    witnesses: tuple[Witness, ...]
    certificate: Certificate


def fit_classes(table: Table, choice: MarginChoice) -> MarginReport | Inseparable:
    """Return the report of the classifier of a table, or the proof that its classes are not separable."""
    model = MaxMarginClassifier(
        horizon=choice.gauge, C=choice.C, fit_intercept=choice.fit_intercept, standardize=choice.standardize
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(feature_frame(table), table.y)
        except InfeasibleError as error:
            if error.combination is None:
                raise
            return Inseparable(_witnesses(table, error.combination), error.certificate)
    told = dict.fromkeys(str(warning.message) for warning in caught)
    return MarginReport(
        title=table.title,
        target=table.target,
        limit=model.limits_,
        classes=table.classes,
        coefficients=model.coef_,
        intercepts=model.intercept_,
        standardized=choice.standardize,
        rows=table.rows,
        horizon=choice.gauge_name,
        C=choice.C,
        facts=_facts(table, choice),
        notes=(*table.notes, *told),
    )


def _witnesses(table: Table, combination: Any) -> tuple[Witness, ...]:
    """Return the terms of a combination, which has a weight for each row, or for each row and other class."""
    own = table.y.astype(np.int64)
    weights = np.asarray(combination)
    if weights.ndim == 1:  # the other one of two classes
        weights = weights[:, None] * (np.arange(2) != own[:, None])
    rows, others = np.nonzero(weights)
    found = [
        Witness(int(table.rows[i]), table.classes[own[i]], table.classes[c], float(weights[i, c]))
        for i, c in zip(rows.tolist(), others.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda term: (-term.weight, term.row)))


def _facts(table: Table, choice: MarginChoice) -> dict[str, str]:
    price = (
        "none, all rows keep the margin"
        if math.isinf(choice.C)
        else f"{choice.C:g} for each violation of a margin"
    )
    counts = np.bincount(table.y.astype(np.int64), minlength=len(table.classes))
    sizes = ", ".join(
        f"{label} ({count} {'row' if count == 1 else 'rows'})"
        for label, count in zip(table.classes, counts.tolist(), strict=True)
    )
    options = [f'horizon="{choice.gauge}"' if isinstance(choice.gauge, str) else f"horizon={choice.gauge:g}"]
    options += [] if math.isinf(choice.C) else [f"C={choice.C:g}"]
    options += [] if choice.fit_intercept else ["fit_intercept=False"]
    options += ["standardize=True"] if choice.standardize else []
    return {
        **data_facts(table, choice.standardize, choice.fit_intercept),
        "classes": sizes,
        "gauge": choice.gauge_name,
        "price C": price,
        **origin_facts(
            command_line(table, choice), f"ib.MaxMarginClassifier({', '.join(options)}).fit(X, y)"
        ),
    }
