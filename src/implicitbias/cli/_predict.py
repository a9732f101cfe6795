"""The command `implicitbias predict`: predictions for new rows from the results of `implicitbias path --out`."""

import json
import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import read_netcdf
from implicitbias._core.tables import Cleaning, Recipe, read_rows, typed_path
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

    def predict(self, X: Any) -> Float64[ndarray, " n"]:
        """Return the predictions for the features (n, k) of the recipe, dense or sparse."""
        places = {name: j for j, name in enumerate(self.recipe.features)}
        w = np.zeros(len(places))
        for name, value in zip(self.features, self.coefficients.tolist(), strict=True):
            if value:
                w[places[name]] = value
        return np.asarray(X @ w) + self.intercept


def stored_model(folder: Path, jump: int | None) -> Model:
    """Return a saddle of the path in a folder: the one after this jump, else the chosen one, else the last one.

    Raises:
        InputError: the folder holds no path, or the path has no such jump.
    """
    file = folder / "path.nc"
    if not file.is_file():
        raise InputError(
            f"{folder} holds no path.nc, results of `implicitbias path --out` are expected: type "
            f"implicitbias path DATA --target COLUMN --out {shlex.quote(str(folder))}"
        )
    data = read_netcdf(file)
    if "recipe" not in data:
        again = data.attrs.get("command", "implicitbias path DATA --target COLUMN")
        raise InputError(
            f"{file} does not say how its features are made, because an earlier version wrote it; make it again: type "
            f"{again} --out {shlex.quote(str(folder))}"
        )
    last = data.sizes["jump"] - 1
    if jump is None:
        times, chosen = data["time"].values, float(data.attrs.get("chosen_time", np.inf))
        jump = int(np.searchsorted(times, chosen, side="right")) - 1
    if not 0 <= jump <= last:
        raise InputError(
            f"--jump is {jump}, a whole number from 0 to {last} is expected, the jumps of {file}"
        )
    return Model(
        str(data.attrs["target"]),
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
    predictions = model.predict(rows[:, : len(model.recipe.features)])
    scored = _score(rows[:, [-1]], predictions, model.target) if score else ""
    if out is not None:
        _write(out, predictions)
    _print(model, predictions, scored, out)


def _score(target: Any, predictions: Float64[ndarray, " n"], name: str) -> str:
    y = np.asarray(target.toarray() if hasattr(target, "toarray") else target)[:, 0]
    error, spread = float(np.mean((y - predictions) ** 2)), float(np.var(y))
    share = (
        f"; R² is {1.0 - error / spread:.4g}, relative to the mean of {name} in these rows"
        if spread > 0.0
        else ""
    )
    return f"The mean squared error on these {len(y)} rows is {error:.4g}{share}."


def _print(model: Model, predictions: Float64[ndarray, " n"], scored: str, out: Path | None) -> None:
    if out is None:
        shown = _SHOWN if on_terminal() else len(predictions)
        record(("row", "prediction"))
        for row, value in enumerate(predictions[:shown].tolist(), start=1):
            record((row, value))
        if shown < len(predictions):
            say(f"{len(predictions) - shown} more rows are left out here; --out FILE writes all of them")
    active = int(np.count_nonzero(model.coefficients))
    say(f"{model.target} is predicted from {active} features, by the saddle after jump {model.jump}")
    if scored:
        say(scored)
    if out is not None:
        say(f"Predictions of {len(predictions)} rows: {out}")


def _write(out: Path, predictions: Float64[ndarray, " n"]) -> None:
    """Write the predictions as CSV; an error leaves no incomplete file."""
    lines = [
        "row,prediction",
        *(f"{row},{value!r}" for row, value in enumerate(predictions.tolist(), start=1)),
    ]
    part = out.with_name(f".{out.name}.{uuid4().hex}.part")
    try:
        try:
            with part.open("x", encoding="utf-8") as stream:
                stream.write("\n".join(lines) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {out}: {error.strerror or error}; choose another --out FILE"
        ) from None
