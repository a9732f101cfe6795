"""The command `implicitbias predict`: predictions for new rows from the results of `path --out` or `margin --out`."""

import csv
import json
import os
import shlex
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias import studies
from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, Recipe, read_rows, typed_path
from implicitbias._core.whole_files import written_whole
from implicitbias.cli._margin_choice import MARGIN
from implicitbias.cli._path_choice import PATH
from implicitbias.cli._stored_classifier import StoredClassifier, stored_classifier
from implicitbias.cli._table_words import cleaning_words
from implicitbias.cli._terminal import on_terminal, record, say

# The number of predictions that a terminal shows.
_SHOWN = 20


class Model(NamedTuple):
    """A saddle of a stored path: the features that it needs, and how they are made from the columns of a file."""

    target: str
    jump: int
    recipe: Recipe
    features: tuple[str, ...]
    coefficients: Float64[ndarray, " d"]
    intercept: float

    @property
    def heads(self) -> tuple[str, ...]:
        """The titles of the predictions."""
        return ("prediction",)

    @property
    def told(self) -> str:
        """Say how the predictions are made."""
        active = int(np.count_nonzero(self.coefficients))
        return f"{self.target} is predicted from {active} features, by the saddle after jump {self.jump}"

    def records(self, X: Any) -> list[tuple[Any, ...]]:
        """Return the prediction of each row of the features (n, k) of the recipe, dense or sparse."""
        return [(value,) for value in self._predictions(X).tolist()]

    def score(self, X: Any, target: Any) -> str:
        """Say how far the predictions are from the target (n, 1)."""
        y = np.asarray(target.toarray() if hasattr(target, "toarray") else target)[:, 0]
        error, spread = float(np.mean((y - self._predictions(X)) ** 2)), float(np.var(y))
        share = (
            f"; R² is {1.0 - error / spread:.4g}, relative to the mean of {self.target} in these rows"
            if spread > 0.0
            else ""
        )
        return f"The mean squared error on these {len(y)} rows is {error:.4g}{share}."

    def _predictions(self, X: Any) -> Float64[ndarray, " n"]:
        places = {name: j for j, name in enumerate(self.recipe.features)}
        w = np.zeros(len(places))
        for name, value in zip(self.features, self.coefficients.tolist(), strict=True):
            if value:
                w[places[name]] = value
        return np.asarray(X @ w) + self.intercept


def stored_model(folder: Path, jump: int | None) -> Model | StoredClassifier:
    """Return the classifier in a folder, or a saddle of the path: after this jump, else the chosen one, else the last.

    Raises:
        InputError: the folder holds no results, a file is damaged, or the path has no such jump.
    """
    try:
        data = studies.stored_run(folder)
    except InputError as error:
        raise InputError(
            f"{error}; results of `implicitbias path --out` or `margin --out` are expected: type implicitbias path "
            f"DATA --target COLUMN --out {shlex.quote(str(folder))}"
        ) from None
    if data.attrs["study"] == MARGIN.name:
        if jump is not None:
            raise InputError(
                f"--jump is given, but {folder} holds a classifier, which has no jumps; leave out --jump"
            )
        return stored_classifier(data)
    if data.attrs["study"] != PATH.name:
        raise InputError(f"{folder} holds runs of {data.attrs['study']}, a path or a classifier is expected")
    last = data.sizes["jump"] - 1
    if jump is None:
        chosen = float(data["chosen_time"]) if "chosen_time" in data else np.inf
        jump = int(np.searchsorted(data["time"].values, chosen, side="right")) - 1
    if not 0 <= jump <= last:
        raise InputError(
            f"--jump is {jump}, a whole number from 0 to {last} is expected, the jumps of {folder}"
        )
    return Model(
        str(data["target"].item()),
        jump,
        Recipe.of_record(json.loads(str(data["recipe"].item()))),
        tuple(str(name) for name in data["feature"].values),
        np.asarray(data["original_coefficients"].values[jump], dtype=np.float64),
        float(data["intercept"].values[jump]),
    )


def run_predict(
    folder: Path, file: Path, *, out: Path | None, jump: int | None, score: bool, cleaning: Cleaning
) -> None:
    """Read the stored path and the new rows, and print or write the predictions.

    Raises:
        InputError: the folder, the file or an option cannot be used; nothing is written.
    """
    model = stored_model(folder, jump)
    if out is not None and out.exists():
        raise InputError(
            f"{out} exists already, and would be replaced; choose another --out FILE, or remove it"
        )

    def retry(wanted: Cleaning, _: str) -> str:
        words = ["implicitbias", "predict", typed_path(folder), typed_path(file), *cleaning_words(wanted)]
        words += [] if jump is None else ["--jump", str(jump)]
        words += [] if out is None else ["--out", typed_path(out)]
        return shlex.join([*words, "--score"] if score else words)

    # The file is read once, because standard input cannot be read again.
    recipe = model.recipe.with_target() if score else model.recipe
    rows = read_rows(file, recipe, cleaning, retry=retry)
    features = rows[:, : len(model.recipe.features)]
    predictions = model.records(features)
    scored = model.score(features, rows[:, len(model.recipe.features) :]) if score else ""
    if out is not None:
        _write(out, model.heads, predictions)
    _print(model, predictions, scored, out)


def _print(
    model: Model | StoredClassifier, predictions: list[tuple[Any, ...]], scored: str, out: Path | None
) -> None:
    if out is None:
        shown = _SHOWN if on_terminal() else len(predictions)
        record(("row", *model.heads))
        for row, values in enumerate(predictions[:shown], start=1):
            record((row, *values))
        if shown < len(predictions):
            say(f"{len(predictions) - shown} more rows are left out here; --out FILE writes all of them")
    say(model.told)
    if scored:
        say(scored)
    if out is not None:
        say(f"Predictions of {len(predictions)} rows: {out}")


def _write(out: Path, heads: tuple[str, ...], predictions: list[tuple[Any, ...]]) -> None:
    """Write the predictions as CSV; an error leaves no incomplete file."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("row", *heads))
    table.writerows((row, *values) for row, values in enumerate(predictions, start=1))
    try:
        with written_whole(out) as part, part.open("x", encoding="utf-8") as stream:
            stream.write(text.getvalue())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror or error}; choose another --out FILE"
        ) from None
