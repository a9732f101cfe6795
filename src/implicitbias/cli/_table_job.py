"""What the commands that fit a table compute in the same way: the frame of features, and facts for the report."""

import platform
from importlib.metadata import version
from typing import Any

import pandas
from numpy import ndarray

from implicitbias import __version__
from implicitbias._core.tables import Table

_WRITTEN_VERSIONS = ("numpy", "scipy", "scikit-learn", "pandas")


def feature_frame(table: Table) -> Any:
    """Return the features as a pandas frame with their names."""
    names = list(table.features)
    if isinstance(table.X, ndarray):
        return pandas.DataFrame(table.X, columns=names)
    # scikit-learn takes the scipy.sparse matrix out of such a frame, and the names
    return pandas.DataFrame.sparse.from_spmatrix(table.X, columns=names)


def data_facts(table: Table, standardize: bool, intercept: bool) -> dict[str, str]:
    """Return the facts about the data and their scaling."""
    n, d = table.X.shape
    columns = "standardised (mean 0, standard deviation 1)" if standardize else "not scaled"
    return {
        "data": f"{table.title}: {table.layout}; {n} rows, {d} features and the target {table.target}",
        "SHA-256": table.digest,
        "features": columns if intercept or not standardize else "divided by their standard deviations",
        "intercept": "fitted" if intercept else "none",
    }


def origin_facts(command: str, in_python: str) -> dict[str, str]:
    """Return the lines that give the same result, and versions."""
    return {
        "command": command,
        "in Python": in_python,
        "versions": f"implicitbias {__version__}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in _WRITTEN_VERSIONS),
    }
