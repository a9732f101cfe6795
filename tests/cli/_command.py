"""`implicitbias` as the tests of this folder call it: what it prints, where, and its exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from implicitbias import cli
from implicitbias.cli import _margin_print, _path_print, _table_results, _tables, _terminal

# A program that is `implicitbias` with a study whose runs only wait, for processes of their own.
WITH_FAKE_STUDY = """
import pytest
from implicitbias import cli
from tests.studies.fakes import install
install(pytest.MonkeyPatch())
cli.main()
"""


def with_all_paths(**more: str) -> dict[str, str]:
    """The environment of a process that finds the modules of the tests from any folder."""
    paths = os.pathsep.join(filter(None, (*sys.path, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths, **more}


def as_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in this process print what they print on a terminal."""
    for module in (_terminal, _margin_print, _path_print, _table_results, _tables):
        monkeypatch.setattr(module, "on_terminal", lambda: True)


def answer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
    columns: int = 120,
) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of `implicitbias *arguments`, in this process."""
    monkeypatch.setattr(sys, "argv", ["implicitbias", *arguments])
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    code = caught.value.code
    return (0 if code is None else int(code)), out, err


def strict_json(text: str) -> Any:
    """The value of a JSON document that has no NaN and no infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def command(*arguments: str, cwd: Path, columns: int = 120) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, as a user starts it."""
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "implicitbias", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done
