"""The sentences and numbers that the terminal, the page and the machine-readable output have in common."""

from implicitbias.plotting._path_report import PathReport
from implicitbias.plotting._text import short

# What the held-out error of a row of the table of jumps is.
HELD_OUT_MEANING = (
    "The held-out error is the least one while the path rests at the saddle of that row; in the chosen row it is the "
    "error at the chosen slow time. It averages the folds, whose own paths jump at slightly other times."
)


def badge(report: PathReport) -> str:
    """Return in a few words whether the path is certified."""
    certified = report.path.certificate.holds and report.path.status.ok
    return "path certified" if certified else "path NOT certified"


def certificate_sentence(report: PathReport) -> str:
    """Return what the certificate proves about the path, and what it does not say."""
    return (
        f"Certificate of the path. {report.path.certificate.sentence} "
        "It concerns the optimality of the path and says nothing about the quality of predictions."
    )


def chosen_sentence(report: PathReport) -> str:
    """Return sentences with the chosen time and its R^2 and error on held-out rows; "" without cross-validation."""
    if report.validation is None:
        return ""
    curve, chosen = report.validation
    folds = len(curve.weights)
    active = len(report.path.active_sets[report.row])
    mean, error = curve.at(chosen)
    start = float(curve.mean[0])
    spread = "" if folds == 1 else f" ± {short(error)} (± is one standard error over the folds)"
    text = (
        f"{folds}-fold cross-validation chooses slow time {short(chosen)}, the saddle after jump {report.row} of "
        f"{report.path.n_jumps}, with {active} active feature{'' if active == 1 else 's'}. The mean squared error of "
        f"held-out rows at that time is {short(mean)}{spread}; without features it is {short(start)}. R² is "
        f"{short(held_out_r2(report))} on held-out rows (1 minus the ratio of these two errors) and "
        f"{short(float(report.r2[report.row]))} on the rows of the fit."
    )
    if chosen != curve.best():
        text += (
            f" The least error is {short(curve.at(curve.best()).mean)} at slow time {short(curve.best())}; the chosen "
            "time is the earliest one within one standard error of it."
        )
    return text


def held_out_r2(report: PathReport) -> float:
    """Return 1 - (held-out error at the chosen time) / (held-out error without features); nan without a choice."""
    if report.validation is None:
        return float("nan")
    curve, chosen = report.validation
    return float(curve.r2[curve.row(chosen)])


def chosen_numbers(report: PathReport) -> dict[str, float]:
    """Return the numbers of the choice by name, unrounded; {} without cross-validation.

    The names are `slow_time`, `jump`, `active`, `held_out_error`, `standard_error` (over the folds), `least_error`,
    `least_error_time`, `error_without_features`, `held_out_r2`, `r2` (on the rows of the fit) and `folds`.
    """
    if report.validation is None:
        return {}
    curve, chosen = report.validation
    mean, error = curve.at(chosen)
    return {
        "slow_time": chosen,
        "jump": report.row,
        "active": len(report.path.active_sets[report.row]),
        "held_out_error": mean,
        "standard_error": error,
        "least_error": curve.at(curve.best()).mean,
        "least_error_time": curve.best(),
        "error_without_features": float(curve.mean[0]),
        "held_out_r2": held_out_r2(report),
        "r2": float(report.r2[report.row]),
        "folds": len(curve.weights),
    }
