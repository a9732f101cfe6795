"""Real processes that run `implicitbias`. Many are cheap, because a server forks them."""

import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.forks import PROCESSES


class Done(NamedTuple):
    """What a process has printed, and its exit status."""

    status: int
    out: str
    err: str


class Job(NamedTuple):
    """A command to run in a folder.

    Attributes:
        arguments: the words after `implicitbias`.
        folder: the working folder. What the process prints is in files beside it.
        largest_file: the number of bytes after which writing to a file fails; None for no limit.
        measured: numbers of the study that is installed in place of all others; () for the real studies.
        out: the file or pipe for standard output; None for a file of its own.
    """

    arguments: tuple[str, ...]
    folder: Path
    largest_file: int | None = None
    measured: tuple[float, ...] = ()
    out: Path | None = None


class Running:
    """A process that was started."""

    def __init__(self, job: Job, name: str) -> None:
        beside = job.folder.parent
        self.out, self.err = job.out or beside / f"{name}.out", beside / f"{name}.err"
        self._kept = job.out is None
        self.begun = PROCESSES.Event()
        self.process = PROCESSES.Process(target=_run, args=(job, self.out, self.err, self.begun))
        self.process.start()

    def interrupt_after(self, seconds: float) -> None:
        """Send Ctrl-C some time after the command has begun."""
        assert self.begun.wait(60.0)
        time.sleep(seconds)
        assert self.process.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.kill(self.process.pid, signal.SIGINT)

    def result(self) -> Done:
        self.process.join(120.0)
        status = self.process.exitcode
        assert status is not None
        out = self.out.read_text(encoding="utf-8") if self._kept else ""
        return Done(status, out, self.err.read_text(encoding="utf-8"))


def _run(job: Job, out: Path, err: Path, begun: Any) -> None:
    if job.measured:
        import pytest

        from tests.studies.fakes import install

        install(pytest.MonkeyPatch(), *job.measured)
    from implicitbias import cli

    os.chdir(job.folder)
    for descriptor, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if job.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest_file, resource.RLIM_INFINITY))
    sys.argv = ["implicitbias", *job.arguments]
    begun.set()
    cli.main()
