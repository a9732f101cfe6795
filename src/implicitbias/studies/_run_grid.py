"""Run one study at all points of a grid of its settings."""

from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias.studies._registry import find, list_cards, load
from implicitbias.studies._study import Study
from implicitbias.studies.sweeps import Label, Limits, Place, SweepResult, Watch, run_sweep, runs_of


def run_grid(
    name: str,
    grid: dict[str, Any],
    out: Any,
    *,
    seeds: Any = None,
    place: Place | None = None,
    limits: Limits | None = None,
    outdated: str | None = "keep",
    watch: Watch | None = None,
) -> SweepResult:
    """Run a study at all points of a grid, and keep the results in a store.

    Settings that the grid leaves out have the defaults of the study, `ib.studies.load(name).settings()`.

    Args:
        name: a name that `ib.studies.list()` gives.
        grid: {setting: values}.
        out: the folder of the store.
        seeds: the number of seeds; each point is run with seed = 0, ..., seeds - 1.
        place: where the runs are computed; by default in this process.
        limits: what a run may cost; by default without limits.
        outdated: what happens to runs that another version has computed: "keep" or "replace" them; None refuses.
        watch: who is told about the sweep while it runs; by default nobody.

    Returns:
        A `SweepResult`.

    Raises:
        InputError: the study is unknown or has no settings, or the grid names a setting that it does not have.
    """
    from implicitbias import __version__

    find(name)
    study = load(name)
    defaults = study.settings()
    if not defaults:
        others = [card.name for card in list_cards() if load(card.name).settings()]
        raise InputError(
            f"{name} has no settings to sweep; type one of {', '.join(others)}, or run it without --grid"
        )
    unknown = sorted(set(grid) - set(defaults))
    if unknown:
        known = ", ".join(f"{key}={value!r}" for key, value in defaults.items())
        raise InputError(f"{name} has no setting {', '.join(unknown)}; its settings and defaults are {known}")
    if seeds is not None and "seed" not in defaults:
        raise InputError(f"{name} has no setting seed; leave --seeds out")
    fixed = {key: [value] for key, value in defaults.items() if not (key == "seed" and seeds is not None)}
    runs = [
        run._replace(settings={key: _like(key, value, defaults[key]) for key, value in run.settings.items()})
        for run in runs_of(fixed | grid, seeds)
    ]
    return run_sweep(
        partial(_measured, study),
        runs,
        Path(out),
        Label(name, __version__),
        place=place or Place(),
        limits=limits or Limits(),
        outdated=outdated,
        watch=watch or Watch(),
    )


def _measured(study: Study, *args: Any, **settings: Any) -> Any:
    """Return one run of a study; sweeps pass settings by name."""
    return study.measure(settings, *args)


def _like(name: str, value: Any, default: Any) -> Any:
    """Return the value of a setting as its default is written: whole numbers of a range may come as floats.

    Raises:
        InputError: the value is of another kind than the default, or a seed is negative.
    """
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise InputError(f"{name} is {value!r}, a text such as {default!r} is expected")
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} is {value!r}, a number such as {default!r} is expected")
    number = float(value)
    if not isinstance(default, Integral):
        return number
    if not number.is_integer():
        raise InputError(f"{name} is {value!r}, a whole number such as {default!r} is expected")
    if name == "seed" and number < 0:
        raise InputError(f"seed is {value!r}, a whole number from 0 on is expected")
    return int(value) if isinstance(value, Integral) else int(number)
