"""The bytes of a file or of standard input, unpacked."""

import bz2
import gzip
import lzma
import sys
import zlib
from difflib import get_close_matches
from pathlib import Path

from implicitbias._core.errors import InputError

STANDARD_INPUT = Path("-")
_SHOWN_INPUT = Path("standard input")
_COMPRESSED = {
    ".gz": ("gzip", gzip.decompress),
    ".bz2": ("bzip2", bz2.decompress),
    ".xz": ("xz", lzma.decompress),
}
_ENDINGS = {
    *_COMPRESSED, ".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".parquet", ".pq", ".feather", ".arrow", ".ipc",
    ".npy", ".npz", ".xlsx", ".xls", ".ods", ".json",
}  # fmt: skip


def stem(file: Path) -> str:
    """Return the name of a file without its known endings, and "table" for standard input.

    Examples:
        >>> stem(Path("data.csv.gz")), stem(Path("-"))
        ('data', 'table')
    """
    if file == STANDARD_INPUT:
        return "table"
    name = file.name
    while Path(name).suffix.lower() in _ENDINGS and Path(name).stem:
        name = Path(name).stem
    return name


def shown(file: Path) -> Path:
    """Return how messages name a file: "standard input" for "-"."""
    return _SHOWN_INPUT if file == STANDARD_INPUT else file


def typed_path(path: Path) -> str:
    """Return a path as a word on the command line. A name that begins with a hyphen would be taken for an option.

    Examples:
        >>> typed_path(Path("-data.csv")), typed_path(Path("-"))
        ('./-data.csv', '-')
    """
    word = str(path)
    return f"./{word}" if word.startswith("-") and path != STANDARD_INPUT else word


def is_on_disk(file: Path) -> bool:
    """Return whether messages may say to look at the file."""
    return file not in (STANDARD_INPUT, _SHOWN_INPUT)


def contents(file: Path) -> bytes:
    """Return the bytes of a file, or of standard input if the file is "-".

    Raises:
        InputError: the file is not there, is a folder, or cannot be read.
    """
    if file == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise InputError(
                "the table is read from standard input (-), which is a terminal; pipe a CSV table into it"
            )
        return sys.stdin.buffer.read()
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
        raise InputError(
            f"{file} is a folder, a file is expected: CSV, TSV, Parquet, Feather, NPY or NPZ"
        ) from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None


def unpacked(file: Path, data: bytes) -> tuple[bytes, Path]:
    """Return the bytes and the name of what a compressed file holds; other files are returned unchanged.

    Raises:
        InputError: the compressed bytes are damaged or incomplete.
    """
    if file.suffix.lower() not in _COMPRESSED:
        return data, file
    kind, unpack = _COMPRESSED[file.suffix.lower()]
    try:
        return unpack(data), file.with_suffix("")
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{file} cannot be unpacked by {kind} ({error}); is it complete?") from None
