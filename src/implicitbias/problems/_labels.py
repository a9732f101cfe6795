"""Checks of labels: two classes become signs, more classes become integers."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError

_MOST_CLASSES = 2**31


def two_classes(y: Any) -> tuple[Float64[ndarray, " n"], tuple[Any, Any]]:
    """Return the signs -1.0 and +1.0 of the labels, and the pair of labels that they stand for."""
    labels = _plain(y)
    values = np.unique(labels)
    if len(values) != 2:
        shown = ", ".join(repr(value) for value in values[:5].tolist()) + (" ..." if len(values) > 5 else "")
        raise InputError(
            f"y holds {len(values)} different label(s) ({shown}), two are expected"
            + (
                "; for more classes type ib.Classification(X, y, loss='cross_entropy')"
                if len(values) > 2
                else ""
            )
        )
    low, high = values.tolist()
    return frozen(np.where(labels == values[1], 1.0, -1.0)), (low, high)


def many_classes(y: Any) -> tuple[Int64[ndarray, " n"], tuple[Any, ...]]:
    """Return the labels as indices 0 ... k - 1 into the sorted values, and the k values."""
    labels = _plain(y)
    values, indices = np.unique(labels, return_inverse=True)
    if len(values) < 2:
        raise InputError(f"y holds one class only ({values.tolist()[0]!r}), at least two are expected")
    return frozen(indices.astype(np.int64)), tuple(values.tolist())


def class_indices(y: Any) -> Int64[ndarray, " n"]:
    """Return labels 0, 1, ..., k - 1 as integers."""
    labels = _plain(y)
    hint = "whole numbers 0 ... k - 1 are expected for loss='cross_entropy'"
    if (
        labels.dtype.kind not in "fiub"
        or labels.min() < 0
        or labels.max() >= _MOST_CLASSES
        or np.any(labels != np.floor(labels))
    ):
        raise InputError(
            f"y holds labels such as {', '.join(repr(label) for label in np.unique(labels)[:3].tolist())}, {hint}; "
            "type y = numpy.unique(y, return_inverse=True)[1]"
        )
    if np.all(labels == labels[0]):
        raise InputError(f"y holds one class only ({int(labels[0])}), at least two are expected; {hint}")
    return frozen(labels.astype(np.int64))


def _plain(y: Any) -> ndarray:
    """Return labels (n,) as an array of one comparable type, or raise an `InputError` if a label is missing."""
    if isinstance(y, np.ma.MaskedArray):
        raise InputError("y is a masked array, and its mask would be lost; drop the masked rows")
    if type(y).__module__.startswith("scipy.sparse"):
        raise InputError("y is a scipy.sparse matrix, labels (n,) are expected; type y = y.toarray().ravel()")
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise InputError(f"y is not an array of labels: {error}") from error
    if labels.ndim != 1 or len(labels) == 0:
        hint = "; type y = y.argmax(axis=1)" if labels.ndim == 2 and labels.shape[1] > 1 else ""
        hint = "; type y = numpy.ravel(y)" if labels.ndim == 2 and labels.shape[1] == 1 else hint
        raise InputError(f"y has shape {labels.shape}, one label for each row is expected: (n,){hint}")
    if labels.dtype == object:
        labels = _one_kind(labels)
    if labels.dtype.kind in "cV":
        raise InputError(f"y holds labels of type {labels.dtype}; numbers, strings or booleans are expected")
    missing = ~np.isfinite(labels) if labels.dtype.kind == "f" else labels != labels
    if np.any(missing):
        raise InputError(
            f"y holds {int(missing.sum())} NaN or infinite label(s), the first at [{np.flatnonzero(missing)[0]}]; "
            "drop those rows first"
        )
    return labels


def _one_kind(labels: ndarray) -> ndarray:
    """Return an array of Python objects as an array of strings, booleans, integers or floats."""
    items = labels.tolist()
    for kind, dtype in (
        (str, np.str_),
        ((bool, np.bool_), np.bool_),
        (Integral, np.int64),
        (Real, np.float64),
    ):
        # For Python, True is an integer. A mixture of booleans and numbers is probably a mistake and is rejected.
        if (
            all(isinstance(item, kind) for item in items)
            and len({isinstance(item, bool) for item in items}) == 1
        ):
            try:
                return labels.astype(dtype)
            except OverflowError:
                continue
    kinds = sorted({type(item).__name__ for item in items})
    raise InputError(
        f"y holds Python objects of type {', '.join(kinds)}; strings, booleans or numbers of one type are expected "
        "without missing labels: type y = y.astype(str), or drop the rows without a label"
    )
