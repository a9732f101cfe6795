"""Test settings: what the page may send, and the values that explorations receive."""

import numpy as np
import pytest

from implicitbias import InputError
from implicitbias.explorer import EXPLORATIONS, find
from implicitbias.explorer._picture import Axes, Curve, Role
from implicitbias.explorer._ranges import axis_ranges
from implicitbias.explorer._setting import Setting, choice

every_exploration = pytest.mark.parametrize("exploration", EXPLORATIONS, ids=lambda one: one.name)


@every_exploration
def test_defaults_are_numbers_of_the_sliders(exploration) -> None:
    for setting in exploration.settings:
        assert setting.checked(setting.default) == pytest.approx(setting.default)
        assert setting.checked(setting.high) == pytest.approx(setting.high)
        with pytest.raises(InputError, match="is expected"):
            setting.checked(setting.high + 1.0)
    assert list(exploration.values(exploration.defaults())) == [one.name for one in exploration.settings]


@pytest.mark.parametrize("number", [np.nan, np.inf, -1e300, "1", None, True, [1.0], {}])
def test_what_is_no_number_of_the_slider_is_refused(number: object) -> None:
    with pytest.raises(InputError, match=r"noise is .*, a number"):
        Setting("noise", "noise", 0.0, 1.0, 0.05, 0.0).value(number)


def test_values_have_the_scale_and_the_type_of_the_setting() -> None:
    assert Setting("alpha", "alpha", -300.0, 0.0, 0.5, -10.0, powers=True).value(-2.0) == pytest.approx(0.01)
    whole = Setting("n", "n", 2, 30, 1, 12).value(7.0)
    assert whole == 7
    assert isinstance(whole, int)
    assert Setting("noise", "noise", 0.0, 1.0, 0.05, 0.0).value(0.26) == pytest.approx(0.25)
    gauge = choice("gauge", "gauge", ("l1", "l2", "linf"), "l2")
    assert gauge.value(gauge.default) == "l2"
    assert gauge.value(2) == "linf"


def test_another_number_of_settings_is_refused() -> None:
    with pytest.raises(InputError, match="the page sent 2 settings, 5 are expected"):
        find("saddle-to-saddle").picture([1.0, 2.0])


def test_an_unknown_exploration_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"no exploration of 'saddle', one of saddle-to-saddle, .*early-late-sparse is"
    ):
        find("saddle")


def test_programs_are_those_of_the_settings_that_compile() -> None:
    deep = find("deep-diagonal")
    programs = deep.programs()
    assert programs[0] == deep.defaults()
    assert [deep.program(numbers) for numbers in programs] == [("deep-diagonal", depth) for depth in "324"]
    assert len(find("saddle-to-saddle").programs()) == 1


def test_ranges_hold_all_points() -> None:
    x, y = np.array([1e-3, 1.0, np.nan]), np.array([-2.0, 3.0, np.inf])
    curves = [Curve("one", x, y, Role.FLOW)]
    (low, high), (bottom, top) = axis_ranges(Axes("", "", "", x_log=True), curves)
    assert 0.0 < low < 1e-3
    assert 1.0 < high < 2.0
    assert bottom < -2.0
    assert 3.0 < top < 4.0
    equal = axis_ranges(Axes("", "", "", equal=True), curves)
    assert equal[0] == equal[1] == (-top, top)
    assert axis_ranges(Axes("", "", "", y_log=True), [])[1] == (0.1, 1.0)
