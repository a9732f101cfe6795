"""`implicitbias path`: what a good run prints and writes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from scipy import sparse

import implicitbias as ib
from tests.cli._command import answer, as_terminal, command
from tests.cli._tables import by_hand, facts_of, table, written

FILES = {"path.csv", "path.png", "report.html", "ledger.sqlite", "arrays"}
FLAGS = [(), ("--no-standardize",), ("--no-intercept",), ("--no-standardize", "--no-intercept")]


@pytest.fixture
def data(tmp_path: Path) -> str:
    table().to_csv(tmp_path / "data.csv", index=False)
    return str(tmp_path / "data.csv")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[str, str]:
    """(standard output, standard error) of a run that goes well."""
    status, out, err = answer(monkeypatch, capsys, "path", *arguments)
    assert status == 0, err
    return out, err


class TestFiles:
    @pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
    def test_the_table_is_the_path(
        self,
        data: str,
        flags: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        run(monkeypatch, capsys, data, "--target", "y", "--out", str(tmp_path / "out"), *flags)
        frame = table()
        X, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
        expected = by_hand(X, y, "--no-standardize" not in flags, "--no-intercept" not in flags)
        path = expected.path
        assert path.n_jumps >= 3
        found = pandas.read_csv(tmp_path / "out" / "path.csv")
        assert list(found.columns) == ["jump", "time", "loss", "r2", "intercept", *frame.columns[:-1]]
        assert found["jump"].tolist() == list(range(path.n_jumps + 1))
        for name, values in {
            "time": path.times,
            "loss": path.losses,
            "r2": 1.0 - path.losses / path.losses[0],
            "intercept": expected.intercepts,
        }.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-9, atol=1e-9 * np.abs(values).max())
        sizes = np.abs(expected.coefficients).max()
        np.testing.assert_allclose(
            found[frame.columns[:-1]], expected.coefficients, rtol=1e-8, atol=1e-11 * sizes
        )

    # Oracle: least squares of the raw columns beside a column of ones, by NumPy.
    def test_the_last_row_is_least_squares(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        run(monkeypatch, capsys, data, "--target", "y", "--out", str(tmp_path / "out"))
        frame = table()
        X = np.column_stack([np.ones(len(frame)), frame.drop(columns="y")])
        solution = np.linalg.lstsq(X, frame["y"], rcond=None)[0]
        last = pandas.read_csv(tmp_path / "out" / "path.csv").iloc[-1]
        np.testing.assert_allclose(last[["intercept", *frame.columns[:-1]]], solution, rtol=1e-7)

    def test_the_data_set_says_what_it_is(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        run(monkeypatch, capsys, data, "--target", "y", "--out", str(tmp_path / "out"))
        frame = table()
        found = ib.studies.stored_run(tmp_path / "out")
        expected = by_hand(frame.drop(columns="y").to_numpy(), frame["y"].to_numpy())
        assert found["feature"].values.tolist() == list(frame.columns[:-1])
        np.testing.assert_allclose(found["coefficients"], expected.path.coefficients, atol=1e-9)
        np.testing.assert_allclose(
            found["original_coefficients"], expected.coefficients, rtol=1e-8, atol=1e-9
        )
        np.testing.assert_allclose(found["dual"], expected.path.dual, atol=1e-9)
        assert found["target"] == "y"
        assert found.attrs["certificate_holds"] == 1
        assert len(facts_of(found)["SHA-256"]) == 64

    def test_pictures_and_pages(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        out, _ = run(monkeypatch, capsys, data, "--target", "y", "--out", str(tmp_path / "out"))
        assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
        assert (tmp_path / "out" / "path.png").read_bytes().startswith(b"\x89PNG")
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert "data.csv" in page
        assert str(tmp_path) not in page  # where it lies is nobody's business
        assert f"Results: {tmp_path / 'out'}" in out

    def test_names_of_our_own_columns_are_set_apart(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        frame = table().rename(columns={"feature 0": "time", "feature 1": "(time)"})
        frame.to_csv(tmp_path / "data.csv", index=False)
        run(monkeypatch, capsys, str(tmp_path / "data.csv"), "--target", "y", "--out", str(tmp_path / "out"))
        found = pandas.read_csv(tmp_path / "out" / "path.csv")
        expected = by_hand(frame.drop(columns="y").to_numpy(), frame["y"].to_numpy())
        np.testing.assert_allclose(found["time"], expected.path.times)
        np.testing.assert_allclose(found["((time))"], expected.coefficients[:, 0], rtol=1e-8)
        np.testing.assert_allclose(found["(time)"], expected.coefficients[:, 1], rtol=1e-8)


class TestValidation:
    def test_the_estimator_chooses(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        frame = table()
        X, y = frame.drop(columns="y"), frame["y"]
        model = ib.SaddlePathRegressorCV(cv=4, standardize=True).fit(X, y)
        as_terminal(monkeypatch)
        out, _ = run(monkeypatch, capsys, data, "--target", "y", "--cv", "4", "--out", str(tmp_path / "out"))
        found = ib.studies.stored_run(tmp_path / "out")
        assert float(found["chosen_time"]) == pytest.approx(model.t_, rel=1e-12)
        row = int(np.searchsorted(found["time"], model.t_, side="right")) - 1
        np.testing.assert_allclose(found["original_coefficients"][row], model.coef_, rtol=1e-8, atol=1e-12)
        assert float(found["intercept"][row]) == pytest.approx(model.intercept_)
        assert f"4-fold cross-validation chooses slow time {model.t_:.4g}" in out
        assert re.search(rf"→ {row} ", out)

    # Oracle: each fold fitted and scored by hand, one time after the other.
    def test_the_errors_are_those_of_rows_held_out(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        out, _ = run(monkeypatch, capsys, data, "--target", "y", "--cv", "4", "--out", str(tmp_path / "out"))
        found = ib.studies.stored_run(tmp_path / "out")
        frame = table()
        X, y = frame.drop(columns="y").to_numpy(), frame["y"].to_numpy()
        blocks = np.array_split(np.arange(len(y)), 4)
        errors = np.empty(found["cv_error"].shape)
        for j, held in enumerate(blocks):
            kept = np.setdiff1d(np.arange(len(y)), held)
            fold = by_hand(X[kept], y[kept])
            for i, t in enumerate(found["cv_time"].values):
                row = int(np.sum(fold.path.times <= t * (1 + 1e-12))) - 1
                rest = y[held] - fold.intercepts[row] - X[held] @ fold.coefficients[row]
                errors[i, j] = np.mean(rest**2)
        np.testing.assert_allclose(found["cv_error"], errors, rtol=1e-7)
        squares = errors * [len(held) for held in blocks]
        least = squares.sum(axis=1).min() / len(y)
        assert f"held-out rows at that time is {least:.4g} ±" in " ".join(out.split())

    def test_ordered_rows_are_noticed(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        file = tmp_path / "data.csv"
        table().sort_values("y").to_csv(file, index=False)
        out, _ = run(monkeypatch, capsys, str(file), "--target", "y", "--cv", "3")
        assert "the rows seem to be sorted" in " ".join(out.split())
        assert "--shuffle on the command line" in " ".join(out.split())
        table().to_csv(file, index=False)
        out, _ = run(monkeypatch, capsys, str(file), "--target", "y", "--cv", "3")
        assert "shuffle" not in out


class TestPrinted:
    def test_the_jumps(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, err = run(monkeypatch, capsys, data, "--target", "y")
        assert err == ""  # quick work reports no progress
        assert "data.csv: target y, 30 rows, 5 features" in out
        assert "+feature 0" in out
        assert "Converged" in out
        assert "Certificate of the path. Proved: the point minimises" in out
        assert "implicitbias path" in out.splitlines()[-1]
        assert "--out data-path" in out.splitlines()[-1]

    def test_without_out_nothing_is_written(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        run(monkeypatch, capsys, data, "--target", "y")
        assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]

    @pytest.mark.parametrize("width", [80, 200])
    def test_lines_fit_the_terminal(
        self, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        frame = table(20, 60)
        frame.columns = [
            f"a name that is as long as names in real tables are, no. {j}" for j in range(60)
        ] + ["y"]
        frame.to_csv(tmp_path / "data.csv", index=False)
        as_terminal(monkeypatch)
        monkeypatch.chdir(tmp_path)
        status, out, _ = answer(
            monkeypatch, capsys, "path", "data.csv", "--target", "y", "--cv", "3", columns=width
        )
        *lines, last = out.splitlines()
        assert status == 0
        assert max(map(len, lines)) <= width
        assert last.startswith("Write path.csv")  # a line to copy is not broken

    def test_a_long_path_is_cut_in_the_middle(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        table(60, 55).to_csv(tmp_path / "data.csv", index=False)
        as_terminal(monkeypatch)
        out, _ = run(
            monkeypatch, capsys, str(tmp_path / "data.csv"), "--target", "y", "--out", str(tmp_path / "out")
        )
        jumps = len(pandas.read_csv(tmp_path / "out" / "path.csv")) - 1
        numbers = [int(line.split()[0]) for line in out.splitlines() if re.match(r" *\d+ +[\d.]+ ", line)]
        assert jumps > 40
        assert numbers == [*range(20), *range(jumps - 11, jumps + 1)]
        assert f"{jumps + 1 - 32} jumps in the middle are left out here" in out

    def test_brackets_in_names_are_no_markup(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        frame = table().rename(columns={"feature 0": "[red]a[/b]", "y": "[bold]y"})
        frame.to_csv(tmp_path / "data.csv", index=False)
        as_terminal(monkeypatch)
        out, _ = run(monkeypatch, capsys, str(tmp_path / "data.csv"), "--target", "[bold]y", "--cv", "3")
        assert "target [bold]y" in out
        assert out.count("[red]a[/b]") >= 2

    def test_a_path_that_is_not_certified_fails(
        self, data: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        from implicitbias.estimators import _regressor

        def cut(problem: ib.LeastSquares, **_: object) -> ib.SaddlePath:
            path = ib.saddle_path(problem, max_jumps=1)
            values = {name: getattr(path, name) for name in ib.SaddlePath.__dataclass_fields__}
            bad = ib.Certificate("the point is optimal", 0.5, {"a residual": 0.5}, 1e-9)
            return ib.SaddlePath(**{**values, "certificate": bad, "status": ib.Status.NOT_CERTIFIED})

        monkeypatch.setattr(_regressor, "saddle_path", cut)
        status, out, _ = answer(
            monkeypatch, capsys, "path", data, "--target", "y", "--out", str(tmp_path / "out")
        )
        assert status == 1
        assert "DOES NOT HOLD" in out
        assert "NOT certified" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_as_a_user_starts_it(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "data.csv", index=False)
    done = command("path", "data.csv", "--target", "y", "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    wrong = command("path", "data.csv", "--target", "why", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("implicitbias: data.csv has no column 'why'")


def test_notes_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = written(tmp_path, ";a;y\n0;5;1\n1;7;3\n2;7;4\n")
    status, out, _ = answer(monkeypatch, capsys, "path", file, "--target", "y")
    assert status == 0
    assert "note: the fields are separated by semicolons" in out
    assert "note: the first column ('Unnamed: 0') was left out, because it is a row index" in out


def test_standard_input(tmp_path: Path) -> None:
    text = table().to_csv(index=False)
    done = subprocess.run(
        [sys.executable, "-m", "implicitbias", "path", "-", "--target", "y", "--no-standardize"],
        cwd=tmp_path, input=text, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "standard input: target y, 30 rows, 5 features" in done.stdout
    assert "implicitbias path - --target y --no-standardize --out table-path" in done.stdout


def test_the_command_is_repeated_with_its_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = written(tmp_path, "a;b;g;y\n1;1,5;u;3\n2;?;v;4\n4;3,0;u;7\n5;1,25;v;2\n", "d.csv")
    options = ["--decimal-comma", "--one-hot", "g", "--missing", "?", "--impute", "mean"]
    out, _ = run(monkeypatch, capsys, file, "--target", "y", *options)
    line = out.rstrip().rpartition(" with: ")[2]
    assert shlex.split(line)[:5] == ["implicitbias", "path", file, "--target", "y"]
    assert "--one-hot g --missing '?' --impute mean --decimal-comma" in line
    assert "the reference, which has no column, is 'u'" in out


def test_a_sparse_matrix_keeps_its_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    X = np.where(rng.random((30, 4)) < 0.5, rng.standard_normal((30, 4)), 0.0)
    y = 3.0 * X[:, 3] - X[:, 1]
    sparse.save_npz(tmp_path / "data.npz", sparse.csr_array(np.column_stack([X[:, :1], y, X[:, 1:]])))
    arguments = (str(tmp_path / "data.npz"), "--target", "1", "--out", str(tmp_path / "out"))
    run(monkeypatch, capsys, *arguments, "--no-standardize", "--no-intercept")
    found = pandas.read_csv(tmp_path / "out" / "path.csv")
    expected = by_hand(X, y, standardize=False, intercept=False)
    np.testing.assert_allclose(found["x4"], expected.coefficients[:, 3], atol=1e-9)
    np.testing.assert_allclose(found["x2"], expected.coefficients[:, 1], atol=1e-9)
