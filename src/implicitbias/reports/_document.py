"""A report as data: a title, a verdict, and sections of texts, tables, claims, figures, settings and commands.

The renderers, one module each, turn a document into HTML or Markdown, and that of `cli` prints it on a terminal.
A document holds no markup.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy import ndarray

from implicitbias._core.claim import Claim
from implicitbias.plotting import Chart


@dataclass(frozen=True)
class Badge:
    """A verdict in a few words, with its meaning; it is good or bad."""

    text: str
    meaning: str
    good: bool


@dataclass(frozen=True)
class Text:
    """A paragraph; a hint explains what stands below it."""

    text: str
    hint: bool = False


@dataclass(frozen=True)
class Notes:
    """Sentences that a reader should know first."""

    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Numbers:
    """The most important numbers, as (name, value)."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """A row of a table: its cells, and its kind, "chosen", "off", "sum", "fails" (by its last cell), or "" for others.

    On a page, a row that is named like a section leads to it. `key` links the row with the lines of a figure that have
    the same key.
    """

    cells: tuple[str, ...]
    kind: str = ""
    key: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first cells name the rows; the columns in `texts` hold text, and the others numbers.

    Cells of `sentences` stand below one another on a narrow page.
    """

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    texts: frozenset[str] = frozenset()
    sentences: bool = False


@dataclass(frozen=True)
class Claims:
    """Claims with what they predict, what was measured, their tolerance and their assumptions.

    If they are `folded`, a page shows only how many there are, until the reader opens them; claims that fail are shown.
    """

    claims: tuple[Claim, ...]
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure that readers can zoom in.

    Args:
        caption: what the figure shows.
        description: the figure in words, for readers who do not see it.
        chart: what is drawn; None if only files show it.
        image: the content of a PNG file, for figures without a chart; b"" otherwise.
        files: names of files beside the page that show the figure.
        scrubber: sentences about points along the x axis through which a slider moves; see `Scrubber`.
        sweep: curves of all points of a grid, among which sliders choose; see `Sweep`.
    """

    caption: str
    description: str
    chart: Chart | None
    image: bytes = b""
    files: tuple[str, ...] = ()
    scrubber: "Scrubber | None" = None
    sweep: "Sweep | None" = None


@dataclass(frozen=True)
class Scrubber:
    """A slider over points of the x axis: its name, the points, what is so at each of them, and the first point."""

    name: str
    places: tuple[float, ...]
    sentences: tuple[str, ...]
    start: int = 0


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a grid, of which sliders show one.

    Args:
        axes: the settings with the texts of their values; each setting has a slider.
        curves: {name of a line: (points, k) its values}, with the points of the grid in row order.
        numbers: {name: its text at each point}.
        start: the place on each axis that is shown first.
    """

    axes: tuple[tuple[str, tuple[str, ...]], ...]
    curves: Mapping[str, ndarray]
    numbers: Mapping[str, tuple[str, ...]]
    start: tuple[int, ...]


@dataclass(frozen=True)
class Facts:
    """Settings, versions and seeds, as {name: value}."""

    facts: Mapping[str, str]


@dataclass(frozen=True)
class Code:
    """Lines to type or to cite, in the language "sh", "python" or "bibtex"."""

    code: str
    language: str


Part = Text | Notes | Numbers | Table | Claims | Picture | Facts | Code


@dataclass(frozen=True, eq=False)
class Section:
    """Parts under a title; without a title they belong to the section above."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Document:
    """A report.

    Args:
        title: the title.
        command: the command that writes the report, by which an earlier one is recognised.
        about: what the report is about, in a line below the title; the parts in pairs (text, whether it is emphasised).
        badge: the verdict; None if there is none.
        sections: the sections.
    """

    title: str
    command: str
    about: tuple[tuple[str, bool], ...]
    badge: Badge | None
    sections: tuple[Section, ...] = field(default=())
