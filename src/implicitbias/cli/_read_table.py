"""The function `read_table`, which reads a CSV, TSV, Parquet or NPZ file as names and numbers."""

import gzip
import hashlib
import shlex
import zlib
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.cli._columns import numeric_columns
from implicitbias.cli._delimited import Delimited, read_delimited
from implicitbias.cli._npz import read_npz
from implicitbias.cli._source import Source, some, text_literal

_OTHER_READERS = {
    ".xlsx": "read_excel", ".xls": "read_excel", ".ods": "read_excel", ".feather": "read_feather", ".json": "read_json",
    ".sas7bdat": "read_sas", ".sav": "read_spss", ".dta": "read_stata", ".pkl": "read_pickle", ".pickle": "read_pickle",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Table:
    """A table to fit.

    Attributes:
        file: the path as the user wrote it.
        layout: format and separator, in words.
        digest: SHA-256 of the file.
        target: name of the target.
        features: names of the d features.
        X: (n, d) features.
        y: (n,) target.
        notes: sentences about decisions that the user did not make, such as a column that was left out.
    """

    file: Path
    layout: str
    digest: str
    target: str
    features: tuple[str, ...]
    X: Float64[ndarray, "n d"]
    y: Float64[ndarray, " n"]
    notes: tuple[str, ...]


def read_table(file: Path, targets: list[str]) -> Table:
    """Return the features and the target in a CSV, TSV, Parquet or NPZ file.

    Raises:
        InputError: the file, the target or some columns cannot be used.
    """
    if len(targets) > 1:
        raise InputError(f"--target is given {len(targets)} times ({some(targets)}); one target is expected")
    data = _contents(file)
    digest = hashlib.sha256(data).hexdigest()
    kind = file.suffix.lower()
    if kind == ".gz":
        data, kind = _unpacked(file, data), file.with_suffix("").suffix.lower()
    wanted = targets[0] if targets else ""
    if kind == ".npz":
        archive = read_npz(file, data, wanted)
        found, wanted = (
            Delimited(archive.frame, Source(file, ""), archive.layout, archive.notes),
            archive.target,
        )
    elif kind in (".parquet", ".pq"):
        found = _parquet(file, data)
    elif kind in _OTHER_READERS:
        source = Source(file, f"pandas.{_OTHER_READERS[kind]}({text_literal(str(file))})")
        raise InputError(
            f"{file} has the ending {kind}; CSV, TSV, Parquet or NPZ is expected: {source.line('')}"
        )
    else:
        found = read_delimited(file, data)
    _check_target(file, [str(name) for name in found.frame.columns], wanted)
    columns = numeric_columns(found.frame, wanted, found.source)
    notes = (*found.notes, *columns.notes)
    return Table(file, found.layout, digest, wanted, columns.features, columns.X, columns.y, notes)


def _contents(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        near = []
        if file.parent.is_dir():
            near = get_close_matches(
                file.name, [path.name for path in file.parent.iterdir() if path.is_file()], n=3
            )
        hint = f"; did you mean {' or '.join(str(file.with_name(name)) for name in near)}?" if near else ""
        raise InputError(f"there is no file {file}{hint}") from None
    except IsADirectoryError:
        raise InputError(f"{file} is a folder, a file is expected: CSV, TSV, Parquet or NPZ") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None


def _unpacked(file: Path, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} cannot be unpacked by gzip ({error}); is it complete?") from None


def _parquet(file: Path, data: bytes) -> Delimited:
    import pandas
    from pyarrow import parquet

    try:
        repeated = [
            name for name, count in Counter(parquet.read_schema(BytesIO(data)).names).items() if count > 1
        ]
        if repeated:
            raise InputError(
                f"{file}: more than one column has the name {some(repeated)}; give each column its own name"
            )
        frame: Any = pandas.read_parquet(BytesIO(data))
    except InputError:
        raise
    except (ValueError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "unknown"
        raise InputError(f"{file} cannot be read as Parquet: {first}") from None
    frame.columns = [str(name) for name in frame.columns]
    kept = [str(name) for name in frame.index.names if name is not None]
    notes = (f"the index of the table ({some(kept)}) was left out",) if kept else ()
    return Delimited(frame, Source(file, f"pandas.read_parquet({text_literal(str(file))})"), "Parquet", notes)


def _check_target(file: Path, names: list[str], target: str) -> None:
    if target in names:
        return
    if not names:
        raise InputError(f"{file} has no columns; a target and at least one feature are expected")
    if not target:
        raise InputError(
            f"no --target is given, one of the columns of {file} is expected: {some(names, 12)}; "
            f"type implicitbias path {shlex.quote(str(file))} --target {shlex.quote(names[-1])}"
        )
    folded = {name.strip().lower(): name for name in reversed(names)}
    near = [folded[word] for word in get_close_matches(target.strip().lower(), folded, n=3)]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {some(names, 12)}"
    raise InputError(f"{file} has no column {target!r}; {hint}")
