"""The settings of the runs of a sweep: a grid or a list of points, checked."""

import math
from collections.abc import Iterable, Mapping
from itertools import product
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from implicitbias._core.errors import InputError, as_unicode
from implicitbias.studies.sweeps._variables import RESERVED

SEED = "seed"
# A point that is no mapping is stored as the setting of this name.
POINT = "point"
# A longer grid is a slip of the keyboard more often than a wish.
_MOST_POINTS = 10_000_000
_GRID = "a grid such as {'alpha': [1e-2, 1e-4], 'seed': range(5)} or a list of points is expected"


class Run(NamedTuple):
    """The settings of one run, and whether the function takes them by name.

    Attributes:
        place: the number of the run in the sweep, from 0 on.
        settings: the settings; a run without names has the one setting `point`.
        by_name: whether the function is called as function(**settings), or as function(point).
    """

    place: int
    settings: dict[str, Any]
    by_name: bool

    def of(self, function: Any) -> Any:
        """Return the value of the function at these settings."""
        return function(**self.settings) if self.by_name else function(self.settings[POINT])


def runs_of(points: Any, seeds: Any = None) -> list[Run]:
    """Return the runs of a grid {name: values}, of a list of {name: value}, or of a list of points.

    Raises:
        InputError: the points are not of these kinds, an axis of the grid is empty, or the grid is too large.
    """
    if isinstance(points, Mapping):
        axes = {_name(name): _values(name, values) for name, values in points.items()}
    elif isinstance(points, Iterable) and not isinstance(points, (str, bytes)):
        return _listed(list(points), seeds)
    else:
        raise InputError(f"points is {points!r}, {_GRID}")
    if seeds is not None:
        if SEED in axes:
            raise InputError("both seeds= and an axis 'seed' are given; leave one of them out")
        axes[SEED] = list(range(_count(seeds)))
    if not axes:
        raise InputError(f"the grid has no axis, {_GRID}")
    total = math.prod(len(values) for values in axes.values())
    if total > _MOST_POINTS:
        raise InputError(
            f"the grid has {total} points, at most {_MOST_POINTS} are expected; use fewer values"
        )
    combined = enumerate(product(*axes.values()))
    return [Run(place, dict(zip(axes, values, strict=True)), by_name=True) for place, values in combined]


def _listed(points: list[Any], seeds: Any) -> list[Run]:
    """Return the runs of a list; with `seeds`, each point is run with each seed."""
    named = [isinstance(point, Mapping) for point in points]
    if any(named) and not all(named):
        raise InputError(
            "some points are mappings of settings and some are not; use one kind for all of them"
        )
    if all(named) and points:
        settings = [{_name(name): _scalar(value) for name, value in point.items()} for point in points]
        if seeds is not None:
            settings = [{**one, SEED: seed} for one in settings for seed in range(_count(seeds))]
        return [Run(place, one, by_name=True) for place, one in enumerate(settings)]
    if seeds is not None:
        raise InputError("seeds= needs points with names: sweep(run, {'alpha': [1e-2, 1e-4]}, seeds=5)")
    return [Run(place, {POINT: _scalar(point)}, by_name=False) for place, point in enumerate(points)]


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(f"a setting is named {name!r}, a name of Python such as 'alpha' is expected")
    return name


def _values(name: str, values: Any) -> list[Any]:
    """Return the values of one axis of a grid; one value stands for a list of it."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        values = [values]
    found = [_scalar(value) for value in values]
    if not found:
        raise InputError(f"the axis {name!r} of the grid has no values; give it one, or leave the axis out")
    if len({repr(one_form(value)) for value in found}) < len(found):
        raise InputError(f"the axis {name!r} of the grid has a value twice: {found}; leave one of them out")
    return found


def one_form(value: Any) -> Any:
    """Return the form of a setting that identifies it: the numbers 1 and 1.0, and 0.0 and -0.0, are one setting."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _scalar(value: Any) -> Any:
    """Return a scalar of NumPy as one of Python, and any other object as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _count(seeds: Any) -> int:
    if isinstance(seeds, bool) or not isinstance(seeds, Integral) or seeds < 1:
        raise InputError(f"seeds is {seeds!r}, a number of seeds such as 20 is expected")
    return int(seeds)


def check_storable(runs: Iterable[Run]) -> None:
    """Check that all settings are finite numbers, texts, True, False or None, which a store can identify.

    Raises:
        InputError: a setting is of another kind, or has a name that the opened store needs.
    """
    for run in runs:
        for name, value in run.settings.items():
            if name in RESERVED:
                raise InputError(
                    f"a setting is named {name}, under which an opened store says what is known about each run; give "
                    "the setting another name"
                )
            if isinstance(value, str) and as_unicode(value) != value:
                raise InputError(
                    f"the setting {name} is {value!r}, half of a surrogate pair, which is no text of Unicode"
                )
            plain = value is None or isinstance(value, (bool, int, float, str))
            if not plain or (isinstance(value, Real) and not math.isfinite(value)):
                raise InputError(
                    f"the setting {name} is {value!r}; a store keeps numbers, texts, True, False and None: give the "
                    "settings as such values, and build other objects inside the function"
                )


def parsed_axes(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the axes of a grid that is written as texts, such as `alpha=1e-4:1e2:log25`.

    The forms are NAME=V1,V2,..., NAME=FIRST:LAST:logN (geometric), NAME=FIRST:LAST:linN (equally spaced), and
    NAME=FIRST:LAST (whole numbers).

    Raises:
        InputError: a text is of no such form, or a name comes twice.
    """
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name or not values.strip():
            raise InputError(
                f"--grid {text} names no values; type --grid alpha=1e-4:1e2:log25 or alpha=0.1,1,10"
            )
        if name in axes:
            raise InputError(f"--grid gives {name} twice; type all its values in one, as in {name}=0.1,1,10")
        axes[_name(name)] = _parsed_values(text, values.strip())
    return axes


def _parsed_values(text: str, values: str) -> list[Any]:
    if ":" not in values:
        return [_parsed(item.strip()) for item in values.split(",")]
    parts = values.split(":")
    first, last = (_parsed(part.strip()) for part in [*parts, ""][:2])
    whole = isinstance(first, int) and isinstance(last, int)
    if len(parts) == 2 and whole and first <= last:
        return list(range(first, last + 1))
    kind, count = (parts[2][:3], parts[2][3:]) if len(parts) == 3 else ("", "")
    numbers = all(isinstance(end, (int, float)) and math.isfinite(end) for end in (first, last))
    if not numbers or kind not in ("log", "lin") or not count.isdigit() or int(count) < 1:
        raise InputError(
            f"--grid {text} is not understood; type FIRST:LAST:log25 for a geometric grid, FIRST:LAST:lin11 for an "
            "equally spaced one, FIRST:LAST for whole numbers, or values with commas"
        )
    if kind == "log" and (first <= 0 or last <= 0):
        raise InputError(
            f"--grid {text} is geometric, and its ends must be positive; type lin in place of log"
        )
    space = np.geomspace if kind == "log" else np.linspace
    # Sixteen digits of a computed number would be in every file and table.
    return [float(f"{value:.12g}") for value in space(first, last, int(count))]


def _parsed(text: str) -> Any:
    """Return a whole number, a number, True, False, None or the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)
