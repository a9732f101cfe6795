"""Saddle paths as files: an NPZ archive of arrays and a JSON header, without pickled code."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from scipy import sparse

from implicitbias._core.archive import FileKind, damage_told, read_archive, write_archive
from implicitbias._core.arrays import frozen
from implicitbias._core.certificate import Certificate
from implicitbias._core.status import Status
from implicitbias.limits._problem_files import problem_record, stored_problem
from implicitbias.parametrizations import Growth, split_of_record, split_record
from implicitbias.problems import LeastSquares

_KIND = FileKind("implicitbias.SaddlePath", 1, "saddle path")


def write(path: Any, file: Path) -> None:
    """Write a `SaddlePath` to one NPZ file; an error leaves no partial file."""
    problem, table = path.problem, path.coefficients_sparse
    lengths = [len(places) for places in path.equicorrelation_sets]
    arrays: dict[str, ndarray] = {
        "times": path.times,
        "nu": path.nu,
        "losses": path.losses,
        "unique": path.unique,
        "strictly_complementary": path.strictly_complementary,
        "valid_until": np.array(path.valid_until),
        "data": table.data,
        "indices": table.indices,
        "indptr": table.indptr,
        "boundary": np.concatenate(
            [np.asarray(places, dtype=np.int64) for places in path.equicorrelation_sets]
        ),
        "boundary_ends": np.cumsum(lengths, dtype=np.int64),
    }
    growth, split = path.growth_times, None
    if growth is not None:
        split, fields = split_record(growth.split)
        arrays |= {"t_plus": growth.t_plus, "t_minus": growth.t_minus}
        arrays |= {f"split.{name}": field for name, field in fields.items()}
    statement, data = problem_record(problem)
    header = {"status": path.status.name, "certificate": path.certificate.record(), **statement}
    header["growth"] = None if growth is None else {"order": growth.order, "split": split}
    write_archive(file, _KIND, header, arrays | data)


def read(file: Path, like: LeastSquares | None) -> dict[str, Any]:
    """Return the fields of the `SaddlePath` that `write` wrote."""
    header, arrays = read_archive(file, _KIND)
    with damage_told(file, _KIND):
        problem = stored_problem(file, _KIND, header, arrays, like)
        table = tuple(arrays[name] for name in ("data", "indices", "indptr"))
        rows, d = len(arrays["times"]), int(header["shape"][1])
        ends = np.concatenate([[0], arrays["boundary_ends"]])
        return {
            "problem": problem,
            "times": arrays["times"],
            "coefficients_sparse": sparse.csr_array(table, shape=(rows, d)),
            "nu": arrays["nu"],
            "losses": arrays["losses"],
            "equicorrelation_sets": tuple(frozen(arrays["boundary"][a:b]) for a, b in pairwise(ends)),
            "unique": arrays["unique"],
            "strictly_complementary": arrays["strictly_complementary"],
            "valid_until": float(arrays["valid_until"]),
            "certificate": Certificate.of_record(header["certificate"]),
            "status": Status[header["status"]],
            "growth_times": _growth(header["growth"], arrays),
        }


def _growth(record: dict[str, Any] | None, arrays: dict[str, ndarray]) -> Growth | None:
    """Return the growth of the network of a stored path; None for the default network."""
    if record is None:
        return None
    prefix = "split."
    fields = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    split = split_of_record(record["split"], fields)
    return Growth(arrays["t_plus"], arrays["t_minus"], record["order"], split)
