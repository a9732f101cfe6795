"""Tests of the array checks: inputs are copied, their memory layout is kept, and results are read-only."""

import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.arrays import frozen, real_array


# Oracle: NumPy's flags.
def test_memory_order_is_kept() -> None:
    assert real_array(np.ones((3, 2), order="F"), "X", ndim=2).flags.f_contiguous
    assert real_array(np.ones((3, 2)), "X", ndim=2).flags.c_contiguous


def test_the_result_is_a_copy_that_may_be_written() -> None:
    locked = np.ones(3)
    locked.flags.writeable = False
    copy = real_array(locked, "y", ndim=1)
    copy[0] = 2
    assert locked[0] == 1


def test_frozen_is_a_read_only_view() -> None:
    array = np.zeros(2)
    view = frozen(array)
    assert np.shares_memory(view, array)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    array[0] = 1  # The owner of the array may still write to it.


@pytest.mark.parametrize(
    "value", [["1.0"], np.array(["1"]), [b"1"], np.array(["2020"], dtype="M8[Y]"), [object()], [[1], [1, 2]]]
)
def test_what_only_looks_like_numbers_is_refused(value: object) -> None:
    with pytest.raises(ib.InputError, match=r"^y "):
        real_array(value, "y", ndim=1)


# Oracle: the count and the first place, by hand.
def test_bad_values_are_counted_and_located() -> None:
    X = np.zeros((3, 4))
    X[1, 2] = np.nan
    X[2, 0] = np.inf
    with pytest.raises(ib.InputError, match=r"2 NaN or infinite.*\[1, 2\]"):
        real_array(X, "X", ndim=2)
