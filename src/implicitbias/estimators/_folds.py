"""The folds of cross-validation: which rows are fitted and which are held out."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from scipy.special import fdtrc
from sklearn.model_selection import GroupKFold, KFold, check_cv

from implicitbias._core.errors import InputError

# Row numbers to fit and row numbers held out; the folds of one split differ in length.
Split = tuple[Int64[ndarray, "..."], Int64[ndarray, "..."]]

# Folds of sorted rows: their means explain more than this share of the variance of y, and the probability of such means
# for rows in random order is below this level.
_SHARE, _LEVEL = 0.1, 1e-3
_SORTED = (
    "the folds are blocks of consecutive rows, and the means of y in these blocks differ by more than chance (they "
    "explain {share:.0%} of its variance), so that the rows seem to be sorted and held-out errors too large; if the "
    "order of the rows has no meaning, shuffle them: type cv=KFold({folds}, shuffle=True, random_state=0) in Python "
    "(from sklearn.model_selection), or --shuffle on the command line"
)


def splitter(folds: int, seed: int | None = None, grouped: bool = False) -> KFold | GroupKFold:
    """Return scikit-learn's splitter of rows into folds of (nearly) equal size.

    Args:
        folds: the number of folds.
        seed: the seed with which rows or groups are shuffled; None for folds of consecutive rows.
        grouped: whether rows of one group stay in one fold.

    Examples:
        >>> from implicitbias.estimators import splitter
        >>> splitter(5, seed=0)
        KFold(n_splits=5, random_state=0, shuffle=True)
    """
    kind = GroupKFold if grouped else KFold
    return kind(folds) if seed is None else kind(folds, shuffle=True, random_state=seed)


def refuse_ignored_groups(cv: Any) -> None:
    """Raise an `InputError` if `cv` is no splitter, so that its folds do not depend on groups."""
    if hasattr(cv, "split"):  # as scikit-learn's check_cv tells splitters from other values
        return
    number = 5 if cv is None else cv
    folds = number if isinstance(number, int) else 5
    raise InputError(
        f"groups is given, but cv={cv!r} makes folds without groups; type cv=GroupKFold({folds}) "
        "(from sklearn.model_selection)"
    )


def splits(cv: Any, X: Any, y: ndarray, arguments: dict[str, Any]) -> list[Split]:
    """Return the row numbers (fitted, held out) of each fold; `arguments` are those of the splitter's `split`."""
    return [
        (_indices(train, y), _indices(test, y)) for train, test in check_cv(cv, y).split(X, y, **arguments)
    ]


def _indices(rows: Any, y: ndarray) -> Any:
    """Return the row numbers of one side of a split, which may be given as a mask."""
    return np.arange(len(y))[np.asarray(rows)]


def checked_folds(found: list[Split], weights: ndarray | None, n: int, cv: Any) -> list[Split]:
    """Return the folds with held-out rows of positive weight.

    Raises:
        InputError: a fold leaves fewer than two rows of positive weight to fit.
    """
    share = np.ones(n) if weights is None else weights
    kept = [fold for fold in found if np.any(share[fold[1]] > 0.0)]
    for k, (train, _) in enumerate(kept, start=1):
        rows = int(np.count_nonzero(share[train]))
        if rows < 2:
            raise InputError(
                f"cv={cv!r} leaves {rows} row(s) of positive weight to fit in fold {k}, at least two are "
                "expected; use more rows, or another cv"
            )
    return kept


def warn_of_sorted_rows(found: list[Split], y: ndarray, stacklevel: int) -> None:
    """Warn if the folds are blocks of consecutive rows whose means of y differ by more than chance.

    The means are compared by an analysis of variance. Other folds are not examined, because the caller chose them with
    the order of the rows in mind.
    """
    blocks = sorted((test for _, test in found if len(test)), key=lambda test: int(test[0]))
    if not blocks or not np.array_equal(np.concatenate(blocks), np.arange(len(y))):
        return
    within = sum(float(np.sum((y[rows] - np.mean(y[rows])) ** 2)) for rows in blocks)
    total = float(np.sum((y - np.mean(y)) ** 2))
    between, inner = len(blocks) - 1, len(y) - len(blocks)
    if between < 1 or inner < 1 or not total > 0.0:
        return
    share = max(1.0 - within / total, 0.0)
    chance = (
        0.0 if within == 0.0 else float(fdtrc(between, inner, (total - within) / between / (within / inner)))
    )
    if share > _SHARE and chance < _LEVEL:
        warnings.warn(_SORTED.format(share=share, folds=len(blocks)), UserWarning, stacklevel=stacklevel)
