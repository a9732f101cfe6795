"""The time, training error and test error in a measured log: a file, a mapping, a data frame, a dataset or arrays."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import columns, is_dataset
from implicitbias._core.tables import is_frame, numeric_columns, read_columns, some

KINDS = ("error", "accuracy", "squared_error")
_TIMES = ("t", "time", "step", "steps", "_step", "global_step", "iteration", "iter", "epoch", "epochs")
_SPLITS = {
    "train": {"train", "training"},
    "test": {"test", "val", "valid", "validation", "eval", "heldout"},
}
# The words of a column name that say what it holds; losses are not here, because a cross-entropy is no error.
_WORDS = {"error": {"error", "err"}, "accuracy": {"accuracy", "acc"}, "squared_error": {"mse"}}
_FEWEST = 4
_TYPE = 'type ib.grokking.phases(log, time="step", train="train/acc", test="val/acc", kind="accuracy")'


class Series(NamedTuple):
    """One error over time: ascending times, without missing values.

    Attributes:
        times: (m,) the times.
        errors: (m,) the errors.
    """

    times: Float64[ndarray, " m"]
    errors: Float64[ndarray, " m"]


class Log(NamedTuple):
    """A measured log.

    Attributes:
        train: the training error.
        test: the test error.
        kind: "error" for misclassified fractions, or "squared_error".
    """

    train: Series
    test: Series
    kind: str


def read_log(curve: Any, names: Mapping[str, str | None], kind: str | None) -> Log:
    """Return the log in any of its forms.

    Args:
        curve: the log.
        names: the names of the columns "time", "train" and "test"; None to recognise them.
        kind: one of `KINDS`; None to recognise it from the names.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f'kind is {kind!r}, "error", "accuracy" or "squared_error" is expected; {_TYPE}')
    table, named = _table(curve)
    if not named:
        chosen, kind = dict(zip(("time", "train", "test"), table, strict=True)), kind or "error"
    else:
        chosen, kind = _chosen(table, names, kind)
    arrays = {role: _numbers(table[label], label) for role, label in chosen.items()}
    lengths = {role: len(array) for role, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"the columns have {lengths['time']} times, {lengths['train']} training and {lengths['test']} test values; "
            "columns of one length are expected, with NaN where nothing was measured"
        )
    parts = [_series(arrays["time"], arrays[role], chosen[role], kind) for role in ("train", "test")]
    return Log(parts[0], parts[1], "squared_error" if kind == "squared_error" else "error")


def _table(curve: Any) -> tuple[dict[str, Any], bool]:
    """Return the columns by name, and whether the names are those of the user."""
    if isinstance(curve, (str, Path)):
        return read_columns(Path(curve)), True
    if is_dataset(curve):
        return columns(curve), True
    if isinstance(curve, Mapping):
        return {str(key): value for key, value in curve.items()}, True
    if is_frame(curve):
        return numeric_columns(curve, "curve"), True
    parts = list(curve.T) if isinstance(curve, ndarray) and curve.ndim == 2 else curve
    if not isinstance(parts, (list, tuple)) or len(parts) != 3:
        shape = f" of shape {curve.shape}" if isinstance(curve, ndarray) else ""
        raise InputError(
            f"curve is a {type(curve).__name__}{shape}; the path of a CSV file, a dictionary of arrays, a data frame, "
            "an xarray.Dataset, three arrays (times, training errors, test errors) or an array (m, 3) is expected"
        )
    return dict(zip(("times", "training errors", "test errors"), parts, strict=True)), False


def _chosen(
    table: dict[str, Any], names: Mapping[str, str | None], kind: str | None
) -> tuple[dict[str, str], str]:
    """Return the name of the column of each role, and the kind of the errors."""
    for role, name in names.items():
        if name is not None and name not in table:
            raise InputError(
                f"{role} is {name!r}, which is not a column of numbers; there are {some(list(table))}"
            )
    time = names["time"] or next((name for word in _TIMES for name in table if name.lower() == word), None)
    if time is None:
        raise InputError(f"no column is a time; there are {some(list(table))}; {_TYPE}")
    given = {role: name for role in ("train", "test") if (name := names[role]) is not None}
    for tried in KINDS if kind is None else (kind,):
        found = {role: _named(table, role, tried) for role in _SPLITS}
        fits = {role: [name] for role, name in given.items() if kind is not None or name in found[role]}
        options = found | fits
        if any(role in given and role not in fits for role in _SPLITS):
            continue
        if all(len(options[role]) == 1 for role in _SPLITS):
            return {"time": time, **{role: options[role][0] for role in _SPLITS}}, tried
        several = [name for role in _SPLITS if len(options[role]) > 1 for name in options[role]]
        if several:
            raise InputError(f"several columns may be meant: {some(several)}; {_TYPE}")
    raise InputError(
        "no pair of columns is a training and a test error (or accuracy), like train_error and test_error; there are "
        f"{some(list(table))}. Losses are not errors: for squared errors say so; {_TYPE}"
    )


def _named(table: dict[str, Any], role: str, kind: str) -> list[str]:
    """Return the columns whose names say that they hold this error of this split."""
    found = []
    for name in table:
        words = set(re.split(r"[^a-z0-9]+", name.lower()))
        if words & _SPLITS[role] and words & _WORDS[kind]:
            found.append(name)
    return found


def _numbers(values: Any, label: str) -> Float64[ndarray, " n"]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{label} does not hold numbers ({error}); an array of floats is expected"
        ) from error
    if array.ndim != 1:
        raise InputError(f"{label} has shape {array.shape}, one value for each time is expected: (n,)")
    return array


def _series(times: ndarray, values: ndarray, label: str, kind: str) -> Series:
    """Return the measured values in the order of time; of two values at one time the later one in the log is kept."""
    known = ~(np.isnan(times) | np.isnan(values))
    times, values = times[known], values[known]
    bad = np.flatnonzero(~np.isfinite(times) | ~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{label} or its time is infinite in {len(bad)} rows, the first at time {times[bad[0]]:g}; finite numbers "
            "are expected, and NaN where nothing was measured. The likely cause is a run that diverged"
        )
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(np.diff(times) > 0.0, True)[: len(times)]
    times, values = times[last], values[last]
    if len(times) < _FEWEST:
        raise InputError(
            f"{label} has {len(times)} measured values at different times, at least {_FEWEST} are expected; log more "
            "often, for instance at times that grow by a constant factor"
        )
    if times[0] < 0.0:
        raise InputError(f"the first time is {times[0]:g}, times from 0 on are expected")
    if kind != "squared_error" and (np.min(values) < 0.0 or np.max(values) > 1.0):
        hint = f"; type {label} / 100 if they are percentages" if np.max(values) <= 100.0 else ""
        raise InputError(
            f"{label} lies in [{np.min(values):g}, {np.max(values):g}], fractions from 0 to 1 are expected{hint}"
        )
    if np.min(values) < 0.0:
        raise InputError(f"{label} has the value {np.min(values):g}, squared errors >= 0 are expected")
    return Series(times, 1.0 - values if kind == "accuracy" else values)
