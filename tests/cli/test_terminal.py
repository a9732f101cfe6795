"""Standard output: characters, records, closed pipes and full devices."""

import csv
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import implicitbias as ib
from implicitbias.cli import _terminal
from implicitbias.cli._terminal import carried, check_output, guarded_streams, record, say

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full on this system")


class Output:
    """Standard output in some encoding, which ends in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str = "strict") -> None:
        self.raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(self.raw, encoding=encoding, errors=errors))
        self.encoding = encoding

    def text(self) -> str:
        sys.stdout.flush()
        return self.raw.getvalue().decode(self.encoding)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "R² −1 ± 2 → é Ω"),
        ("cp1252", "R² -1 ± 2 > é \\u03a9"),
        ("latin-1", "R² -1 ± 2 > é \\u03a9"),
        ("cp437", "R² -1 ± 2 > é Ω"),
        ("ascii", "R^2 -1 +/- 2 > \\xe9 \\u03a9"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "surrogateescape", "replace"])
def test_what_an_encoding_lacks_is_replaced(
    encoding: str, expected: str, errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(monkeypatch, encoding, errors)
    with guarded_streams():
        print("R² −1 ± 2 → é Ω")  # as typer prints
        print(_terminal_text("R² −1 ± 2 → é Ω", monkeypatch))
    assert output.text().splitlines() == [expected, expected]


def _terminal_text(text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(_terminal, "on_terminal", lambda: True)
        return carried(text)


def test_a_pipe_gets_the_plain_minus(monkeypatch: pytest.MonkeyPatch) -> None:
    Output(monkeypatch, "utf-8")
    assert carried("−1 R²") == "-1 R²"
    assert _terminal_text("−1 R²", monkeypatch) == "−1 R²"


def test_control_characters_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output(monkeypatch, "utf-8")
    record(["a\tb", "c\nd", "\x1b[31m", "half \udc80", "wide\u00a0space"])
    assert output.text() == "a\\tb\tc\\nd\t\\x1b[31m\thalf \\udc80\twide\u00a0space\n"


# Oracle: the reader of the standard library, and float of the text.
def test_records_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output(monkeypatch, "utf-8")
    fields = ["plain name", 'a "quoted" one', "no. #1", "", "x, y"]
    numbers = [0.1 + 0.2, -1e-300, 3]
    say("a sentence")
    record([*fields, *numbers])
    comment, line = output.text().splitlines()
    assert comment == "# a sentence"
    (found,) = csv.reader([line], delimiter="\t")
    assert found[: len(fields)] == fields
    assert [float(text) for text in found[len(fields) :]] == numbers


@pytest.fixture
def into(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[io.TextIOWrapper]]:
    """Let standard output be a file descriptor, which the test opens."""
    opened: list[io.TextIOWrapper] = []
    yield opened
    for stream in opened:
        stream.close()


def _open(descriptor: int, opened: list[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = os.fdopen(descriptor, "w", encoding="utf-8")
    opened.append(stream)
    monkeypatch.setattr(sys, "stdout", stream)


def test_a_closed_pipe_is_no_error(into: list[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    _open(write, into, monkeypatch)
    with guarded_streams():
        print("lost")
        check_output()
        print("x" * 100_000)
        check_output()


@needs_full
def test_a_full_device_is_an_error(into: list[io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch) -> None:
    _open(os.open(FULL, os.O_WRONLY), into, monkeypatch)
    with guarded_streams():
        check_output()  # nothing was printed yet
        print("lost")
        with pytest.raises(
            ib.ImplicitBiasError, match=r"cannot be written: No space left.*; make room there"
        ):
            check_output()
        with pytest.raises(ib.ImplicitBiasError, match="; the results in out are complete"):
            check_output("the results in out are complete")


def test_a_stream_that_was_closed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with guarded_streams():
        record(["lost"])
        check_output()
    assert sys.stdout is None


def test_the_streams_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output(monkeypatch, "ascii")
    before = sys.stdout, sys.stderr

    def fail() -> None:
        with guarded_streams():
            print("é")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (sys.stdout, sys.stderr) == before
    assert output.text() == "\\xe9\n"
