"""Folders of results, which are written under a temporary name and then moved, so that none is incomplete."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from implicitbias._core.errors import InputError

# The number of attempts to move the results, because another run may use the same folder at the same time.
_ATTEMPTS = 20


@dataclass(frozen=True)
class ResultFolder:
    """A folder for results that may replace an earlier result, but no other files.

    Args:
        named: the folder as the user named it. If it is a link, the folder that it points to is replaced.
        foreign: a function that returns the names in a folder that no earlier result has written. If the folder is not
            an earlier result, these are all names.
        retry: what to type to choose another folder, for messages.
    """

    named: Path
    foreign: Callable[[Path], list[str]]
    retry: str

    def check(self) -> Path:
        """Return the resolved folder after a check that it can be written and holds no other files.

        The folder is not created.

        Raises:
            InputError: the path is a file, the folder holds other files, or it cannot be written.
        """
        try:
            folder = self.named.resolve()
            self._refuse_foreign(folder)
            above = next(place for place in folder.parents if place.exists())
            probe = _beside(above / folder.name, "probe")
            try:
                probe.mkdir()
            finally:
                # An interrupt may come while the folder is made.
                shutil.rmtree(probe, ignore_errors=True)
        except (OSError, RuntimeError) as error:
            # Before Python 3.13, a link that points to itself raises RuntimeError.
            raise self._cannot_write(error) from None
        return folder

    def fill(self, write: Callable[[Path], None]) -> None:
        """Call `write` with a temporary folder, then move this folder to its final place.

        Each call uses unique temporary names, so that if several runs finish at the same time, the complete result of
        the last one is kept. An existing folder is moved aside, checked again, and deleted only if it is an earlier
        result.

        Raises:
            InputError: the folder cannot be written, or other files were added to it in the meantime.
        """
        folder = self.named.resolve()
        part = _beside(folder, "part")
        made = [place for place in folder.parents if not place.exists()]
        complete = False
        try:
            part.mkdir(parents=True)
            write(part)
            complete = True
            self._move(part, folder)
        except OSError as error:
            raise self._cannot_write(error) from None
        except KeyboardInterrupt:
            # If the results are in place, the interrupt comes too late: it must not be told that nothing was written.
            if part.exists() or not complete:
                raise
        finally:
            # After an error or an interrupt, the incomplete folder and new empty folders are removed.
            shutil.rmtree(part, ignore_errors=True)
            for place in made:
                with contextlib.suppress(OSError):  # A folder that is not empty is kept.
                    place.rmdir()

    def _move(self, part: Path, folder: Path) -> None:
        """Move the temporary folder to its final place and delete an earlier result there."""
        for attempt in range(_ATTEMPTS):
            old = _beside(folder, "old")
            try:
                if folder.exists():
                    folder.rename(old)
                    self._refuse_foreign(old)
                part.rename(folder)
                _discard(old)
                return
            except OSError:
                # Another run may have moved the earlier result away, or may have moved its own result here.
                if attempt == _ATTEMPTS - 1 or not part.exists():
                    raise
            finally:
                # After an error or an interrupt, the earlier folder is restored.
                if old.exists():
                    self._restore(old, folder)

    def _restore(self, old: Path, folder: Path) -> None:
        """Move an earlier result back, or delete it if another run has written a newer one in the meantime."""
        try:
            old.rename(folder)
        except OSError:
            if old.is_dir() and not self.foreign(old):
                shutil.rmtree(old, ignore_errors=True)

    def _refuse_foreign(self, folder: Path) -> None:
        """Raise an `InputError` if the path is a file, or if the folder holds files of no earlier result."""
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{self.named} is a file, a folder is expected; {self.retry}")
        names = self._foreign_names(folder)
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise InputError(
                f"{self.named} holds files that are not an earlier result ({shown}), and replacing the folder would "
                f"lose them; {self.retry}"
            )

    def _foreign_names(self, folder: Path) -> list[str]:
        """Return the names of files of no earlier result.

        Another run may replace the folder while it is read. It is then read again, so that files of an earlier result
        that just disappeared are not taken for files of others.
        """
        for _ in range(_ATTEMPTS):
            before = _identity(folder)
            if before is None:
                return []
            try:
                names = self.foreign(folder) if any(folder.iterdir()) else []
            except FileNotFoundError:
                continue
            if not names or _identity(folder) == before:
                return names
        return names

    def _cannot_write(self, error: Exception) -> InputError:
        """Return the error for a folder that cannot be written."""
        reason = getattr(error, "strerror", None) or error
        return InputError(
            f"cannot write results to {self.named}: {reason}; choose another folder with --out DIR"
        )


def _discard(folder: Path) -> None:
    """Delete an earlier result. The new one is in place, so that an interrupt comes too late and is ignored."""
    with contextlib.suppress(KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # the rest after an interrupt


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return numbers that tell this folder from another one of the same name; None if there is no folder."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _beside(folder: Path, end: str) -> Path:
    """Return a unique hidden path in the parent of the folder."""
    return folder.with_name(f".{folder.name}.{os.getpid()}-{uuid4().hex[:12]}.{end}")
