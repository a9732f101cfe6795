"""The settings of a sweep of a study have the kinds of the study's defaults."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.errors import InputError


def test_whole_numbers_of_a_range_may_be_written_as_fractions(tmp_path: Any) -> None:
    swept = ib.studies.run_grid("grokking-linear", {"n": np.linspace(10, 12, 2), "d": [40.0]}, tmp_path)
    assert swept.ok
    assert [run["n"] for run in swept.settings] == [10, 12]


@pytest.mark.parametrize(
    ("study", "axis", "words"),
    [
        ("grokking-linear", {"n": [10.5]}, "n is 10.5, a whole number such as 30"),
        ("grokking-linear", {"n": [np.inf]}, "a whole number such as 30"),
        ("grokking-linear", {"n": ["abc"]}, "n is 'abc', a number such as 30"),
        ("grokking-linear", {"seed": [-1]}, "seed is -1, a whole number from 0 on"),
        ("saddle-to-saddle", {"alpha": ["x"]}, "alpha is 'x', a number such as 1e-30"),
        ("separable", {"horizon": [3.5]}, "horizon is 3.5, a text such as 'l2'"),
    ],
)
def test_a_setting_of_another_kind_is_refused_before_any_run(
    study: str, axis: dict[str, Any], words: str, tmp_path: Any
) -> None:
    with pytest.raises(InputError, match=words):
        ib.studies.run_grid(study, axis, tmp_path)
    assert not list(tmp_path.iterdir())
