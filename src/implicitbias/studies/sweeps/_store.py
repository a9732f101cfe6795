"""The store of a sweep: one folder with a ledger and arrays, which a killed process leaves complete."""

import errno
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.fingerprints import fingerprint
from implicitbias.studies.sweeps._ledger import LEDGER, CannotWrite, Ledger, Row
from implicitbias.studies.sweeps._outcome import Outcome
from implicitbias.studies.sweeps._parts import (
    is_damaged,
    open_part,
    packed,
    remove_unknown,
    unpacked,
    write_part,
)
from implicitbias.studies.sweeps._settings import Run, one_form
from implicitbias.studies.sweeps._variables import Variables, all_finite, layout_of, stacked

DONE, FAILED = "done", "failed"
# Values wait in the ledger until there are so many bytes of them, and are then moved to a Zarr file.
_BLOB_BYTES = 32 * 2**20
# A store of more parts is merged into one part for each layout, so that it opens quickly.
_MOST_PARTS = 8


class Label(NamedTuple):
    """What computes the runs: its name, and the version of its code."""

    study: str
    code: str


def key_of(study: str, settings: dict[str, Any]) -> str:
    """Return what identifies a run in a store: the fingerprint of the study and the settings."""
    return fingerprint((study, {name: one_form(value) for name, value in settings.items()}))


class Store:
    """The results of sweeps in one folder.

    Args:
        folder: the folder; it is made if it is missing.
        label: the name of the function or study whose runs are written, and the version of its code.

    Raises:
        InputError: the folder holds other files, or cannot be made.
    """

    def __init__(self, folder: Path, label: Label) -> None:
        # The function of a run may change the working folder.
        folder = folder.absolute()
        self.folder, self.label = folder, label
        try:
            if folder.exists() and any(folder.iterdir()) and not (folder / LEDGER).exists():
                raise InputError(
                    f"{folder} holds files that are no store of a sweep; type another folder, or {folder}/sweep"
                )
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the folder {folder} cannot be made ({error.strerror}); type another one"
            ) from None
        self._ledger = Ledger(folder)

    def key_of(self, run: Run) -> str:
        """Return what identifies a run in the store: the fingerprint of the study and the settings."""
        return key_of(self.label.study, run.settings)

    def rows(self) -> dict[str, Row]:
        """Return the rows of this study, by key."""
        return {row.key: row for row in self._ledger.rows(self.label.study)}

    def add(self, keys: Iterable[str], runs: Iterable[Run], outcomes: Iterable[Outcome]) -> None:
        """Keep the outcomes of some runs under their keys; when this returns, no kill of a process loses them.

        Raises:
            ImplicitBiasError: the disk is full; nothing of these outcomes is kept, and everything before is.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        groups: dict[str, list[tuple[str, Run, Outcome]]] = defaultdict(list)
        for key, run, outcome in zip(keys, runs, outcomes, strict=True):
            groups["" if outcome.reason else layout_of(outcome.value)].append((key, run, outcome))
        with self._ledger.writing():
            for layout, group in groups.items():
                blob = None
                if layout:
                    content = packed(stacked([outcome.value for _, _, outcome in group]))
                    blob = self._ledger.add_blob(layout, content)
                self._ledger.insert(self._row(*one, blob, k, now) for k, one in enumerate(group))
        if self._ledger.blob_bytes() > _BLOB_BYTES:
            self.settle()

    def _row(self, key: str, run: Run, outcome: Outcome, blob: int | None, place: int, now: str) -> Row:
        return Row(
            key,
            self.label.study,
            json.dumps(run.settings),
            self.label.code,
            FAILED if outcome.reason else DONE,
            blob,
            None,
            None if outcome.reason else place,
            None if outcome.reason else int(all_finite(outcome.value)),
            outcome.reason,
            outcome.details,
            outcome.seconds,
            outcome.attempts,
            outcome.worker,
            now,
        )

    def settle(self) -> None:
        """Move the values that wait in the ledger to Zarr files, and merge these if they are many.

        The new files are complete before the ledger refers to them, and the old ones are deleted after that.

        Raises:
            ImplicitBiasError: the disk is full; nothing is lost.
        """
        try:
            with self._ledger.writing():
                merge = len(self._ledger.parts()) >= _MOST_PARTS
                for layout, pieces in self._pieces(merge).items():
                    self._write(layout, pieces)
                self._ledger.drop_unused()
                known = {file for file, _, _ in self._ledger.parts().values()}
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise CannotWrite(f"the arrays in {self.folder}", str(error.strerror), full) from error
        with self._ledger.writing():  # Another sweep may have written a part just now.
            known = {file for file, _, _ in self._ledger.parts().values()}
            remove_unknown(self.folder, known)

    def _pieces(self, merge: bool) -> dict[str, list[tuple[list[str], Variables]]]:
        """Return {layout: [(keys, their stacked values)]} of all values that are to be written to new parts."""
        blobs, parts = self._ledger.blobs(), self._ledger.parts() if merge else {}
        places: dict[tuple[bool, int], list[Row]] = defaultdict(list)
        for row in self._ledger.rows():
            if row.blob is not None:
                places[True, row.blob].append(row)
            elif row.part in parts:
                places[False, int(row.part or 0)].append(row)
        pieces: dict[str, list[tuple[list[str], Variables]]] = defaultdict(list)
        for (in_blob, number), rows in places.items():
            layout = blobs[number][0] if in_blob else parts[number][1]
            values = unpacked(blobs[number][1]) if in_blob else self._part(parts[number][0])
            chosen = [int(row.row or 0) for row in rows]
            picked = {name: (dims, array[chosen]) for name, (dims, array) in values.items()}
            pieces[layout].append(([row.key for row in rows], picked))
        return pieces

    def _part(self, file: str) -> Variables:
        with open_part(self.folder, file) as data:
            return {str(n): (tuple(map(str, v.dims)), v.values) for n, v in data.variables.items()}

    def _write(self, layout: str, pieces: list[tuple[list[str], Variables]]) -> None:
        first = pieces[0][1]
        values = {
            name: (dims, np.concatenate([piece[name][1] for _, piece in pieces]))
            for name, (dims, _) in first.items()
        }
        file, digest = write_part(self.folder, values)
        part = self._ledger.add_part(file, layout, digest)
        keys = [key for keys, _ in pieces for key in keys]
        self._ledger.move((part, row, key) for row, key in enumerate(keys))

    def drop_damaged(self) -> int:
        """Forget the runs whose arrays are damaged, so that they are computed again, and return their number."""
        with self._ledger.writing():
            damaged = {
                number
                for number, (file, _, digest) in self._ledger.parts().items()
                if is_damaged(self.folder, file, digest)
            }
            lost = [row.key for row in self._ledger.rows() if row.part in damaged]
            self._ledger.forget(lost)
            self._ledger.drop_unused()
        return len(lost)

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
