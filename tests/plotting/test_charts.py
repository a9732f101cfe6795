"""Charts of matplotlib figures: the same lines, points, areas and axes as data."""

import numpy as np
from matplotlib.figure import Figure

from implicitbias.plotting import Area, Dots, Line, Rule, Stripe, chart_of_figure
from implicitbias.plotting._style import COLOURS


def drawn() -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1.0, 10.0], [2.0, 3.0], "--", color=COLOURS[1], label=r"rate $\alpha$")
    axes.step([1.0, 5.0], [4.0, 6.0], where="post", color="#333333")
    axes.scatter([2.0, 3.0], [5.0, 4.0], s=16.0, color=COLOURS[2], label="rows")
    axes.fill_between([1.0, 10.0], [1.0, 1.0], [2.0, 2.5], color=COLOURS[0], alpha=0.25)
    axes.barh([3.0], [7.0], height=1.0, color=COLOURS[0])
    axes.axvline(4.0, color=COLOURS[3], linestyle=":")
    axes.axhline(2.5, color=COLOURS[4])
    axes.axvspan(6.0, 8.0, color=COLOURS[5], alpha=0.5)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 20.0)
    axes.set_xlabel("$t$")
    axes.set_yticks([2.0, 4.0], ["two", "four"])
    return figure


def test_all_marks_are_taken_over() -> None:
    chart = chart_of_figure(drawn())
    assert chart is not None
    (panel,) = chart.panels
    assert (panel.x.label, panel.x.log, panel.x.low, panel.x.high) == ("t", True, 0.5, 20.0)
    assert panel.y.ticks == ((2.0, "two"), (4.0, "four"))
    dashed, steps = (mark for mark in panel.marks if isinstance(mark, Line))
    assert (dashed.name, dashed.colour, dashed.dash, dashed.steps) == ("rate α", "c1", "dashed", False)
    assert (dashed.x.tolist(), dashed.y.tolist()) == ([1.0, 10.0], [2.0, 3.0])
    assert (steps.name, steps.colour, steps.steps) == ("", "ink", True)
    (dots,) = (mark for mark in panel.marks if isinstance(mark, Dots))
    assert (dots.name, dots.colour, dots.size, dots.filled) == ("rows", "c2", 4.0, True)
    assert (dots.x.tolist(), dots.y.tolist()) == ([2.0, 3.0], [5.0, 4.0])
    assert {(rule.value, rule.vertical, rule.dash) for rule in panel.marks if isinstance(rule, Rule)} == {
        (4.0, True, "dotted"),
        (2.5, False, "solid"),
    }
    (stripe,) = (mark for mark in panel.marks if isinstance(mark, Stripe))
    np.testing.assert_allclose([stripe.low, stripe.high, stripe.opacity], [6.0, 8.0, 0.5])
    bar, band = (mark for mark in panel.marks if isinstance(mark, Area))
    assert (bar.x[0].min(), bar.x[0].max(), bar.y[0].min(), bar.y[0].max()) == (0.0, 7.0, 2.5, 3.5)
    assert (band.y[0].min(), band.y[0].max(), band.opacity) == (1.0, 2.5, 0.25)


def test_contours_are_lines() -> None:
    figure = Figure()
    axes = figure.subplots()
    x = np.linspace(-1.0, 1.0, 21)
    axes.contour(x, x, np.add.outer(x, x), levels=[0.0], colors="#111111")
    chart = chart_of_figure(figure)
    assert chart is not None
    (line,) = chart.panels[0].marks
    assert isinstance(line, Line)
    assert line.colour == "ink"
    np.testing.assert_allclose(line.x + line.y, 0.0, atol=1e-12)


def test_what_a_chart_cannot_show_stays_a_picture() -> None:
    figure = Figure()
    figure.subplots().imshow(np.eye(3))
    assert chart_of_figure(figure) is None
    assert chart_of_figure(Figure()) is None
