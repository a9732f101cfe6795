"""Judge the claims of stored results again from the stored data, without predicting paths or simulating flows."""

from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias.studies._registry import find, load
from implicitbias.studies._result import StudyResult, judged
from implicitbias.studies._store import CLAIMS, read_content, read_points


def find_results(folder: Any) -> tuple[Path, ...]:
    """Return the folders of results: the given folder itself, or the folders in the `out` folder of `run`.

    Raises:
        InputError: the folder does not exist or holds no results.
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
            f"{place} and the folders in it hold no results of a study, at least one claims.json is expected; "
            f"type implicitbias run --out {place}"
        )
    return found


def judge(folder: Any) -> StudyResult:
    """Judge the claims of one folder of results again.

    Only the claims are computed, and nothing is written. Claims are functions of the stored datasets, so that a changed
    number in a `.nc` file changes the verdict. The verdicts in claims.json are not used.

    Args:
        folder: the folder of one study, as `find_results` returns it.

    Returns:
        A `StudyResult`; `ok` says whether every claim holds and no checked assumption fails.

    Raises:
        InputError: the folder holds no results; the study is unknown; a file is missing or damaged.
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
