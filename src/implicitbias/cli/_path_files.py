"""The files of `implicitbias path --out`: the path as CSV, NetCDF and picture, and the report as one page."""

from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.labelled import write_netcdf
from implicitbias.plotting import PathReport, path_page, plot

_OWN_COLUMNS = ("jump", "time", "loss", "r2", "intercept")


def write_files(report: PathReport, folder: Path) -> None:
    """path.csv, path.nc, path.png and report.html, into a folder that is there."""
    path_table(report).to_csv(folder / "path.csv", index=False)
    write_netcdf(path_dataset(report), folder / "path.nc")
    plot(report.path).savefig(folder / "path.png", dpi=150)
    (folder / "report.html").write_text(path_page(report), encoding="utf-8")


def path_table(report: PathReport) -> Any:
    """One row a jump, coefficients in the units of the data. A feature named like a column of ours is `(name)`."""
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
    """Names of features, in parentheses where they would repeat a column of ours."""
    result = list(names)
    for i, name in enumerate(names):
        while result[i] in _OWN_COLUMNS or (result[i] != name and result[i] in names):
            result[i] = f"({result[i]})"
    return result


def path_dataset(report: PathReport) -> Any:
    """The path as it was computed, and beside it the coefficients in the units of the data."""
    data = report.path.to_dataset()
    data["original_coefficients"] = (("jump", "feature"), report.coefficients.toarray())
    data["intercept"] = (("jump",), report.intercepts)
    data["r2"] = (("jump",), report.r2)
    for name, value in report.facts.items():
        data.attrs[name.replace(" ", "_")] = value
    data.attrs["target"] = report.target
    if report.validation is not None:
        data.attrs["chosen_time"] = report.validation.chosen
        data["cv_time"] = (("step",), report.validation.times)
        data["cv_error"] = (("step", "fold"), report.validation.errors)
    return data
