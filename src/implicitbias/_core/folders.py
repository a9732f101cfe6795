"""Folders of results: written beside their place first and then moved there, whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from implicitbias._core.errors import InputError

# Runs that move their results into one place at the same time try this often.
_ATTEMPTS = 20


@dataclass(frozen=True)
class ResultFolder:
    """A folder for results, which replaces the folder of an earlier result and nothing else.

    Args:
        named: the folder as the user named it. Of a link, what it points to is replaced.
        foreign: the names in a folder that an earlier result did not write; all of them where it is no earlier result.
        retry: what to type for another folder, for messages.
    """

    named: Path
    foreign: Callable[[Path], list[str]]
    retry: str

    def check(self) -> Path:
        """Return the resolved folder, after checking that it can be written and holds no files of others.

        Nothing is made yet.

        Raises:
            InputError: a file in place of the folder, a folder with other files, or a place that cannot be written to.
        """
        try:
            folder = self.named.resolve()
            self._refuse_foreign(folder)
            above = next(place for place in folder.parents if place.exists())
            probe = _beside(above / folder.name, "probe")
            probe.mkdir()
            probe.rmdir()
        except (
            OSError,
            RuntimeError,
        ) as error:  # RuntimeError: a link that leads to itself, before Python 3.13
            raise self._cannot_write(error) from None
        return folder

    def fill(self, write: Callable[[Path], None]) -> None:
        """Call `write` with a new folder beside the final one, then move it there in place of an earlier result.

        Each call has temporary names of its own, so that of several runs at once the last one wins whole. What is in
        the way is moved aside, looked at again, and deleted only if it is an earlier result.

        Raises:
            InputError: the disk or the rights are at fault, or files of others have come into the folder meanwhile.
        """
        folder = self.named.resolve()
        part = _beside(folder, "part")
        made = [place for place in folder.parents if not place.exists()]
        try:
            part.mkdir(parents=True)
            write(part)
            self._move(part, folder)
        except OSError as error:
            raise self._cannot_write(error) from None
        finally:
            # Also after an interrupt: nothing half-written is left.
            shutil.rmtree(part, ignore_errors=True)
            for place in made:
                with contextlib.suppress(OSError):  # it holds the results, or something of somebody else
                    place.rmdir()

    def _move(self, part: Path, folder: Path) -> None:
        for attempt in range(_ATTEMPTS):
            old = _beside(folder, "old")
            try:
                if folder.exists():
                    folder.rename(old)
                    self._refuse_foreign(old)
                part.rename(folder)
                shutil.rmtree(old, ignore_errors=True)
                return
            except OSError:
                # Another run was faster: it moved the earlier result away, or put its own there.
                if attempt == _ATTEMPTS - 1 or not part.exists():
                    raise
            finally:
                # After a failure or an interrupt, what was there before is there again.
                if old.exists():
                    self._restore(old, folder)

    def _restore(self, old: Path, folder: Path) -> None:
        """Move an earlier result back; if a newer one has come meanwhile, the earlier one is deleted."""
        try:
            old.rename(folder)
        except OSError:
            if old.is_dir() and not self.foreign(old):
                shutil.rmtree(old, ignore_errors=True)

    def _refuse_foreign(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{self.named} is a file, a folder is expected; {self.retry}")
        names = self.foreign(folder) if folder.is_dir() and any(folder.iterdir()) else []
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise InputError(
                f"{self.named} holds files that are not an earlier result ({shown}), and replacing the folder would "
                f"lose them; {self.retry}"
            )

    def _cannot_write(self, error: Exception) -> InputError:
        reason = getattr(error, "strerror", None) or error
        return InputError(
            f"cannot write results to {self.named}: {reason}; choose another folder with --out DIR"
        )


def _beside(folder: Path, end: str) -> Path:
    """Return a hidden name beside the folder that no other run uses."""
    return folder.with_name(f".{folder.name}.{os.getpid()}-{uuid4().hex[:12]}.{end}")
