"""One run of a command, such as `implicitbias path`, in a store of its own, which is that of a sweep of one run."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import dataset
from implicitbias.studies.sweeps._ledger import LEDGER, CannotWrite, Row, ledger_to_read
from implicitbias.studies.sweeps._opened import is_store
from implicitbias.studies.sweeps._outcome import Outcome
from implicitbias.studies.sweeps._parts import ARRAYS, is_damaged, open_part
from implicitbias.studies.sweeps._settings import Run, check_storable
from implicitbias.studies.sweeps._store import DONE, Label, Store, key_of
from implicitbias.studies.sweeps._variables import ATTRIBUTES, variables_of

# All names in the folder of a store. A program that is killed while it reads leaves the last two.
STORE_FILES = (LEDGER, ARRAYS, f"{LEDGER}-wal", f"{LEDGER}-shm")


def keep_run(folder: Path, study: str, settings: dict[str, Any], data: Any) -> None:
    """Write one run into a folder, so that `ib.studies.open` reads it.

    Args:
        folder: an existing empty folder.
        study: the name of what was computed.
        settings: what identifies the run: finite numbers, texts, True, False or None.
        data: an `xarray.Dataset`. Its attributes are numbers and texts.

    Raises:
        OSError: the folder cannot be written.
    """
    from implicitbias import __version__

    run = Run(0, settings, by_name=True)
    check_storable([run])
    # A store keeps variables only.
    variables = variables_of(data) | {ATTRIBUTES: ((), np.array(json.dumps(data.attrs)))}
    try:
        with Store(folder, Label(study, __version__)) as store:
            store.add([store.key_of(run)], [run], [Outcome(0, variables)])
            store.settle()
    except CannotWrite as error:
        number = errno.ENOSPC if error.full else errno.EIO
        raise OSError(number, os.strerror(number)) from error


def stored_run(folder: Any, study: str | None = None, settings: dict[str, Any] | None = None) -> Any:
    """Return one stored run as an `xarray.Dataset` without the dimensions of its settings.

    Only a copy of the ledger is opened, so that another process may replace the folder meanwhile.

    Args:
        folder: the folder of the store.
        study: the name of what was computed; None for any.
        settings: the settings of the run, which this version has computed; None for the newest run of any version.

    Raises:
        InputError: there is no such run, or its file is damaged.
    """
    place = Path(folder)
    if not is_store(place):
        raise InputError(f"{place} holds no store of results")
    with ledger_to_read(place, copied=True) as ledger:
        rows = [row for row in ledger.rows(study) if row.state == DONE and _is_asked(row, settings)]
        parts = ledger.parts()
    if not rows or rows[-1].part not in parts:
        raise InputError(f"{place} holds no run of {study or 'any kind'} with these settings")
    row = rows[-1]
    file, _, digest = parts[int(row.part or 0)]
    if is_damaged(place, file, digest):
        raise InputError(f"{place / ARRAYS / file} is missing or damaged")
    with open_part(place, file) as opened:
        found = {
            str(name): (tuple(map(str, item.dims[1:])), np.asarray(item.values[int(row.row or 0)]))
            for name, item in opened.variables.items()
        }
    attributes = json.loads(str(found.pop(ATTRIBUTES)[1]))
    own = {name for name, (dims, _) in found.items() if dims == (name,)}
    variables = {name: value for name, value in found.items() if name not in own}
    return dataset(variables, {name: found[name] for name in own}, {"study": row.study} | attributes)


def _is_asked(row: Row, settings: dict[str, Any] | None) -> bool:
    from implicitbias import __version__

    return settings is None or (row.key == key_of(row.study, settings) and row.code == __version__)
