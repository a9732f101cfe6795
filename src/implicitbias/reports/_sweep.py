"""The report of a stored sweep: sliders over its settings, and the curves and numbers of the run that they choose."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.plotting import Axis, Chart, Line, Panel, short
from implicitbias.reports._document import (
    Badge,
    Code,
    Document,
    Facts,
    Numbers,
    Part,
    Picture,
    Section,
    Sweep,
    Text,
)

# What the store says about each run besides its results.
_KNOWN = ("state", "seconds", "code", "error")
# All curves together take at most this number of values of four bytes, so that a page has at most 3 MB.
_VALUES = 300_000
# An axis is logarithmic if its values are positive and range over more than this factor.
_WIDE = 30.0
_PLACE = "place in the array"


def sweep_document(data: Any, folder: str) -> Document:
    """Return the report of a sweep.

    Args:
        data: the dataset that `ib.studies.open` returns.
        folder: the name of the folder, for the line that opens the sweep again.

    Raises:
        InputError: no run of the sweep has a number or a curve.
    """
    dims = tuple(data["state"].dims)
    sizes = tuple(data.sizes[dim] for dim in dims)
    state = data["state"].values.ravel()
    done = int(np.count_nonzero(state == "done"))
    numbers, curves, grids = _results(data, dims)
    if not numbers and not curves:
        raise InputError(
            f"the runs of {folder} hold no number and no curve, so that there is nothing to show"
        )
    axes = tuple((str(dim), tuple(_text(value) for value in _labels(data, dim))) for dim in dims)
    moving = tuple((name, texts) for name, texts in axes if len(texts) > 1)
    start = tuple(len(texts) // 2 for _, texts in moving)
    point = int(np.ravel_multi_index(start, tuple(len(texts) for _, texts in moving))) if moving else 0
    told = {name: tuple(_text(value) for value in values) for name, values in numbers.items()}
    told["state"] = tuple(map(str, state))
    sweep = Sweep(moving, curves, told, start)
    parts: list[Part] = [Text("Move the sliders, or focus one and use the arrow keys.", hint=True)]
    chart = Chart(tuple((panel,) for panel in _panels(curves, grids, point)))
    described = f"curves of {', '.join(curves)} in one run" if curves else "numbers of one run"
    parts.append(Picture("One run of the sweep", described, chart, sweep=sweep))
    failed = int(np.count_nonzero(state == "failed"))
    meaning = "runs that failed or are missing have no numbers"
    mark = Badge(f"{done} of {len(state)} runs done", meaning, done == len(state))
    counts = {"runs": len(state), "done": done, "failed": failed, "missing": len(state) - done - failed}
    head = Section("", (Numbers(tuple((name, str(count)) for name, count in counts.items())),))
    study = str(data.attrs.get("study", "a function"))
    grid = " × ".join(f"{size} {dim}" for size, dim in zip(sizes, dims, strict=True))
    about = (("Sweep of", False), (study, True), (f"over {grid}", False))
    sections = (head, Section("Runs", tuple(parts)), _origin(data, axes, folder))
    return Document(f"Sweep {folder}", "sweep", about, mark, sections)


def _results(
    data: Any, dims: tuple[str, ...]
) -> tuple[dict[str, ndarray], dict[str, ndarray], dict[str, tuple[str, ndarray]]]:
    """Return the numbers (points,) and the curves (points, k) by name, and (label, x) of the axis of each curve."""
    numbers, curves, grids = {}, {}, {}
    points = int(np.prod([data.sizes[dim] for dim in dims]))
    wanted = [
        name
        for name, item in data.data_vars.items()
        if name not in _KNOWN and item.dtype.kind in "fiub" and item.size > 0
    ]
    count = sum(len(data[name].dims) == len(dims) + 1 for name in wanted)
    for name in wanted:
        item = data[name]
        if item.dims == dims:
            numbers[str(name)] = item.values.ravel()
        elif item.dims[: len(dims)] == dims and len(item.dims) == len(dims) + 1:
            along = item.dims[-1]
            known = along in data.coords and data[along].dtype.kind in "fiu"
            x = (
                data[along].values.astype(np.float64)
                if known
                else np.arange(item.sizes[along], dtype=np.float64)
            )
            stride = max(1, -(-points * len(x) * count // _VALUES))
            curves[str(name)] = item.values.reshape(points, -1)[:, ::stride].astype(np.float64)
            grids[str(name)] = (str(along) if known else _PLACE, x[::stride])
    return numbers, curves, grids


def _panels(curves: dict[str, ndarray], grids: dict[str, tuple[str, ndarray]], point: int) -> list[Panel]:
    """Return a panel for the curves of each x axis, with the curves of one run."""
    groups: dict[tuple[str, bytes], list[str]] = {}
    for name, (label, x) in grids.items():
        groups.setdefault((label, x.tobytes()), []).append(name)
    panels = []
    for (label, _), names in groups.items():
        x = grids[names[0]][1]
        values = np.concatenate([curves[name].ravel() for name in names])
        lines = tuple(
            Line(
                name,
                x,
                curves[name][point],
                f"c{i % 8}",
                ("solid", "dashed", "dotted", "dashdot")[i // 2 % 4],
                2.0,
            )
            for i, name in enumerate(names)
        )
        across = Axis(label, False, 0.0, float(x[-1]) or 1.0) if label == _PLACE else _axis(label, x)
        panels.append(Panel(", ".join(names), across, _axis("value", values), lines))
    return panels


def _axis(label: str, values: ndarray) -> Axis:
    seen = values[np.isfinite(values)]
    if seen.size == 0:
        return Axis(label, False, 0.0, 1.0)
    low, high = float(seen.min()), float(seen.max())
    positive = seen[seen > 0.0]
    least = float(np.quantile(positive, 0.01)) if positive.size else 0.0
    if low >= 0.0 and positive.size > 0.9 * seen.size and high > _WIDE * least:
        # Values below a share of the largest one are rounding errors of an exact fit.
        return Axis(label, True, max(least, 1e-12 * high) / 1.2, high * 1.2)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(label, False, low - room, high + room)


def _labels(data: Any, dim: str) -> list[Any]:
    return data[dim].values.tolist() if dim in data.coords else list(range(data.sizes[dim]))


def _text(value: Any) -> str:
    if isinstance(value, (str, bool, np.bool_)):
        return str(value)
    return "–" if np.isnan(value) else short(float(value))


def _origin(data: Any, axes: tuple[tuple[str, tuple[str, ...]], ...], folder: str) -> Section:
    facts = {
        name: texts[0] if len(texts) == 1 else f"{texts[0]} to {texts[-1]}, {len(texts)} values"
        for name, texts in axes
    }
    versions = sorted({str(code) for code in data["code"].values.ravel()} - {""})
    facts["code"] = ", ".join(versions)
    return Section("Settings", (Facts(facts), Code(f'ib.studies.open("{folder}")', "python")))
