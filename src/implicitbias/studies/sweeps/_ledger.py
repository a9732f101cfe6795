"""The ledger of a sweep's store: a SQLite file that says what became of each run and where its values are."""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from implicitbias._core.errors import ImplicitBiasError, InputError

LEDGER = "ledger.sqlite"
_FORMAT = 1
# Another sweep may write at the same time; a merge of large parts takes seconds.
_PATIENCE_SECONDS = 120.0
# A copy during which the ledger changed is made again, so many times at most.
_COPIES = 20
_TABLES = """
CREATE TABLE IF NOT EXISTS format (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, layout TEXT NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS parts (
    id INTEGER PRIMARY KEY, file TEXT NOT NULL, layout TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY,      -- fingerprint of study and settings
    study TEXT NOT NULL,
    settings TEXT NOT NULL,    -- JSON
    code TEXT NOT NULL,        -- version of the code that computed it
    state TEXT NOT NULL,       -- done or failed
    blob INTEGER, part INTEGER, row INTEGER,  -- where the values are: in a blob, or in a part
    finite INTEGER,
    reason TEXT NOT NULL, details TEXT NOT NULL,
    seconds REAL NOT NULL, attempts INTEGER NOT NULL, worker TEXT NOT NULL, finished TEXT NOT NULL
);
"""


class Row(NamedTuple):
    """One row of the ledger; the columns are explained where the table is made."""

    key: str
    study: str
    settings: str
    code: str
    state: str
    blob: int | None
    part: int | None
    row: int | None
    finite: int | None
    reason: str
    details: str
    seconds: float
    attempts: int
    worker: str
    finished: str


_INSERT = (
    f"INSERT OR REPLACE INTO runs ({', '.join(Row._fields)}) VALUES ({', '.join('?' * len(Row._fields))})"
)


class CannotWrite(ImplicitBiasError):
    """The disk is full, or has a fault.

    Args:
        what: what cannot be written.
        reason: why, in the words of the system.
        full: whether there is no space left.
    """

    def __init__(self, what: str, reason: str, full: bool) -> None:
        super().__init__(
            f"{what} cannot be written ({reason}); free some space and start the sweep again: what was stored is kept"
        )
        self.full = full


class Ledger:
    """An open ledger. All changes are made inside `writing`, by one writer at a time.

    Args:
        folder: the folder of the file.
        named: the file that errors name; by default the file itself.
    """

    def __init__(self, folder: Path, named: Path | None = None) -> None:
        self.file = named or folder / LEDGER
        try:
            self._connection = sqlite3.connect(
                folder / LEDGER, timeout=_PATIENCE_SECONDS, isolation_level=None
            )
            # Neither a kill nor a loss of power undoes a commit, after which old parts are deleted; no reader waits.
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._prepare()
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from None

    def _prepare(self) -> None:
        with self.writing():
            for statement in _TABLES.split(";\n"):
                if statement.strip():
                    self._connection.execute(statement)
            found = self._connection.execute("SELECT version FROM format").fetchone()
            if found is None:
                self._connection.execute("INSERT INTO format VALUES (?)", (_FORMAT,))
            elif found[0] != _FORMAT:
                raise InputError(
                    f"{self.file} has format {found[0]}, this version reads {_FORMAT}; update implicitbias, or type "
                    "another folder"
                )

    def _unreadable(self, error: Exception) -> ImplicitBiasError:
        if "full" in str(error) or "I/O" in str(error):
            return CannotWrite(str(self.file), str(error), full="full" in str(error))
        if "readonly" in str(error) or "unable to open" in str(error):
            return InputError(
                f"{self.file} cannot be written ({error}); copy its folder to where you may write, or type another one"
            )
        return InputError(
            f"{self.file} cannot be used ({error}); it is damaged, from another program, or on a file system without "
            "locks; type another folder"
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A scope whose changes are kept together or not at all; other writers wait for its end."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise self._unreadable(error) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A scope that reads the ledger as it is at its beginning, while other processes write."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def rows(self, study: str | None = None) -> list[Row]:
        """Return the rows of one study, or of all, in the order in which their settings came first."""
        chosen = ("", ()) if study is None else ("WHERE study = ? ", (study,))
        try:
            found = self._connection.execute(
                f"SELECT {', '.join(Row._fields)} FROM runs {chosen[0]}ORDER BY rowid", chosen[1]
            )
            return [Row(*line) for line in found]
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from None

    def insert(self, rows: Iterable[Row]) -> None:
        """Write rows, in place of those with equal keys."""
        self._connection.executemany(_INSERT, rows)

    def add_blob(self, layout: str, content: bytes) -> int:
        """Keep the values of some runs in the ledger itself, and return the number of the blob."""
        cursor = self._connection.execute(
            "INSERT INTO blobs (layout, content) VALUES (?, ?)", (layout, content)
        )
        return int(cursor.lastrowid or 0)

    def blobs(self) -> dict[int, tuple[str, bytes]]:
        """Return {number: (layout, content)} of all blobs."""
        lines = self._connection.execute("SELECT id, layout, content FROM blobs ORDER BY id")
        return {number: (layout, content) for number, layout, content in lines}

    def blob_bytes(self) -> int:
        """Return the size of all blobs together."""
        return int(
            self._connection.execute("SELECT COALESCE(SUM(LENGTH(content)), 0) FROM blobs").fetchone()[0]
        )

    def parts(self) -> dict[int, tuple[str, str, str]]:
        """Return {number: (file, layout, digest)} of all parts."""
        lines = self._connection.execute("SELECT id, file, layout, digest FROM parts ORDER BY id")
        return {number: (file, layout, digest) for number, file, layout, digest in lines}

    def add_part(self, file: str, layout: str, digest: str) -> int:
        """Note a new part, and return its number."""
        cursor = self._connection.execute(
            "INSERT INTO parts (file, layout, digest) VALUES (?, ?, ?)", (file, layout, digest)
        )
        return int(cursor.lastrowid or 0)

    def move(self, places: Iterable[tuple[int, int, str]]) -> None:
        """Note that the values of runs are now in parts; `places` gives (part, row, key)."""
        self._connection.executemany("UPDATE runs SET blob = NULL, part = ?, row = ? WHERE key = ?", places)

    def forget(self, keys: Iterable[str]) -> None:
        """Delete the rows with these keys."""
        self._connection.executemany("DELETE FROM runs WHERE key = ?", ((key,) for key in keys))

    def drop_unused(self) -> None:
        """Delete the blobs and the parts that no run refers to."""
        self._connection.execute(
            "DELETE FROM blobs WHERE id NOT IN (SELECT blob FROM runs WHERE blob IS NOT NULL)"
        )
        self._connection.execute(
            "DELETE FROM parts WHERE id NOT IN (SELECT part FROM runs WHERE part IS NOT NULL)"
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


@contextmanager
def ledger_to_read(folder: Path, copied: bool = False) -> Iterator[Ledger]:
    """Yield the ledger of a folder, or a copy of it where the folder cannot be written, or if `copied`.

    SQLite writes beside a ledger with a write-ahead log even to read it. Its mode for files that never change ignores
    this log, in which the last runs of a killed sweep are.

    Raises:
        InputError: the ledger is damaged, or another process writes it faster than it can be copied.
    """
    if not copied and os.access(folder, os.W_OK) and os.access(folder / LEDGER, os.W_OK):
        with Ledger(folder) as ledger:
            yield ledger
        return
    with TemporaryDirectory() as copy:
        _copy(folder, Path(copy))
        with Ledger(Path(copy), named=folder / LEDGER) as ledger:
            yield ledger


def _copy(folder: Path, copy: Path) -> None:
    """Copy a ledger and its log, as they are at one moment."""
    log = f"{LEDGER}-wal"
    for _ in range(_COPIES):
        before = _state(folder / LEDGER), _state(folder / log)
        try:
            shutil.copyfile(folder / LEDGER, copy / LEDGER)
            (copy / log).unlink(missing_ok=True)
            if before[1] is not None:
                shutil.copyfile(folder / log, copy / log)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                f"{folder / LEDGER} cannot be copied ({error.strerror}); ask its owner for leave to read it"
            ) from None
        if before == (_state(folder / LEDGER), _state(folder / log)):
            return
    raise InputError(
        f"{folder / LEDGER} was written while it was copied, {_COPIES} times in turn; another user's sweep is at work: "
        "try again later"
    )


def _state(file: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None if there is no file."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
