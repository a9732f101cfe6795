"""What `implicitbias path`, `list` and `run` print in five encodings, on a terminal and in a pipe."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from implicitbias import cli
from tests.cli._command import as_terminal, command, strict_json
from tests.cli._tables import table
from tests.studies.fakes import NAME, install

ENCODINGS = ("utf-8", "cp1252", "latin-1", "cp437", "ascii")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    names = {"feature 0": "poids (kg) − été", "feature 1": "Größe", "feature 2": "身長"}
    table().rename(columns=names).to_csv(folder / "data.csv", index=False)
    return folder / "data.csv"


def printed(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> str:
    """Standard output of a run that goes well, decoded again."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "argv", ["implicitbias", *arguments])
        patch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as caught:
            cli.main()
    stream.flush()
    assert not caught.value.code
    return raw.getvalue().decode(encoding)


def as_encoded(name: str, encoding: str) -> str:
    """A name as it can be shown: by backslash escapes where the encoding has no character."""
    return name.replace("−", "-").encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_path_in_a_pipe(encoding: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = printed(monkeypatch, encoding, "path", str(data), "--target", "y", "--cv", "3")
    assert "−" not in out
    records = [line for line in out.splitlines() if not line.startswith("#")]
    entered = {name[1:] for line in records for name in line.split("\t")[7].split(", ")}
    for name in ("poids (kg) - été", "Größe", "身長"):
        assert as_encoded(name, encoding) in entered
    assert ("±" in out) == (encoding != "ascii")
    assert ("+/-" in out) == (encoding == "ascii")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_path_on_a_terminal(encoding: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_terminal(monkeypatch)
    out = printed(monkeypatch, encoding, "path", str(data), "--target", "y", "--cv", "3")
    assert "Größe" in out or "Gr\\xf6\\xdfe" in out
    head, line = out.splitlines()[2:4]
    assert set(line.strip()) == {"─" if encoding == "utf-8" else "-"}
    assert ("R^2" if encoding == "ascii" else "R²") in head.split()
    # The columns are aligned: every number of active features ends where its title ends.
    end = head.index("active") + len("active")
    rows = [row for row in out.splitlines()[4:] if row[:5].strip(" >→").isdigit()]
    assert len(rows) > 3
    for row in rows:
        assert row[end - 1].isdigit()
        assert row[end : end + 1] in (" ", "")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("where", ["terminal", "pipe"])
def test_studies(encoding: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if where == "terminal":
        as_terminal(monkeypatch)
    install(monkeypatch, statement="‖w‖ ≤ 1")
    assert NAME in printed(monkeypatch, encoding, "list")
    out = printed(monkeypatch, encoding, "run")
    # code page 437 has "≤" but no double bar
    expected = {"utf-8": "‖w‖ ≤ 1", "cp437": "||w|| ≤ 1"}.get(encoding, "||w|| <= 1")
    assert expected in " ".join(out.split())
    assert ("1 +/- 0.5" if encoding == "ascii" else "1 ± 0.5") in out


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_the_same_in_all_encodings(
    encoding: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = printed(monkeypatch, encoding, "path", str(data), "--target", "y", "--json")
    assert out.isascii()
    assert {"poids (kg) − été", "Größe", "身長"} <= set(strict_json(out)["ever_active"])


# As a user starts it: the encoding comes from the environment.
def test_the_environment(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "PYTHONIOENCODING", "PYTHONUTF8"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    done = command("path", data.name, "--target", "y", "--cv", "3", cwd=data.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "+/-" in done.stdout
    frame = pandas.read_csv(io.StringIO(done.stdout), sep="\t", comment="#")
    assert list(frame["jump"]) == list(range(len(frame)))


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are a thing of POSIX")
def test_a_real_terminal(data: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    # rich takes the width of a dumb terminal only together with its height.
    environment = {**os.environ, "COLUMNS": "70", "LINES": "40", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        [sys.executable, "-m", "implicitbias", "path", data.name, "--target", "y"],
        cwd=data.parent, env=environment, stdout=follower, stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        os.close(follower)
        content = b""
        with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error
            while block := os.read(leader, 65536):
                content += block
        os.close(leader)
        assert (run.wait(120), run.stderr and run.stderr.read()) == (0, b"")
    lines = content.decode().splitlines()
    assert any("slow time" in line and "R²" in line for line in lines)
    assert any(set(line.strip()) == {"─"} for line in lines)
    assert not any("\t" in line or line.startswith("#") for line in lines)
    assert [line for line in lines[:-1] if len(line) > 70] == []
