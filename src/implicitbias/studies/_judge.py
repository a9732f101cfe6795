"""Judge the claims of stored results again, from what is stored, without computing a path or a flow."""

from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias.studies._registry import find, load
from implicitbias.studies._result import StudyResult, judged
from implicitbias.studies._store import CLAIMS, read_content, read_points


def find_results(folder: Any) -> tuple[Path, ...]:
    """Return the folders of results of one study, or of several in the folder that `run(name, out=...)` was given.

    Raises:
        InputError: there is no such folder, or no results in it.
    """
    place = Path(folder)
    if not place.is_dir():
        what = "is a file" if place.exists() else "does not exist"
        raise InputError(
            f"{place} {what}, a folder of results is expected; type implicitbias run --out {place}"
        )
    if (place / CLAIMS).is_file():
        return (place,)
    found = tuple(sorted(inner for inner in place.iterdir() if (inner / CLAIMS).is_file()))
    if not found:
        raise InputError(
            f"{place} holds no results of a study, neither itself nor in a folder below it; "
            f"type implicitbias run --out {place}"
        )
    return found


def judge(folder: Any) -> StudyResult:
    """Judge the claims of one folder of results again. Nothing is computed but the claims, and nothing is written.

    Claims are functions of the stored datasets: a changed number in a `.nc` file changes the verdict. What
    claims.json says of an earlier judgement does not count.

    Args:
        folder: the folder of one study, as `find_results` gives it.

    Returns:
        A `StudyResult`; `ok` says whether every claim holds.

    Raises:
        InputError: a folder without results, an unknown study, or a file that is missing or damaged.
    """
    place = Path(folder)
    content = read_content(place)
    try:
        card = find(content["study"])
    except InputError as error:
        raise InputError(f"{place / CLAIMS}: {error}") from error
    datasets = read_points(place, content)
    try:
        claims = judged(load(card.name), datasets)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return StudyResult(card, claims, datasets, place)
