"""The output of `implicitbias path --json`: one JSON document with the content of the files of `--out`."""

import math
from pathlib import Path
from typing import Any

from implicitbias._core.certificate import Certificate
from implicitbias.diagnostics import ErrorCurve
from implicitbias.plotting import PathReport, chosen_numbers


def path_record(report: PathReport, out: Path | None = None) -> dict[str, Any]:
    """Return the path, its certificate and the cross-validation as values for strict JSON.

    Names are those of path.csv and of the store. Numbers keep all digits, and a number that is not finite is None. The
    entry `path` has one record for each jump, with the coefficients that are not 0, in the units of the data.
    """
    path, validation = report.path, report.validation
    n, d = path.problem.shape
    return {
        "data": report.title,
        "target": report.target,
        "rows": n,
        "features": d,
        "ever_active": [report.names[i] for i in report.used.tolist()],
        "notes": list(report.notes),
        "facts": dict(report.facts),
        "status": {"name": path.status.name, "ok": path.status.ok, "sentence": path.status.value},
        "certificate": certificate_record(path.certificate),
        "valid_until": _number(path.valid_until),
        "path": [_jump(report, k) for k in range(len(path.times))],
        "chosen": {name: _number(value) for name, value in chosen_numbers(report).items()} or None,
        "cross_validation": None if validation is None else _errors(validation.curve),
        "folder": None if out is None else str(out),
    }


def _errors(curve: ErrorCurve) -> dict[str, Any]:
    return {
        "cv_time": list(map(_number, curve.times)),
        "cv_error": [list(map(_number, row)) for row in curve.errors],
        "mean": list(map(_number, curve.mean)),
        "standard_error": list(map(_number, curve.standard_error)),
    }


def certificate_record(certificate: Certificate) -> dict[str, Any]:
    """Return the numbers and the verdict of a certificate; `Certificate.of_record` reads the numbers back.

    Finite numbers are numbers here. The others are the texts "nan" and "inf".
    """
    plain = certificate.record()
    plain["gap"] = None if certificate.gap is None else _or_text(certificate.gap)
    plain["residuals"] = {name: _or_text(value) for name, value in certificate.residuals.items()}
    plain["tolerance"] = certificate.tolerance
    plain["tolerances"] = dict(certificate.tolerances)
    return {**plain, "holds": certificate.holds, "sentence": certificate.sentence}


def _jump(report: PathReport, k: int) -> dict[str, Any]:
    path = report.path
    entered, left = report.changes(k)
    held_out = report.held_out_error(k)
    row = report.coefficients[[k]].tocoo()
    values = dict(zip(row.coords[1].tolist(), row.data.tolist(), strict=True))
    return {
        "jump": k,
        "time": _number(path.times[k]),
        "loss": _number(path.losses[k]),
        "r2": _number(report.r2[k]),
        "intercept": _number(report.intercepts[k]),
        "active": len(path.active_sets[k]),
        "held_out_error": None if held_out is None else _number(held_out),
        "enters": [name[1:] for name in entered],
        "leaves": left,
        "coefficients": {report.names[i]: _number(values[i]) for i in sorted(values)},
    }


def _number(value: Any) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None


def _or_text(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)
