"""Standard output: a terminal or a pipe, the characters that its encoding has, and errors of writing.

On a terminal, commands print tables with rich. Elsewhere they print one record a line, with tabs between the fields,
and sentences in lines that begin with "# ".
"""

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unicodedata import category

from implicitbias._core.errors import ImplicitBiasError

# ASCII texts for the characters that the output uses. Others become backslash escapes if the encoding lacks them.
_ASCII = {
    "−": "-", "–": "-", "—": "-", "─": "-", "→": ">", "⋮": ":", "…": "...", "²": "^2", "±": "+/-", "×": "x",
    "α": "alpha", "λ": "lambda", "≤": "<=", "≥": ">=", "‖": "||", "’": "'",
}  # fmt: skip
# Control characters, line and paragraph separators, and halves of characters.
_UNSEEN = ("Cc", "Zl", "Zp", "Cs")
_HANDLER = "implicitbias.ascii"


class _Guard(io.RawIOBase):
    """A raw stream whose writing never fails. It keeps the first error and ignores what is written after it.

    Without it, Python reports the error once more when it exits.
    """

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self.raw.isatty())

    def fileno(self) -> int:
        return int(self.raw.fileno())

    def write(self, data: Any) -> int:
        if self.failure is None:
            try:
                written: int = self.raw.write(data)
                return written
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


class _Stream(io.TextIOWrapper):
    """A text stream over a `_Guard`, whose encoding replaces the characters that it lacks."""

    def __init__(self, stream: Any) -> None:
        codecs.register_error(_HANDLER, _replaced)
        # With python -u, the buffer is the raw stream itself.
        self.guard = _Guard(getattr(stream.buffer, "raw", stream.buffer))
        super().__init__(
            io.BufferedWriter(self.guard),
            encoding=stream.encoding,
            errors=_HANDLER,
            line_buffering=stream.line_buffering,
        )


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII text for the characters that cannot be encoded: a handler of encoding errors."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _ascii(character: str) -> str:
    return _ASCII.get(character) or character.encode("ascii", "backslashreplace").decode("ascii")


def _guarded(stream: Any) -> Any:
    if stream is None:  # it was closed before the start, and what is written is lost
        return io.StringIO()
    if not hasattr(stream, "buffer"):  # a notebook's stream
        return stream
    stream.flush()
    return _Stream(stream)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Replace the standard streams by streams that know every character and whose writing never fails."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_guarded, before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def check_output(written: str = "") -> None:
    """Raise an error if something that was printed could not be written. A closed pipe is not an error.

    Args:
        written: a sentence about results that are complete nevertheless.
    """
    sys.stdout.flush()
    failure = sys.stdout.guard.failure if isinstance(sys.stdout, _Stream) else None
    # Windows reports a closed pipe as an invalid argument.
    closed = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)
    if failure is not None and failure.errno not in closed:
        raise ImplicitBiasError(
            f"standard output cannot be written: {failure.strerror or failure}; "
            + (written or "make room there, or write to another file")
        )


def on_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def carried(text: str) -> str:
    """Return a text with characters that standard output can show, and without control characters.

    In a pipe the minus sign becomes the plain hyphen-minus, which other programs read as a number.
    """
    if not on_terminal():
        text = text.replace("−", "-")
    if not text.isprintable():
        text = "".join(_escaped(c) if category(c) in _UNSEEN else c for c in text)
    codecs.register_error(_HANDLER, _replaced)
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, _HANDLER).decode(encoding)


def say(sentence: str) -> None:
    """Print a sentence as one line that begins with "# "."""
    print(f"# {carried(sentence)}")


def record(fields: Iterable[Any], begin: str = "") -> None:
    """Print fields as one line with tabs between them; numbers have all their digits.

    A field with a quotation mark or "#" is quoted as in CSV, because "#" begins a comment.
    """
    print(begin + "\t".join(map(_field, fields)))


def _field(value: Any) -> str:
    text = carried(value if isinstance(value, str) else repr(value))
    return '"' + text.replace('"', '""') + '"' if '"' in text or "#" in text else text


def console() -> Any:
    """Return a rich console on standard output."""
    from rich.console import Console

    return Console(highlight=False)


def table(title: str = "") -> Any:
    """Return a rich table with a line below the titles, in characters that standard output has."""
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table
    from rich.text import Text

    plain = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    # With other encodings rich would draw a frame of ASCII characters.
    box = SIMPLE_HEAD if console().encoding.startswith("utf") else plain
    return Table(
        box=box, pad_edge=False, padding=(0, 1, 0, 0), title=Text(carried(title), "bold") if title else None,
        title_justify="left", caption_justify="left",
    )  # fmt: skip
