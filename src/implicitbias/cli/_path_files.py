"""The files of `implicitbias path --out`: the path as CSV, NetCDF and PNG, and the report as an HTML page."""

from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.labelled import write_netcdf
from implicitbias.plotting import PathReport, path_page, plot

_OWN_COLUMNS = ("jump", "time", "loss", "r2", "intercept")


def write_files(report: PathReport, folder: Path) -> None:
    """Write path.csv, path.nc, path.png and report.html into an existing folder."""
    path_table(report).to_csv(folder / "path.csv", index=False)
    write_netcdf(path_dataset(report), folder / "path.nc")
    plot(report.path).savefig(folder / "path.png", dpi=150)
    (folder / "report.html").write_text(path_page(report), encoding="utf-8")


def path_table(report: PathReport) -> Any:
    """Return a table with one row for each jump and coefficients in the units of the data.

    A feature that has the name of another column, such as "time", is called `(name)`.
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
    return pandas.concat(
        [pandas.DataFrame(own), pandas.DataFrame(report.coefficients.toarray(), columns=names)], axis=1
    )


def csv_names(names: tuple[str, ...]) -> list[str]:
    """Return the names of features, in parentheses if they would repeat the name of another column of the table."""
    result = list(names)
    for i, name in enumerate(names):
        while result[i] in _OWN_COLUMNS or (result[i] != name and result[i] in names):
            result[i] = f"({result[i]})"
    return result


def path_dataset(report: PathReport) -> Any:
    """Return the path as a dataset, with its own coefficients and with those in the units of the data."""
    data = report.path.to_dataset()
    data["original_coefficients"] = (("jump", "feature"), report.coefficients.toarray())
    data["intercept"] = (("jump",), report.intercepts)
    data["r2"] = (("jump",), report.r2)
    for name, value in report.facts.items():
        data.attrs[name.replace(" ", "_")] = value
    data.attrs["target"] = report.target
    if report.validation is not None:
        data.attrs["chosen_time"] = report.validation.chosen
        data["cv_time"] = (("step",), report.validation.curve.times)
        data["cv_error"] = (("step", "fold"), report.validation.curve.errors)
    return data
