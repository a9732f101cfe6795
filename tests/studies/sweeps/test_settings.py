"""Test that grids are read as they are meant, and that slips are told."""

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies.sweeps import parsed_axes, runs_of


def test_a_grid_is_the_product_of_its_axes_in_order() -> None:
    runs = runs_of({"a": [1, 2], "b": "x"}, seeds=2)
    assert [run.settings for run in runs] == [
        {"a": 1, "b": "x", "seed": 0},
        {"a": 1, "b": "x", "seed": 1},
        {"a": 2, "b": "x", "seed": 0},
        {"a": 2, "b": "x", "seed": 1},
    ]
    assert [run.place for run in runs] == [0, 1, 2, 3]


def test_the_forms_of_axes_on_the_command_line() -> None:
    axes = parsed_axes(
        ["alpha=1e-4:1e2:log4", "x=0:1:lin3", "depth=2:4", "lam=0,1e-3", "loss=logistic", "s=true,none"]
    )
    np.testing.assert_allclose(axes["alpha"], [1e-4, 1e-2, 1.0, 1e2], rtol=1e-11)
    assert axes["x"] == [0.0, 0.5, 1.0]
    assert axes["depth"] == [2, 3, 4]
    assert axes["lam"] == [0, 1e-3]
    assert axes["loss"] == ["logistic"]
    assert axes["s"] == [True, None]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["alpha"], "names no values"),
        (["alpha="], "names no values"),
        (["=3"], "names no values"),
        (["a=1", "a=2"], "gives a twice"),
        (["a=1:2:cube5"], "is not understood"),
        (["a=1.5:2"], "is not understood"),
        (["a=4:2"], "is not understood"),
        (["a=1:2:log0"], "is not understood"),
        (["a=1:inf:lin3"], "is not understood"),
        (["a=0:2:log3"], "must be positive"),
        (["a b=1"], "a name of Python"),
    ],
)
def test_slips_on_the_command_line_are_told(texts: list[str], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        parsed_axes(texts)


@pytest.mark.parametrize(
    ("points", "seeds", "words"),
    [
        (3, None, "a grid such as"),
        ("abc", None, "a grid such as"),
        ({}, None, "has no axis"),
        ({"a": []}, None, "has no values"),
        ({"a": [1, 1]}, None, "a value twice"),
        ({"seed": [1]}, 3, "both seeds= and an axis"),
        ({"a": [1]}, 0, "a number of seeds"),
        ({"a": range(10_000), "b": range(10_000)}, None, "at most"),
        ([{"a": 1}, 2], None, "one kind for all"),
        ([1, 2], 3, "seeds= needs points with names"),
        ({"a b": [1]}, None, "a name of Python"),
    ],
)
def test_slips_in_points_are_told(points: object, seeds: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        runs_of(points, seeds)
