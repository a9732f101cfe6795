"""What commands print in a pipe: records for other programs, and one JSON document with --json."""

import io
import json
from pathlib import Path

import numpy as np
import pandas
import pytest

import implicitbias as ib
from implicitbias.cli._path_json import certificate_record
from implicitbias.estimators import _regressor
from tests.cli._command import answer, as_terminal, strict_json
from tests.cli._tables import facts_of, table
from tests.studies.fakes import NAME, install

ODD = ["no. #1", 'a "quoted" name', "a, b", "tab\there", "−minus"]


class Case:
    """One table with odd names, and commands in the folder of this table."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        frame = table()
        frame.columns = [*ODD, "y"]
        frame.to_csv(folder / "data.csv", index=False)
        monkeypatch.chdir(folder)

    def run(self, *flags: str, status: int = 0) -> str:
        """Standard output of `implicitbias path`."""
        found, out, _ = answer(
            self.monkeypatch, self.capsys, "path", "data.csv", "--target", "y", "--out", "out", *flags
        )
        assert found == status
        return out


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, monkeypatch, capsys)


# Oracle: path.csv, and the features that become non-zero there.
def test_pandas_reads_the_records_of_a_path(case: Case) -> None:
    out = case.run("--cv", "4")
    found = pandas.read_csv(io.StringIO(out), sep="\t", comment="#", keep_default_na=False)
    written = pandas.read_csv("out/path.csv")
    for name in ("jump", "time", "loss", "r2"):
        assert found[name].tolist() == written[name].tolist()  # all digits
    coefficients = written.drop(columns=["jump", "time", "loss", "r2", "intercept"])
    assert found["active"].tolist() == (coefficients != 0.0).sum(axis=1).tolist()
    shown = {name.replace("\t", "\\t").replace("−", "-"): name for name in ODD}
    for k in range(1, len(found)):
        now, before = coefficients.iloc[k], coefficients.iloc[k - 1]
        entered = [name for name in ODD if now[name] != 0.0 and before[name] == 0.0]
        texts = [f"{'+' if now[name] > 0 else '-'}{text}" for text, name in shown.items() if name in entered]
        assert found["enters"][k] == ", ".join(texts)
    (chosen,) = np.flatnonzero(found["chosen"])
    data = ib.studies.stored_run("out")
    mean = data["cv_error"].values @ [8, 8, 7, 7] / 30  # rows of the four folds
    assert found["held_out_error"][chosen] == pytest.approx(mean.min(), rel=1e-12)
    assert "# The held-out error is the least one while the path rests at the saddle of that row" in out


def test_every_line_is_one_record(case: Case) -> None:
    lines = case.run("--cv", "4").splitlines()
    fields = [line.split("\t") for line in lines if not line.startswith("#")]
    assert {len(record) for record in fields} == {9}
    assert [record[0] for record in fields] == ["jump", *map(str, range(len(fields) - 1))]
    assert sum(line.startswith("# note: ") for line in lines) == 0
    assert sum("cross-validation chooses" in line for line in lines) == 1
    results, how = lines[-1].split("; ")
    assert results == "# Results: out (path.csv, path.png, report.html)"
    assert how == 'to read the numbers, type ib.studies.open("out") in Python'


def test_a_long_path_is_printed_whole(case: Case) -> None:
    table(60, 55).to_csv("data.csv", index=False)
    records = [line for line in case.run().splitlines() if not line.startswith("#")]
    assert len(records) == len(pandas.read_csv("out/path.csv")) + 1 > 40


# Oracle: the numbers of the store and of path.csv, and the names of the table.
def test_json_is_the_path(case: Case) -> None:
    content = strict_json(case.run("--cv", "4", "--json"))
    written, data = pandas.read_csv("out/path.csv"), ib.studies.stored_run("out")
    for name in ("jump", "time", "loss", "r2", "intercept"):
        assert [jump[name] for jump in content["path"]] == written[name].tolist()
    for k, jump in enumerate(content["path"]):
        coefficients = data["original_coefficients"][k].to_series()
        assert jump["coefficients"] == coefficients[coefficients != 0.0].to_dict()
        assert jump["active"] == len(jump["coefficients"]) == int(data["active"][k])
    assert content["path"][1]["enters"] == list(content["path"][1]["coefficients"])
    assert content["ever_active"] == data["feature"].values.tolist()
    assert set(content["ever_active"]) <= set(ODD)
    assert content["cross_validation"]["cv_time"] == data["cv_time"].values.tolist()
    assert content["cross_validation"]["cv_error"] == data["cv_error"].values.tolist()
    assert content["chosen"]["slow_time"] == float(data["chosen_time"])
    assert (content["rows"], content["features"], content["target"]) == (30, 5, "y")
    assert content["facts"]["SHA-256"] == facts_of(data)["SHA-256"]
    assert (content["folder"], content["valid_until"]) == ("out", None)
    assert content["status"]["ok"] is content["certificate"]["holds"] is True
    assert content["notes"] == []


def test_json_without_validation(case: Case) -> None:
    content = strict_json(case.run("--json"))
    assert content["chosen"] is content["cross_validation"] is None


def test_json_of_a_path_that_is_not_certified(case: Case) -> None:
    numbers = {"a residual": float("nan"), "another": float("inf")}
    bad = ib.Certificate("the point is optimal", None, numbers, 1e-9)

    def cut(problem: ib.LeastSquares, **_: object) -> ib.SaddlePath:
        path = ib.saddle_path(problem, max_jumps=1)
        values = {name: getattr(path, name) for name in ib.SaddlePath.__dataclass_fields__}
        return ib.SaddlePath(**{**values, "certificate": bad, "status": ib.Status.NOT_CERTIFIED})

    case.monkeypatch.setattr(_regressor, "saddle_path", cut)
    content = strict_json(case.run("--json", status=1))
    assert content["certificate"]["holds"] is content["status"]["ok"] is False
    assert content["valid_until"] > 0.0
    back = ib.Certificate.of_record(content["certificate"])
    assert back.sentence == bad.sentence


# Oracle: the certificate before it was written.
def test_a_certificate_is_read_back() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4, 6)), rng.standard_normal(4)
    certificate = ib.saddle_path(ib.LeastSquares(X, y)).certificate
    text = json.dumps(certificate_record(certificate), allow_nan=False)
    assert ib.Certificate.of_record(json.loads(text)).record() == certificate.record()


class TestStudies:
    def test_records(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch, 1.0, 1.2, statement="one is one (#1)")
        _, listed, _ = answer(monkeypatch, capsys, "list")
        assert listed.splitlines() == ["study\tpaper\tshows", f"{NAME}\tNobody 2020\tthat one is one"]
        _, out, _ = answer(monkeypatch, capsys, "run", "--out", str(tmp_path))
        frame = pandas.read_csv(io.StringIO(out), sep="\t", comment="#")
        claims = json.loads((tmp_path / NAME / "claims.json").read_text())["claims"]
        assert frame["claim"].tolist() == [claim["statement"] for claim in claims]
        assert frame["point"].tolist() == [claim["point"] for claim in claims]
        assert frame["predicted"].iloc[0] == "1 ± 0.5"
        assert set(frame["holds"]) == {"yes"}
        _, again, _ = answer(monkeypatch, capsys, "report", str(tmp_path))
        assert again.splitlines()[:-1] == out.splitlines()[:-1]

    def test_json(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch, 1.0, float("nan"))
        _, listed, _ = answer(monkeypatch, capsys, "list", "--json")
        assert strict_json(listed) == [{"study": NAME, "paper": "Nobody 2020", "shows": "that one is one"}]
        status, out, _ = answer(monkeypatch, capsys, "run", "--out", str(tmp_path), "--json")
        assert status == 1
        (study,) = strict_json(out)
        written = strict_json((tmp_path / NAME / "claims.json").read_text())
        assert study["claims"] == written["claims"]
        assert study["all_hold"] is written["all_hold"] is False
        assert study["folder"] == str(tmp_path / NAME)
        status, again, _ = answer(monkeypatch, capsys, "report", str(tmp_path), "--json")
        assert (status, again) == (1, out)


class TestNames:
    NAMES = tuple(f"{kind}-{part}-words-per-post" for kind in "ab" for part in ("mean", "median", "worst"))

    # Names that differ at their beginning or in the middle must not look the same.
    @pytest.mark.parametrize("columns", [40, 60, 80, 120])
    def test_names_stay_whole(self, columns: int, case: Case) -> None:
        frame = table(40, 6)
        frame.columns = [*self.NAMES, "y"]
        frame.to_csv("data.csv", index=False)
        as_terminal(case.monkeypatch)
        _, out, _ = answer(
            case.monkeypatch, case.capsys, "path", "data.csv", "--target", "y", "--cv", "3", columns=columns
        )
        assert max(map(len, out.splitlines()[:-1])) <= columns
        together = "".join(out.split())
        for name in self.NAMES:
            assert f"+{name}" in together or f"−{name}" in together

    def test_long_names_are_shortened_but_stay_distinct(self, case: Case) -> None:
        frame = table(40, 4)
        begin, end = "a" * 100, "z" * 100
        frame.columns = [f"{begin}{end}", f"{begin}1{end}", f"{begin}2{end}", f"x{begin}{end}", "y"]
        frame.to_csv("data.csv", index=False)
        as_terminal(case.monkeypatch)
        _, out, _ = answer(case.monkeypatch, case.capsys, "path", "data.csv", "--target", "y", columns=60)
        together = "".join(out.split())
        assert {f"{begin}1{end}" in together, f"{begin}2{end}" in together} == {True}
        assert f"x{begin}{end}" not in together
        assert "xaaaa" in together
