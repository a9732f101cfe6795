"""Checkpoints: one file from which an interrupted or killed run goes on with the numbers of a run without a break.

The file holds the place of the integration between two of its parts and the output until then. Its name is locked while
a run uses it, by a lock of the operating system, which ends with the process.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from implicitbias._core.archive import FileKind, damage_told, read_archive, remove_parts, write_archive
from implicitbias._core.errors import InputError
from implicitbias._core.fingerprints import fingerprint
from implicitbias._core.stored_values import restored, stored
from implicitbias.flows._engine import Engine, Position, Spent
from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._lagged_algebras import LaggedMemory, Spectrum
from implicitbias.flows._lost_growth import LostGrowth
from implicitbias.flows._recorder import CallbackError, Recorder
from implicitbias.flows._rkc import RkcMemory
from implicitbias.flows._saver import Saver
from implicitbias.flows._sliding_system import Look, Stand
from implicitbias.flows._stepper import Cursor, Watch
from implicitbias.flows._stop_search import Sample

_KIND = FileKind("implicitbias.Checkpoint", 1, "checkpoint")
# The named tuples of which snapshots consist.
_NAMED = (
    Cursor,
    LaggedMemory,
    Look,
    LostGrowth,
    Modes,
    Position,
    RkcMemory,
    Sample,
    Spectrum,
    Spent,
    Stand,
    Watch,
)
# The packages on whose versions the last bits of the numbers depend.
_PACKAGES = ("implicitbias", "jax", "jaxlib", "numpy", "scipy")
# A run spends at most about the share 1 / _RARELY of its time on writing, and writes at most every _SECONDS.
_RARELY, _SECONDS = 10.0, 0.1


class Checkpoint(Saver):
    """The checkpoint of a run: it restores an earlier place, and saves the place after parts of the integration.

    Args:
        path: the file.
        run: the arguments of the run by name; a number or text as it is, and anything else as a fingerprint.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path, self.run = path, dict(run)
        self.versions = {name: version(name) for name in _PACKAGES}
        self._begin, self._next = time.perf_counter(), 0.0
        self._moved = False

    def start(self, engine: Engine, recorder: Recorder) -> None:
        """Go to the place that the file holds, or record the start and write the file if there is none.

        Raises:
            InputError: the file cannot be read or written, or it belongs to another run.
        """
        remove_parts(self.path)
        if not self.path.exists():
            recorder.begin(engine.first)
            self._write(engine, recorder)
            return
        snapshot = self._read()
        engine.restore(snapshot["engine"])
        recorder.resume(engine.first, snapshot["recorder"])
        self.earlier = snapshot["seconds"]
        try:
            changed = recorder.changed()
        except CallbackError as error:
            changed = f"a function of observe or until ({error})"
        if changed:
            raise InputError(
                f"{changed} gives another value than {self.path} holds at its last time, so it is another function; "
                + self._other("the same functions of (t, state)")
            )

    def save(self, engine: Engine, recorder: Recorder, *, last: bool = False) -> None:
        """Write the place after a part of the integration, but not so often that it would cost much time.

        If writing fails, the file keeps an earlier place, and `failure` says why. The next call tries again.
        """
        begin = time.perf_counter()
        self._moved = self._moved or not last
        if not self._moved or (begin < self._next and not last):
            return
        try:
            self._write(engine, recorder)
            self.failure, self._moved = "", False
        except InputError as error:
            self.failure = f"The checkpoint holds an earlier place of the run: {error}."
        end = time.perf_counter()
        self._next = end + max(_SECONDS, _RARELY * (end - begin))

    def _write(self, engine: Engine, recorder: Recorder) -> None:
        arrays: dict[str, np.ndarray] = {}
        snapshot = {
            "engine": engine.snapshot(),
            "recorder": recorder.snapshot(),
            "seconds": self.earlier + time.perf_counter() - self._begin,
        }
        header = {"run": self.run, "versions": self.versions, "snapshot": stored(snapshot, arrays)}
        write_archive(self.path, _KIND, header, arrays, compressed=False)

    def _read(self) -> dict[str, Any]:
        """Return the snapshot in the file, or raise an `InputError` if it is damaged or of another run."""
        try:
            header, arrays = read_archive(self.path, _KIND)
            with damage_told(self.path, _KIND):
                run, versions = dict(header["run"]), dict(header["versions"])
                snapshot: dict[str, Any] = restored(header["snapshot"], arrays, _NAMED)
        except InputError as error:
            raise InputError(f"{error}; {self._other('the checkpoint of this run')}") from error
        differ = [name for name in {**run, **self.run} if run.get(name) != self.run.get(name)]
        if differ:
            shown = "; ".join(_difference(name, run.get(name), self.run.get(name)) for name in differ)
            raise InputError(
                f"{self.path} belongs to another run: {shown}; {self._other('the same arguments')}"
            )
        differ = [name for name in self.versions if versions.get(name) != self.versions[name]]
        if differ:
            shown = "; ".join(
                f"it has {name} {versions.get(name)}, and {self.versions[name]} is installed"
                for name in differ
            )
            raise InputError(
                f"{self.path} was written with other versions, which may give other numbers: {shown}; "
                + self._other("the same versions")
            )
        return snapshot

    def _other(self, expected: str) -> str:
        """Return what is expected and the line to type for a new run."""
        other = self.path.with_name(f"{self.path.stem}-new{self.path.suffix}")
        return f"pass {expected}, or begin a new run: type checkpoint={str(other)!r}"


@contextmanager
def checkpoint_at(path: Any, run: Mapping[str, Any]) -> Iterator[Checkpoint]:
    """Lock a path and give its checkpoint.

    Raises:
        InputError: the path is not a file name, another run uses it, or its folder cannot be written.
    """
    if not isinstance(path, (str, Path)):
        raise InputError(f"checkpoint is {path!r}, the path of a file is expected: type checkpoint='run.npz'")
    file = Path(path).expanduser().absolute()
    if file.is_dir() or not file.parent.is_dir():
        reason = "is a folder" if file.is_dir() else f"is in the folder {file.parent}, which does not exist"
        raise InputError(
            f"checkpoint {path} {reason}, the path of a file is expected: type checkpoint='run.npz'"
        )
    file = file.resolve()
    lock = FileLock(file.with_name(f".{file.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        # Some file systems, such as /proc, refuse new files in a way that the lock takes for that of another run.
        if not Path(lock.lock_file).exists():
            raise InputError(
                f"cannot write checkpoint {path}: its folder takes no files; choose another folder"
            ) from None
        raise InputError(
            f"another run uses the checkpoint {path}; wait until it has ended, or begin a new run: type "
            f"checkpoint={str(file.with_name(f'{file.stem}-new{file.suffix}'))!r}"
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot write checkpoint {path}: {error.strerror or error}; choose another file"
        ) from error
    try:
        yield Checkpoint(file, run)
    finally:
        lock.release()


def described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by name: numbers, text and None as they are, and others as fingerprints.

    Raises:
        InputError: the content of an argument is unknown.
    """
    plain = (int, float, str, type(None))
    return {
        name: value if type(value) in plain else f"fingerprint {fingerprint(value)}"
        for name, value in arguments.items()
    }


def _difference(name: str, before: Any, now: Any) -> str:
    """Return how an argument differs from that of the file."""
    digests = [value for value in (before, now) if str(value).startswith("fingerprint ")]
    if digests:
        return f"{name} differs"
    return f"{name} was {before!r} and is {now!r}"
