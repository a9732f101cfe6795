"""Data frames of any library in the form that every version of scikit-learn accepts."""

from typing import Any

from implicitbias._core.tables import frame_arrays, is_frame, is_series, series_array


def known_rows(X: Any) -> Any:
    """Return a data frame as a pandas frame of float64 with the same names, and any other object unchanged.

    scikit-learn keeps the names of the columns and compares them in `predict`. It does not convert pyarrow tables, and
    it converts nullable columns in different ways. A pandas frame with only sparse columns is left to scikit-learn,
    which does not make it dense.

    Raises:
        InputError: columns are not numbers, or values are missing.
    """
    if not is_frame(X):
        return X
    import pandas

    if isinstance(X, pandas.DataFrame):
        if X.shape[1] and all(isinstance(kind, pandas.SparseDtype) for kind in X.dtypes):
            return X
        # Labels of pandas may be numbers, which scikit-learn does not take as names.
        return pandas.DataFrame(frame_arrays(X, "X").values, columns=X.columns, copy=False)
    arrays = frame_arrays(X, "X")
    return pandas.DataFrame(arrays.values, columns=list(arrays.names), copy=False)


def known_targets(y: Any) -> Any:
    """Return a data frame or a column of one as a float64 array, and any other object unchanged.

    Raises:
        InputError: the values are not numbers, or are missing.
    """
    if is_frame(y):
        return frame_arrays(y, "y").values
    return series_array(y, "y") if is_series(y) else y
