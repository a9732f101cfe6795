"""Tests of frozen values: their fields are set once, never change, and are the only attributes that are pickled."""

import dataclasses
import pickle
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from implicitbias._core.values import Value


class Sample(Value):
    array: np.ndarray
    name: str

    def __init__(self, array: Any, name: str = "a") -> None:
        self._settle({"array": np.asarray(array), "name": name})

    @cached_property
    def total(self) -> float:
        return float(np.sum(self.array))


def test_fields_are_set_once() -> None:
    sample = Sample([1.0, 2.0])
    with pytest.raises(
        dataclasses.FrozenInstanceError, match="cannot set 'name': a Sample is a frozen value"
    ):
        sample.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot set 'other'"):
        sample.other = 1
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete 'name'"):
        del sample.name
    assert sample.name == "a"


def test_a_cache_is_neither_content_nor_pickled() -> None:
    sample = Sample([1.0, 2.0])
    before = sample.fingerprint()
    assert sample.total == 3.0
    assert sample.fingerprint() == before
    copy = pickle.loads(pickle.dumps(sample))
    assert "total" not in vars(copy)
    assert (copy.total, copy.fingerprint()) == (3.0, before)


def test_a_copy_from_another_process_is_read_only() -> None:
    copy = pickle.loads(pickle.dumps(Sample([1.0])))
    with pytest.raises(ValueError, match="read-only"):
        copy.array[0] = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        copy.name = "b"
