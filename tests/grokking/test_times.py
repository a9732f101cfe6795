"""The interval of the grokking time, and the doubts about a verdict, on curves with a formula."""

import numpy as np
import pytest

from implicitbias.grokking._course import Curve
from implicitbias.grokking._held_out import COLUMNS
from implicitbias.grokking._times import Times, interval_of
from implicitbias.grokking._trust_of import of_the_verdict

MEMORIZED, GROKKED = 2.0, 100.0


def times(grokked: float = GROKKED, final: float = 0.0, then: float = 0.8) -> Times:
    """Return times of a curve whose error is `then` up to t = 50 and falls on a line to `final` at t = 150."""
    t = np.linspace(0.0, 200.0, 401)
    columns = np.zeros((401, len(COLUMNS)))
    columns[:, COLUMNS.index("test_error")] = np.interp(t, [50.0, 150.0], [then, final])
    return Times(MEMORIZED, grokked, then, final, 1.0, Curve(t, columns))


def test_test_rows_widen_the_interval() -> None:
    # The level is uncertain by half of one of 10 rows and by half of the 1.5 rows by which a final error may change,
    # and the line covers this error of 0.125 in a time of 15.625.
    low, high = interval_of(times(), times(), 0.1, 0.0)
    assert low == pytest.approx(84.375 * np.exp(-0.01))
    assert high == pytest.approx(115.625 * np.exp(0.01))


# Oracle: by hand. The level is the mean of the error at memorization and of the final one, so that a change of 0.2
# within a step of memorization moves it by 0.1, and the rest tolerance of 0.003 by 0.0015: a time of 12.5 + 0.1875.
def test_a_test_error_that_changes_at_memorization_widens_the_interval() -> None:
    found = times()
    columns = found.curve.columns.copy()
    columns[:5, COLUMNS.index("test_error")] = [1.0, 1.0, 1.0, 1.0, 0.8]  # up to t = 2
    moving = found._replace(curve=Curve(found.curve.times, columns))
    assert np.log(np.array(interval_of(moving, found, 0.0, 1.0)) / [87.3125, 112.6875]) == pytest.approx(
        [-0.01, 0.01]
    )
    # Less than half a step beside memorization there is no other time, and a second forecast may differ as well.
    assert interval_of(moving, found, 0.0, 0.4) == interval_of(found, found, 0.0, 0.4)
    later = interval_of(found, times(then=0.6), 0.0, 0.0)
    assert np.log(np.array(later) / [87.3125, 112.6875]) == pytest.approx([-0.01, 0.01])


def test_an_error_that_rises_has_an_interval_too() -> None:
    rising = times(then=0.0, final=0.8)
    low, high = interval_of(rising, rising, 0.1, 0.0)
    assert low == pytest.approx(84.375 * np.exp(-0.01))
    assert high == pytest.approx(115.625 * np.exp(0.01))


@pytest.mark.parametrize(
    ("other", "step", "width"),
    [(GROKKED, 0.0, 0.01), (GROKKED * np.exp(-0.1), 0.0, 0.2), (GROKKED, 5.0, 0.05)],
    ids=["least", "two forecasts", "one step"],
)
def test_the_width_without_test_rows(other: float, step: float, width: float) -> None:
    low, high = interval_of(times(), times(other), 0.0, step)
    # The rest tolerance of 0.003 units moves half the way by 0.0015, which the line covers in a time of 0.1875.
    assert np.log([(GROKKED - 0.1875) / low, high / (GROKKED + 0.1875)]) == pytest.approx([width, width])


def test_intervals_that_are_open() -> None:
    assert interval_of(times(), times(np.nan), 0.0, 0.0) == (0.0, np.inf)
    assert np.isnan(interval_of(times(np.nan), times(), 0.0, 0.0)).all()
    # The error changes by 0.1, which is 3.9 of 39 rows, or 4.1 of 41.
    small = times(then=0.1)
    assert interval_of(small, small, 1 / 39, 0.0) == (MEMORIZED, np.inf)
    assert interval_of(small, small, 1 / 41, 0.0)[1] < np.inf
    assert interval_of(times(then=0.004), times(then=0.004), 0.0, 0.0) == (MEMORIZED, np.inf)


@pytest.mark.parametrize(
    ("found", "other", "interval", "doubts"),
    [
        (times(), times(), (90.0, 110.0), []),
        (times(), times(final=0.3), (90.0, 110.0), ["two forecasts, final error"]),
        (times(then=0.105), times(), (90.0, 110.0), ["close verdict"]),
        (times(), times(), (15.0, 25.0), ["close verdict"]),
        (times(np.nan), times(), (np.nan, np.nan), []),
    ],
    ids=["none", "other end", "small fall", "short delay", "no time"],
)
def test_doubts_about_the_verdict(
    found: Times, other: Times, interval: tuple[float, float], doubts: list[str]
) -> None:
    reasons = of_the_verdict(found, other, interval, 0.0)
    assert [reason.name for reason in reasons if not reason.holds] == doubts
