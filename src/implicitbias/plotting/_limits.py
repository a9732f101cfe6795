"""Figures of a limit: coefficients with names, margins of the rows, and separating lines of two features."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.limits import Limit
from implicitbias.plotting._style import COLOURS, new_figure, plain
from implicitbias.plotting._text import short
from implicitbias.problems import ProblemInW

_BARS, _FEWEST, _GRID = 20, 6, 241
# Margins that differ by more than this ratio get a logarithmic axis, if all are positive.
_WIDE = 30.0
_SUPPORT = "#111111"


def limit_figure(limit: Limit, labels: tuple[str, ...] | None = None) -> Figure:
    """Return a figure of a limit.

    It shows the largest coefficients. For a classifier it also shows the margins of the rows, and with two features the
    rows and the separating lines in place of the coefficients.

    Args:
        limit: the limit.
        labels: names of the classes; by default the labels of the problem.

    Raises:
        InputError: the point is not one array with coefficients of columns.
    """
    point: Any = limit.point
    coefficients = isinstance(point, ndarray) and isinstance(limit.problem, ProblemInW)
    if not coefficients or (limit.margin is None and point.ndim != 1):
        shape = f" of shape {point.shape}" if isinstance(point, ndarray) else ""
        kind = f"a {type(point).__name__}{shape}" + ("" if coefficients else " of parameters")
        raise InputError(
            f"the limit is a point of another kind ({kind}), coefficients (d,) or a classifier "
            "are expected; look at limit.point"
        )
    mark = "certified" if limit.certificate.holds else "NOT certified"
    if limit.margin is None:
        figure, axes = new_figure(1, height=4.2)
        _coefficients(axes[0, 0], limit, ())
        axes[0, 0].set_title(f"Limit: value {short(limit.value)}, {mark}", loc="left", fontsize=11)
        return figure
    return classifiers_figure([(limit, labels or tuple(map(str, limit.problem.classes)))])


def classifiers_figure(parts: Sequence[tuple[Limit, tuple[str, ...]]]) -> Figure:
    """Return a figure with a row for each limit of a classifier, which comes with the names of its classes."""
    figure, axes = new_figure(len(parts), 2, height=4.4, width=5.4)
    for (left, right), (limit, labels) in zip(axes, parts, strict=True):
        names = tuple(plain(label) for label in labels)
        if _features(limit) == 2:
            _plane(left, limit, names)
        else:
            _coefficients(left, limit, names)
        _margins(right, limit, names)
        mark = "certified" if limit.certificate.holds else "NOT certified"
        against = f"{names[1]} against the rest\n" if len(parts) > 1 else ""
        title = f"{against}Classifier: margin {short(float(limit.margin or 0.0))}, {mark}"
        left.set_title(title, loc="left", fontsize=11)
    return figure


def row_margins(limit: Limit) -> Float64[ndarray, " n"]:
    """Return the margins of the rows at the point of a classifier, with its intercepts."""
    scores, y = _scores(limit), limit.problem.y
    if scores.ndim == 1:
        return y * scores
    rows = np.arange(len(y))
    own = scores[rows, y]
    others = scores.copy()
    others[rows, y] = -np.inf
    return own - np.max(others, axis=1)


def _scores(limit: Limit) -> Float64[ndarray, "n ..."]:
    linear_map, w = limit.problem.linear_map, limit.point
    bias = 0.0 if limit.bias is None else limit.bias
    if _many(limit):
        return np.stack([linear_map.matvec(column) for column in w.T], axis=1) + bias
    return linear_map.matvec(w) + bias


def _many(limit: Limit) -> bool:
    """Whether the classifier has a column of w for each class."""
    return limit.multipliers is not None and limit.multipliers.ndim == 2


def _features(limit: Limit) -> int:
    if limit.point.ndim == 2 and not _many(limit):
        return limit.point.size  # a matrix w, whose entries are coefficients
    return len(limit.point)


def _classes(limit: Limit) -> Int64[ndarray, " n"]:
    """Return the index of the class of each row."""
    y = limit.problem.y
    return y if _many(limit) else (y > 0.0).astype(np.int64)


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _names(limit: Limit) -> list[str]:
    names = getattr(limit.problem, "feature_names", None)
    if names is not None:
        return [plain(name) for name in names]
    shape = limit.point.shape[:1] if _many(limit) else limit.point.shape
    return [f"$w_{{{','.join(map(str, place))}}}$" for place in np.ndindex(*shape)]


def _coefficients(axis: Any, limit: Limit, labels: tuple[str, ...]) -> None:
    """Draw the largest coefficients as bars, or as dots in the colours of several classes."""
    many = _many(limit)
    w = limit.point if many else limit.point.reshape(-1, 1)
    size = np.max(np.abs(w), axis=1, initial=0.0)
    used = int(np.count_nonzero(size))
    shown = np.argsort(-size, kind="stable")[: min(_BARS, used)]
    places = np.arange(len(shown))[::-1]
    names = _names(limit)
    if many:
        for c, label in enumerate(labels):
            axis.plot(w[shown, c], places, "o", color=_colour(c), markersize=5, label=label)
        axis.legend(frameon=False, fontsize=8, title="class", title_fontsize=8)
    else:
        axis.barh(places, w[shown, 0], height=0.7, color=[_colour(int(value > 0.0)) for value in w[shown, 0]])
    axis.axvline(0.0, color="#8A9094", linewidth=0.8)
    axis.set_yticks(places, [names[i] for i in shown], fontsize=8)
    axis.set_ylim(
        min(-0.8, (len(shown) - _FEWEST) / 2 - 0.5), max(len(shown) - 0.2, (len(shown) + _FEWEST) / 2)
    )
    axis.grid(axis="y", visible=False)
    rest = used - len(shown)
    axis.set_xlabel(
        f"coefficient ({len(shown)} of {used} that are not 0, of {len(size)})" if rest else
        f"coefficient ({used} of {len(size)} are not 0)"
    )  # fmt: skip


def _margins(axis: Any, limit: Limit, labels: tuple[str, ...]) -> None:
    """Draw the sorted margins of the rows in the colours of the classes; support vectors have a dark edge."""
    margins, classes = row_margins(limit), _classes(limit)
    order = np.argsort(margins, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    support = np.zeros(len(margins), dtype=bool)
    support[limit.support] = True
    size = 22 if len(margins) < 300 else 9
    for c, label in enumerate(labels):
        own = classes == c
        axis.scatter(
            rank[own],
            margins[own],
            s=size,
            color=_colour(c),
            alpha=0.75,
            linewidths=0,
            label=label,
        )
    axis.scatter(
        rank[support], margins[support], s=size + 14, facecolors="none", edgecolors=_SUPPORT, linewidths=0.9,
        label=f"support vectors ({np.count_nonzero(support)})",
    )  # fmt: skip
    axis.axhline(1.0, color="#8A9094", linewidth=0.9, linestyle="--")
    if np.min(margins) > 0.0 and np.max(margins) > _WIDE * np.min(margins):
        axis.set_yscale("log")
    if np.min(margins) < 0.0:
        axis.axhline(0.0, color="#8A9094", linewidth=0.9)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))  # ranks are whole numbers
    axis.set_xlabel("rows, sorted by margin")
    axis.set_ylabel("margin")
    wrong = int(np.count_nonzero(margins <= 0.0))
    axis.set_title(f"Margins of {len(margins)} rows, {wrong} misclassified", loc="left", fontsize=11)
    axis.legend(frameon=False, fontsize=8, loc="upper left")


def _plane(axis: Any, limit: Limit, labels: tuple[str, ...]) -> None:
    """Draw the rows of two features, the separating lines, and for two classes also the lines of margin 1."""
    X, classes = _dense(limit), _classes(limit)
    low, high = X.min(axis=0), X.max(axis=0)
    room = 0.12 * np.where(high > low, high - low, 1.0)
    x, y = (np.linspace(low[j] - room[j], high[j] + room[j], _GRID) for j in (0, 1))
    grid = np.stack([part.ravel() for part in np.meshgrid(x, y)], axis=1)
    bias = 0.0 if limit.bias is None else limit.bias
    scores = grid @ (limit.point if _many(limit) else limit.point.ravel()) + bias
    if _many(limit):
        winners = np.argmax(scores, axis=1).reshape(_GRID, _GRID)
        k = len(labels)
        axis.contourf(
            x, y, winners, levels=np.arange(k + 1) - 0.5, colors=[_colour(c) for c in range(k)], alpha=0.14
        )
    else:
        values = scores.reshape(_GRID, _GRID)
        styles = {"colors": _SUPPORT, "linewidths": (0.9, 1.6, 0.9), "linestyles": ("--", "-", "--")}
        axis.contour(x, y, values, levels=(-1.0, 0.0, 1.0), **styles)
    for c, label in enumerate(labels):
        own = X[classes == c]
        axis.scatter(own[:, 0], own[:, 1], s=22, color=_colour(c), linewidths=0, label=label)
    support = X[limit.support]
    axis.scatter(support[:, 0], support[:, 1], s=60, facecolors="none", edgecolors=_SUPPORT, linewidths=1.0)
    names = _names(limit)
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    axis.grid(visible=False)
    axis.legend(frameon=False, fontsize=8)


def _dense(limit: Limit) -> Float64[ndarray, "n 2"]:
    """Return the two columns of X, one at a time because X may be sparse or a shifted matrix."""
    linear_map = limit.problem.linear_map
    shape = limit.point.shape[:1] if _many(limit) else limit.point.shape
    columns = []
    for j in (0, 1):
        unit = np.zeros(int(np.prod(shape)))
        unit[j] = 1.0
        columns.append(linear_map.matvec(unit.reshape(shape)))
    return np.stack(columns, axis=1)
