"""The chart of a matplotlib figure: its lines, points and areas as data, for pages on which readers zoom in."""

from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy import ndarray

from implicitbias.plotting._chart import Area, Axis, Chart, Dots, Line, Mark, Panel, Rule, Stripe
from implicitbias.plotting._style import COLOURS, QUIET
from implicitbias.plotting._tex import without_tex

_ROLES = {colour.lower(): f"c{i}" for i, colour in enumerate(COLOURS)}
_ROLES |= {QUIET.lower(): "quiet", "#333333": "ink", "#111111": "ink", "#000000": "ink", "#8a9094": "soft"}
_DASHES = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dashdot"}


def chart_of_figure(figure: Figure) -> Chart | None:
    """Return what a figure shows as a chart, or None if it shows nothing or has parts that a chart does not have.

    Lines, points, bars, filled areas, contours, lines across the panel and vertical stripes are taken over. Names that
    are written beside the ends of lines become the names of the lines of the same colour.
    """
    rows: dict[int, list[Panel]] = {}
    for axes in figure.get_axes():
        if not axes.get_visible():
            continue
        if axes.images:
            return None
        place = axes.get_subplotspec()
        rows.setdefault(0 if place is None else place.rowspan.start, []).append(_panel(axes))
    chart = Chart(tuple(tuple(rows[row]) for row in sorted(rows)))
    return chart if any(panel.marks for panel in chart.panels) else None


def _panel(axes: Any) -> Panel:
    told = {_role(text.get_color()): without_tex(text.get_text()) for text in axes.texts}
    marks: list[Mark] = []
    for patch in axes.patches:
        marks += _of_patch(axes, patch)
    for collection in axes.collections:
        marks += _of_collection(collection)
    for line in axes.lines:
        marks += _of_line(axes, line, told)
    title = " ".join(filter(None, (axes.get_title(loc) for loc in ("left", "center", "right"))))
    square = axes.get_aspect() == 1.0
    return Panel(without_tex(title), _axis(axes.xaxis), _axis(axes.yaxis), tuple(marks), square)


def _axis(axis: Any) -> Axis:
    low, high = sorted(float(end) for end in axis.get_view_interval())
    return Axis(without_tex(axis.get_label_text()), axis.get_scale() == "log", low, high, _fixed_ticks(axis))


def _fixed_ticks(axis: Any) -> tuple[tuple[float, str], ...]:
    """Return the ticks that the figure chose itself, such as names; () if they are computed from the range."""
    locator = axis.get_major_locator()
    if not isinstance(locator, FixedLocator):
        return ()
    places = [float(place) for place in locator()]
    names = axis.get_major_formatter().format_ticks(places)
    return tuple((place, without_tex(name)) for place, name in zip(places, names, strict=True) if name)


def _of_line(axes: Any, line: Any, told: dict[str, str]) -> list[Mark]:
    x, y = (np.asarray(part, dtype=np.float64) for part in (line.get_xdata(), line.get_ydata()))
    colour, dash = _role(line.get_color()), _DASHES.get(line.get_linestyle())
    width = float(line.get_linewidth())
    if line.get_transform() == axes.get_xaxis_transform():
        return [Rule(float(x[0]), True, colour, dash or "solid", width)]
    if line.get_transform() == axes.get_yaxis_transform():
        return [Rule(float(y[0]), False, colour, dash or "solid", width)]
    if len(x) == 0:
        return []
    name = _name(line)
    if not name and colour != "quiet":
        name = told.get(colour, "")
    marks: list[Mark] = []
    if dash is not None:
        marks.append(Line(name, x, y, colour, dash, width, line.get_drawstyle() == "steps-post"))
    if line.get_marker() not in ("None", "", None):
        marks.append(Dots(name, x, y, colour, float(line.get_markersize())))
    return marks


def _of_collection(collection: Any) -> list[Mark]:
    offsets = np.asarray(collection.get_offsets(), dtype=np.float64)
    paths = collection.get_paths()
    faces, edges = collection.get_facecolor(), collection.get_edgecolor()
    filled = len(faces) > 0 and float(faces[0][-1]) > 0.0
    name = _name(collection)
    if len(offsets) and np.any(offsets):
        colour = _role(faces[0] if filled else edges[0])
        size = float(np.sqrt(np.max(collection.get_sizes(), initial=1.0)))
        return [Dots(name, offsets[:, 0], offsets[:, 1], colour, size, filled)]
    marks: list[Mark] = []
    for i, path in enumerate(paths):
        parts = [np.asarray(part) for part in path.to_polygons(closed_only=False) if len(part) > 1]
        if not parts:
            continue
        if filled:
            face = faces[i % len(faces)]
            x, y = (tuple(part[:, j] for part in parts) for j in (0, 1))
            marks.append(Area(name, x, y, _role(face), float(face[-1])))
        else:
            width = float(np.atleast_1d(collection.get_linewidth())[i % len(collection.get_linewidth())])
            styles = collection.get_linestyle()
            solid = styles[i % len(styles)][1] is None if len(styles) else True
            colour = _role(edges[i % len(edges)])
            for part in parts:
                marks.append(
                    Line(name, part[:, 0], part[:, 1], colour, "solid" if solid else "dashed", width)
                )
    return marks


def _of_patch(axes: Any, patch: Any) -> list[Mark]:
    face = patch.get_facecolor()
    corners: ndarray = patch.get_path().vertices
    if patch.get_data_transform() == axes.get_xaxis_transform():
        corners = patch.get_patch_transform().transform(corners)
        return [Stripe(float(corners[:, 0].min()), float(corners[:, 0].max()), _role(face), float(face[-1]))]
    corners = patch.get_patch_transform().transform(corners)
    return [Area(_name(patch), (corners[:, 0],), (corners[:, 1],), _role(face), float(face[-1]))]


def _name(artist: Any) -> str:
    """Return the name of a line or an area; "" if matplotlib made it up, which begins with an underscore."""
    label = str(artist.get_label())
    return "" if label.startswith("_") else without_tex(label)


def _role(colour: Any) -> str:
    """Return the role of a colour, or the colour itself if it has none."""
    found = to_hex(colour).lower()
    return _ROLES.get(found, found)
