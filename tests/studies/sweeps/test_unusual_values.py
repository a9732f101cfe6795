"""Unusual settings, values and exceptions: each is kept as it is, or refused in words before it harms the store."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.errors import InputError
from implicitbias.studies.sweeps._ledger import Ledger
from implicitbias.studies.sweeps._store import Label, Store


class _Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")


def _raised(kind: int) -> int:
    if kind == 1:
        raise _Unreadable
    if kind == 2:
        raise ValueError(chr(0xDC80))
    if kind == 3:
        sys.exit(4)
    return kind


def test_settings_that_look_alike_stay_apart(tmp_path: Path) -> None:
    given = ["1", 1, True, None, "None"]
    data = ib.studies.sweep(lambda a: {"seen": repr(a)}, {"a": given}, out=tmp_path).to_dataset()
    assert sorted(data.seen.values.tolist()) == sorted(map(repr, given))


@pytest.mark.parametrize("values", [[1, 1.0], [0.0, -0.0]])
def test_one_number_in_two_forms_is_given_twice(values: list[float]) -> None:
    with pytest.raises(InputError, match="twice"):
        ib.studies.sweep(lambda a: a, {"a": values})


def test_a_function_may_return_its_settings(tmp_path: Path) -> None:
    data = ib.studies.sweep(
        lambda a, x_0: {"a": 2 * a, "x": [a, x_0]}, {"a": [1, 2], "x_0": [3, 4, 5]}, out=tmp_path
    ).to_dataset()
    assert data.a_values.values.tolist() == [[2, 2, 2], [4, 4, 4]]
    assert data.x.sel(a=2, x_0=5).values.tolist() == [2, 5]


def test_texts_and_empty_arrays_of_unequal_length_are_padded(tmp_path: Path) -> None:
    data = ib.studies.sweep(
        lambda n: {"texts": np.array(["ab"] * n, dtype=str), "numbers": np.arange(n)},
        {"n": [0, 2]},
        out=tmp_path,
    ).to_dataset()
    assert data.texts.values.tolist() == [["", ""], ["ab", "ab"]]
    np.testing.assert_array_equal(data.numbers, [[np.nan, np.nan], [0.0, 1.0]])


@pytest.mark.parametrize(
    "value",
    [
        np.ma.array([1.0, 2.0], mask=[False, True]),
        {"run": [1.0]},
        pytest.param(
            np.longdouble(1),
            marks=pytest.mark.skipif(
                np.longdouble is np.float64 or np.dtype(np.longdouble).itemsize == 8, reason="8"
            ),
        ),
    ],
)
def test_values_that_would_harm_the_store_are_refused(value: Any, tmp_path: Path) -> None:
    values = [value, 1.0]
    result = ib.studies.sweep(lambda k: values[k], {"k": [0, 1]}, out=tmp_path, outdated="keep")
    assert "InputError" in result.failures[0].reason
    assert result.to_dataset().state.values.tolist() == ["failed", "done"]


def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    result = ib.studies.sweep(lambda k: chr(k), {"k": [0xDC80, 65]}, out=tmp_path)  # noqa: PLW0108
    assert "surrogate" in result.failures[0].reason
    assert result.to_dataset().state.values.tolist() == ["done", "failed"]
    with pytest.raises(InputError, match="surrogate"):
        ib.studies.sweep(lambda k: 1.0, {"k": [chr(0xDC80)]}, out=tmp_path)


@pytest.mark.parametrize("out", [None, "store"])
def test_strange_exceptions_are_failures_of_one_run(out: str | None, tmp_path: Path) -> None:
    result = ib.studies.sweep(_raised, range(5), out=out and tmp_path / out)
    assert [failure.reason.partition(":")[0] for failure in result.failures] == [
        "_Unreadable",
        "ValueError",
        "SystemExit",
    ]
    assert result.failures[1].reason == r"ValueError: \udc80"


@pytest.mark.parametrize("name", ["state", "seconds", "code", "error"])
def test_a_setting_of_a_reserved_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"named {name}"):
        ib.studies.sweep(lambda **settings: 1.0, {name: [1, 2]}, out=tmp_path)


def test_a_function_may_change_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)

    def moved(a: int) -> int:
        os.chdir(elsewhere)
        return a

    assert ib.studies.sweep(moved, {"a": [1, 2]}, out="store").to_dataset().value.values.tolist() == [1, 2]


def test_a_store_is_read_as_it_was_while_another_sweep_settles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ib.studies.sweep(lambda a: 1.0 * a, {"a": [1, 2]}, out=tmp_path)
    from implicitbias.studies.sweeps._outcome import Outcome
    from implicitbias.studies.sweeps._settings import runs_of
    from implicitbias.studies.sweeps._variables import variables_of

    study = Ledger(tmp_path).rows()[0].study
    writer = Store(tmp_path, Label(study, "x"))
    run = runs_of({"a": [3]})[0]
    writer.add([writer.key_of(run)], [run], [Outcome(0, variables_of(3.0))])
    rows = Ledger.rows

    def interrupted(ledger: Ledger, *chosen: Any) -> Any:
        found = rows(ledger, *chosen)
        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "rows", rows)
            writer.settle()
        return found

    monkeypatch.setattr(Ledger, "rows", interrupted)
    assert ib.studies.open(tmp_path).value.values.tolist() == [1.0, 2.0, 3.0]
