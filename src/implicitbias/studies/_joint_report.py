"""One report of several studies: a table of them, their claims and figures, and what to cite."""

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias._core.whole_files import written_whole
from implicitbias.studies._registry import load
from implicitbias.studies._result import StudyResult

# An earlier report begins with this mark, which other files do not have.
_MARK = '<meta name="generator" content="implicitbias run'
_HEAD = 4000


def check_report(file: Any) -> Path:
    """Return the path of a report that can be written: nothing is there, or an earlier report.

    Raises:
        InputError: another file or a folder is there.
    """
    path = Path(file)
    try:
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as text:
                ours = _MARK in text.read(_HEAD)
        else:
            ours = True
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(
                f"the name {path.name[:40]}... is too long for a file; choose a shorter one"
            ) from None
        ours = False
    if not ours:
        raise InputError(
            f"{path} is there already and is no report of studies, so that it is not replaced; move it, or choose "
            "another folder"
        )
    return path


def document(result: StudyResult) -> Any:
    """Return the report of one study as a document of sections, which the modules of `reports` render.

    It has figures if the results are in a folder.
    """
    from implicitbias.studies._report import study_document  # matplotlib takes long to load

    study = load(result.card.name)
    drawn = {} if result.folder is None else result.datasets
    figures = {point: study.figures(point, data) for point, data in drawn.items()}
    return study_document(result, study, figures)


def report(results: Any, file: Any) -> Path:
    """Write one page with the claims and the figures of several studies.

    The page needs no network: figures can be zoomed, and all that they need travels with it.

    Args:
        results: a list of results of `ib.studies.run` or `ib.studies.judge`.
        file: the path of the page; an earlier report is replaced.

    Returns:
        The path of the page.

    Raises:
        InputError: there are no results, another file is there, or the file cannot be written.

    Examples:
        >>> import tempfile, implicitbias as ib
        >>> results = [ib.studies.run("conservation-laws", points=["small"])]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ib.studies.report(results, folder + "/report.html").name
        'report.html'
    """
    from implicitbias.reports import html  # matplotlib takes long to load
    from implicitbias.studies._report import joint_document

    chosen = list(results) if isinstance(results, Iterable) else []
    if not chosen or not all(isinstance(result, StudyResult) for result in chosen):
        raise InputError(
            f"results is {results!r:.80}, a list of results is expected; type "
            'ib.studies.report([ib.studies.run("saddle-to-saddle")], "report.html")'
        )
    path = check_report(file)
    figures = []
    for result in chosen:
        study = load(result.card.name)
        figures.append({point: study.figures(point, data) for point, data in result.datasets.items()})
    page = html(joint_document(chosen, figures, path.parent))
    try:
        with written_whole(path) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); choose another folder") from None
    return path
