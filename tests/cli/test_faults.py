"""Faults around the results: several runs into one folder, full disks, no permission, Ctrl-C, closed pipes."""

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import implicitbias as ib
from implicitbias._core.labelled import read_netcdf
from tests.cli._processes import Done, Job, Running
from tests.cli._tables import table
from tests.disks import small_disk
from tests.studies.fakes import NAME

PATH = ("path", "data.csv", "--target", "y", "--out", "out")
KINDS: dict[str, tuple[tuple[tuple[str, ...], tuple[float, ...]], ...]] = {
    "path": ((PATH, ()), ((*PATH, "--no-standardize"), ())),
    "run": ((("run", "--out", "."), (1.0,)), (("run", "--out", "."), (1.25, 0.75))),
}
INTERRUPTED = {"path": "nothing was written", "run": f"nothing of {NAME} was written"}
RESULTS = {"path": "out", "run": NAME}


def content(folder: Path) -> dict[str, object]:
    """The content of all files in a folder. NetCDF files and stores of equal content may differ in bytes."""
    found: dict[str, object] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".nc":
            found[file.name] = read_netcdf(file).to_dict()
        elif file.is_file() and file.suffix != ".sqlite":
            found[file.name] = file.read_bytes()
    if (folder / "ledger.sqlite").exists():
        found["store"] = ib.studies.stored_run(folder).to_dict()
    return found


def messages(done: Done) -> list[str]:
    """The lines on standard error, without those that report progress."""
    return [line for line in done.err.splitlines() if "% " not in line]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Place:
    """A folder with a table, and what each variant of a command writes there."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.results = folder / RESULTS[kind]
        folder.mkdir()
        table(40, 30).to_csv(folder / "data.csv", index=False)

    def start(self, variant: int, name: str, largest_file: int | None = None) -> Running:
        arguments, measured = KINDS[self.kind][variant]
        return Running(Job(arguments, self.folder, largest_file, measured), name)

    def expected(self) -> list[dict[str, object]]:
        """What each variant writes if it runs alone."""
        found = []
        for variant in range(2):
            done = self.start(variant, f"alone-{variant}").result()
            assert (done.status, "Traceback" in done.err) == (0, False), done.err
            found.append(content(self.results))
            shutil.rmtree(self.results)
        assert found[0] != found[1]
        return found


@pytest.fixture(params=["path", "run"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path / "work", request.param)


# Oracle: what each of the two commands writes if it runs alone.
def _pairs_into_one_folder(place: Place, pairs: int) -> None:
    expected = place.expected()
    strangers = {".out.part", f".{NAME}.part", ".out.1-abc.old"}
    for stranger in strangers:
        (place.folder / stranger).mkdir()
        (place.folder / stranger / "thesis.tex").write_text("mine")
    rng = random.Random(0)
    for i in range(pairs):
        runs = []
        for variant in (0, 1):
            runs.append(place.start(variant, f"pair-{i}-{variant}"))
            time.sleep(rng.uniform(0.0, 0.2))
        done = [run.result() for run in runs]
        for result in done:
            assert result.status in (0, 2)
            assert "Traceback" not in result.err
            assert (result.status == 2) == result.err.startswith("implicitbias: ")
        assert 0 in [result.status for result in done]
        assert content(place.results) in [
            files for files, result in zip(expected, done, strict=True) if result.status == 0
        ]
        assert left(place.folder) == {"data.csv", place.results.name} | strangers
        if i % 2:  # the next pair finds no earlier result
            shutil.rmtree(place.results)
    assert all((place.folder / stranger / "thesis.tex").read_text() == "mine" for stranger in strangers)


@pytest.mark.slow
def test_ten_pairs_of_runs_into_one_folder(place: Place) -> None:
    _pairs_into_one_folder(place, 10)


def test_two_pairs_of_runs_into_one_folder(place: Place) -> None:
    _pairs_into_one_folder(place, 2)


def _refused(done: Done, place: Place, reason: str) -> None:
    """Check that there is one message and that nothing was written."""
    assert (done.status, done.out) == (2, "")
    lines = messages(done)
    assert len(lines) == 1
    assert lines[0].startswith("implicitbias: cannot write results to ")
    assert reason in lines[0]
    assert lines[0].endswith("choose another folder with --out DIR")
    assert not place.results.exists()


# Oracle: the sizes of the files of a run that goes well. In turn, each file is the first one that does not fit.
def test_a_full_disk_at_every_stage(place: Place) -> None:
    assert place.start(0, "alone").result().status == 0
    files = sorted(place.results.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    pages = [-(-file.stat().st_size // 4096) for file in files]
    assert len(files) >= 4
    shutil.rmtree(place.results)
    data = (place.folder / "data.csv").read_bytes()
    stages = range(len(files)) if place.kind == "path" else [0, len(files) - 1]
    for stage in stages:
        free = sum(pages[: stage + 1]) - 1
        with small_disk(place.folder, free + -(-len(data) // 4096)):
            (place.folder / "data.csv").write_bytes(data)
            if free == 0:
                continue  # even the probe of an empty folder fits into no disk of this size
            _refused(place.start(0, f"full-{stage}").result(), place, "No space left on device")
            assert left(place.folder) == {"data.csv"}


def test_files_that_may_not_grow(place: Place) -> None:
    assert place.start(1, "before").result().status == 0
    before = content(place.results)
    sizes = {file.stat().st_size for file in place.results.rglob("*") if file.is_file()}
    for i, limit in enumerate([0, *(size - 1 for size in sorted(sizes)[1::2])]):
        done = place.start(1, f"limited-{i}", limit).result()
        # With a limit of 0 the message itself cannot be written to the file of standard error.
        assert done.status == 2
        assert "Traceback" not in done.err
        # SQLite tells of a fault of the disk.
        told = ("File too large", "Input/output error")
        assert limit == 0 or any(f"{one}; choose another folder" in done.err for one in told)
        assert content(place.results) == before
        assert left(place.folder) == {"data.csv", place.results.name}


def test_no_permission(place: Place) -> None:
    if os.geteuid() == 0:  # root may write everywhere, except to a file system that is read-only
        with small_disk(place.folder, 64):
            table().to_csv(place.folder / "data.csv", index=False)
            subprocess.run(["mount", "-o", "remount,ro", str(place.folder)], check=True)
            _refused(place.start(0, "locked").result(), place, "Read-only file system")
        return
    place.folder.chmod(0o555)
    _refused(place.start(0, "locked").result(), place, "Permission denied")
    place.folder.chmod(0o755)


@pytest.mark.parametrize("earlier", [False, True])
def test_control_c(place: Place, earlier: bool) -> None:
    before = {}
    if earlier:
        assert place.start(1, "before").result().status == 0
        before = content(place.results)
    rng = random.Random(1)
    for i in range(4):
        run = place.start(0, f"interrupted-{i}")
        run.interrupt_after(rng.uniform(0.02, 0.5))
        done = run.result()
        assert done.status in (0, 130), done.err
        assert "Traceback" not in done.err
        if done.status == 0:  # the run was faster
            break
        if place.results.exists() and content(place.results) != before:
            assert done.out  # the interrupt came while the report was printed
            break
        # An interrupt before the command begins needs no message.
        assert messages(done) in ([], [f"implicitbias: interrupted; {INTERRUPTED[place.kind]}"])
        assert place.results.exists() == earlier
        assert left(place.folder) - {place.results.name} == {"data.csv"}


@pytest.mark.parametrize("arguments", [("--help",), ("list",), (*PATH, "--json")], ids=" ".join)
def test_a_closed_pipe(arguments: tuple[str, ...], tmp_path: Path) -> None:
    place = Place(tmp_path / "work", "path")
    pipe = place.folder.parent / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    run = Running(Job(arguments, place.folder, out=pipe), "closed")
    assert run.begun.wait(60.0)
    os.close(reader)
    assert run.result() == Done(0, "", "")
    assert (place.folder / "out" / "report.html").exists() == (arguments[0] == "path")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
@pytest.mark.parametrize("arguments", [("--help",), ("list",), PATH], ids=" ".join)
def test_a_full_device(arguments: tuple[str, ...], tmp_path: Path) -> None:
    place = Place(tmp_path / "work", "path")
    status, _, err = Running(Job(arguments, place.folder, out=Path("/dev/full")), "full").result()
    assert status == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("implicitbias: standard output cannot be written: No space left on device; ")
    if arguments[0] == "path":
        assert err.endswith("; the results in out are complete\n")
        assert left(place.folder / "out") == {
            "path.csv",
            "path.png",
            "report.html",
            "ledger.sqlite",
            "arrays",
        }
