"""`implicitbias path`: shuffled folds, folds of groups, and the rule of one standard error."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.model_selection import GroupKFold, KFold

import implicitbias as ib
from tests.cli._command import answer
from tests.cli._tables import facts_of, table

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ask:
    """A run of `path` on a table whose rows are sorted and belong to the groups 10, 20, 30, 40, in the folder of it."""
    monkeypatch.chdir(tmp_path)
    grouped().to_csv("data.csv", index=False)
    return lambda *words: answer(monkeypatch, capsys, "path", "data.csv", "--target", "y", *words)


def grouped() -> pandas.DataFrame:
    frame = table(40).sort_values("y", ignore_index=True)
    return frame.assign(patient=np.random.default_rng(1).permutation(np.repeat([10, 20, 30, 40], 10)))


def features(*left_out: str) -> pandas.DataFrame:
    return grouped().drop(columns=["y", *left_out])


Y = grouped()["y"]
PATIENTS = grouped()["patient"]


# Oracle: the estimator with scikit-learn's splitter, as the report says it in Python.
@pytest.mark.parametrize(
    ("words", "model", "left_out"),
    [
        (("--shuffle",), ib.SaddlePathRegressorCV(cv=KFold(4, shuffle=True, random_state=0)), ()),
        (
            ("--shuffle", "--seed", "7"),
            ib.SaddlePathRegressorCV(cv=KFold(4, shuffle=True, random_state=7)),
            (),
        ),
        (("--groups", "patient"), ib.SaddlePathRegressorCV(cv=GroupKFold(4)), ("patient",)),
        (
            ("--groups", "patient", "--shuffle", "--rule", "1se"),
            ib.SaddlePathRegressorCV(cv=GroupKFold(4, shuffle=True, random_state=0), rule="1se"),
            ("patient",),
        ),
    ],
    ids=["shuffled", "another seed", "groups", "groups, shuffled, 1se"],
)
def test_it_is_the_estimator(
    words: tuple[str, ...], model: ib.SaddlePathRegressorCV, left_out: tuple[str, ...], ask: Ask
) -> None:
    arguments = {"groups": PATIENTS} if left_out else {}
    model.set_params(standardize=True).fit(features(*left_out), Y, **arguments)
    status, out, err = ask("--cv", "4", *words, "--out", "out")
    assert (status, err) == (0, "")
    found = ib.studies.stored_run("out")
    np.testing.assert_array_equal(found["cv_error"], model.mse_path_)
    assert float(found["chosen_time"]) == model.t_
    assert found["feature"].values.tolist() == list(model.feature_names_in_)
    assert f"chooses slow time {model.t_:.4g}," in " ".join(out.split())
    assert "seem to be sorted" not in out
    # The facts have the line of Python. It is this model.
    line = facts_of(found)["in Python"]
    names = {
        "ib": ib,
        "KFold": KFold,
        "GroupKFold": GroupKFold,
        "X": features(*left_out),
        "y": Y,
        "groups": PATIENTS,
    }
    again = eval(line, names)  # a line that this package wrote
    np.testing.assert_array_equal(again.mse_path_, model.mse_path_)
    assert again.t_ == model.t_


@pytest.mark.parametrize(
    ("words", "told", "command"),
    [
        (("--shuffle",), "4 folds of shuffled rows, seed 0; least error", "--shuffle --seed 0"),
        (
            ("--groups", "patient", "--rule", "1se"),
            "4 folds of whole groups of patient; earliest time within one standard error of the least error",
            "--groups patient --rule 1se",
        ),
        (("--no-intercept",), "4 folds of blocks of consecutive rows; least error", "--no-intercept --cv 4"),
    ],
)
def test_facts_and_the_command_that_reproduces(
    words: tuple[str, ...], told: str, command: str, ask: Ask
) -> None:
    assert ask("--cv", "4", *words, "--out", "out")[0] == 0
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert f"<dt>cross-validation</dt><dd>{told}</dd>" in page
    assert command in page
    first = ib.studies.stored_run("out")
    line = facts_of(first)["command"].split()
    assert line[:4] == ["implicitbias", "path", "data.csv", "--target"]
    ask(*line[5:], "--out", "again")
    np.testing.assert_array_equal(ib.studies.stored_run("again")["cv_error"], first["cv_error"])


def test_sorted_rows_are_told_and_the_option_mends_it(ask: Ask) -> None:
    _, out, _ = ask("--cv", "4")
    assert "the rows seem to be sorted" in " ".join(out.split())
    assert "--shuffle on the command line" in " ".join(out.split())
    assert "sorted" not in ask("--cv", "4", "--shuffle")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shuffle",), "--shuffle is given without cross-validation; type --cv 5 --shuffle"),
        (("--groups", "patient"), "--groups is given without cross-validation"),
        (("--rule", "1se"), "--rule is given without cross-validation"),
        (("--cv", "4", "--rule", "2se"), "--rule is '2se', best or 1se is expected"),
        (("--cv", "4", "--seed", "3"), "--seed is given without --shuffle; type --shuffle --seed 3"),
        (("--cv", "4", "--shuffle", "--seed", "-1"), "--seed is -1, a number from 0 to"),
        (("--cv", "4", "--groups", "hospital"), "has no column 'hospital'; there are"),
        (("--cv", "4", "--groups", "y"), "'y' is the target, and cannot be the column of groups"),
        (("--cv", "5", "--groups", "patient"), "column 'patient' has 4 different values"),
    ],
)
def test_options_that_do_not_fit(words: tuple[str, ...], message: str, ask: Ask) -> None:
    status, out, err = ask(*words, "--out", "out")
    assert (status, out) == (2, "")
    assert message in err
    assert not Path("out").exists()
