"""`implicitbias margin`: inseparable classes and bad input, with exit status 2 and a message that says what to type."""

import shlex
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.datasets import load_iris

from tests.cli._command import answer, as_terminal, strict_json
from tests.cli._tables import written

Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]

# {name: (content of the file, options, what the message says)}; the target is y.
REFUSED = {
    "one class": ("a,y\n1,u\n2,u\n", "", "the target 'y' is 'u' in every row"),
    "one class that is left": ("a,y\n1,u\n2,u\n,v\n", "--drop-missing", "the target 'y' is 'u' in every row"),
    "numbers": ("a,y\n" + "".join(f"{i},{i / 7}\n" for i in range(30)), "", "has 30 different values in 30 rows"),
    "no target": ("a,b\n1,2\n3,4\n", "", "has no column 'y'"),
    "a missing label": ("a,y\n1,u\n2,\n3,v\n", "", "type implicitbias margin"),
    "text": ("a,y\none,u\ntwo,v\nthree,u\n", "", "the column 'a' holds 3 value(s) of 3 that are not numbers"),
    "a parsed target": ("a,y\n1,u\n2,v\n", "--parse y", "is a target of classes, whose labels are not parsed"),
    "p below 1": ("a,y\n1,u\n2,v\n", "--horizon 0.5", "--horizon is '0.5', l1, l2, linf or a number p >= 1"),
    "no gauge": ("a,y\n1,u\n2,v\n", "--horizon l7", "--horizon is 'l7'"),
    "nan": ("a,y\n1,u\n2,v\n", "--horizon nan", "--horizon is 'nan'"),
    "C = 0": ("a,y\n1,u\n2,v\n", "--C 0", "--C is 0, a positive number is expected"),
    "C = nan": ("a,y\n1,u\n2,v\n", "--C nan", "--C is nan, a positive number is expected"),
    "two targets": ("a,y\n1,u\n2,v\n", "--target a", "--target is given 2 times"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input(name: str, monkeypatch: Patch, capsys: Captured, tmp_path: Path) -> None:
    text, options, message = REFUSED[name]
    file = written(tmp_path, text)
    words = ("margin", file, "--target", "y", *shlex.split(options), "--out", str(tmp_path / "out"))
    status, out, err = answer(monkeypatch, capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith("implicitbias: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "out").exists()


# What the message tells to type is typed, and the command then works.
CURES = {
    "a missing label": ("a,y\n1,u\n2,\n3,v\n4,v\n", b""),
    "decimal commas": ("a;y\n1,5;u\n2,5;v\n", b""),
    "text": ("a,city,y\n1,rome,u\n2,oslo,v\n3,rome,v\n0,rome,u\n", b""),
    "Latin-1": ("", "a,y\n1,grün\n2,weiß\n".encode("latin-1")),
    "opposite labels": ("a,b,y\n1,2,u\n1,2,v\n3,4,u\n0,1,v\n", b""),
    "no intercept": ("a,y\n1,u\n2,v\n", b""),
}


@pytest.mark.parametrize("name", CURES)
def test_the_line_in_the_message_works(
    name: str, monkeypatch: Patch, capsys: Captured, tmp_path: Path
) -> None:
    text, data = CURES[name]
    monkeypatch.chdir(tmp_path)
    words = ["margin", written(Path(), text or data), "--target", "y", "--json"]
    words += ["--no-intercept", "--no-standardize"] if name == "no intercept" else []
    status, _, err = answer(monkeypatch, capsys, *words)
    assert status == 2
    line = shlex.split(err.strip().rpartition("type implicitbias ")[2])
    status, out, err = answer(monkeypatch, capsys, *line)
    assert (status, err) == (0, "")
    assert strict_json(out)["certificate"]["holds"]


class TestInseparable:
    # Oracle: the combination of the signed rows, computed by NumPy from the file.
    @pytest.mark.parametrize("intercept", [True, False])
    def test_the_rows_prove_it(
        self, intercept: bool, monkeypatch: Patch, capsys: Captured, tmp_path: Path
    ) -> None:
        data = load_iris(as_frame=True)
        frame = data.data[data.target > 0].assign(y=np.array(["a", "b", "c"])[data.target[data.target > 0]])
        file = tmp_path / "iris.csv"
        frame.to_csv(file, index=False)
        words = ["margin", str(file), "--target", "y", "--no-standardize", "--out", str(tmp_path / "out")]
        words += [] if intercept else ["--no-intercept"]
        status, out, err = answer(monkeypatch, capsys, *words, "--json")
        found = strict_json(out)
        assert status == 2
        assert found["separable"] is False
        assert found["certificate"]["holds"]
        assert not (tmp_path / "out").exists()
        total, balance = np.zeros(4), 0.0
        for term in found["combination"]:
            row = frame.iloc[term["row"] - 1]
            sign = 1.0 if term["class"] == "c" else -1.0
            assert (row["y"], term["against"]) == (term["class"], "b" if sign > 0.0 else "c")
            total += sign * term["weight"] * row.to_numpy()[:4].astype(float)
            balance += sign * term["weight"]
        np.testing.assert_allclose(total, 0.0, atol=1e-9)
        assert sum(term["weight"] for term in found["combination"]) == pytest.approx(1.0)
        assert abs(balance) < 1e-9 or not intercept
        assert ("or leave out --no-intercept" in err) == (not intercept)
        assert f"{len(found['combination'])} signed rows" in err
        # The records of a pipe have the same terms.
        status, out, err = answer(monkeypatch, capsys, *words)
        lines = [line.split("\t") for line in out.splitlines() if not line.startswith("#")]
        assert [int(line[0]) for line in lines[1:]] == [term["row"] for term in found["combination"]]
        assert err.count("\n") == 1
        assert "--C 1" in err

    def test_opposite_labels_of_equal_rows(
        self, monkeypatch: Patch, capsys: Captured, tmp_path: Path
    ) -> None:
        file = written(tmp_path, "a,b,y\n1,2,u\n5,5,u\n1,2,v\n3,4,v\n0,1,w\n")
        found = strict_json(answer(monkeypatch, capsys, "margin", file, "--target", "y", "--json")[1])
        assert [(t["row"], t["class"], t["against"], t["weight"]) for t in found["combination"]] == [
            (1, "u", "v", 0.5), (3, "v", "u", 0.5),
        ]  # fmt: skip

    def test_on_a_terminal(self, monkeypatch: Patch, capsys: Captured, tmp_path: Path) -> None:
        file = tmp_path / "random.csv"
        rng = np.random.default_rng(0)
        frame = pandas.DataFrame(rng.standard_normal((200, 30)), columns=[f"x{j}" for j in range(30)])
        frame.assign(y=rng.integers(0, 2, 200)).to_csv(file, index=False)
        as_terminal(monkeypatch)
        _, out, err = answer(monkeypatch, capsys, "margin", str(file), "--target", "y", columns=80)
        assert "A convex combination of these signed rows is 0:" in out
        assert "more are left out here; --json" in " ".join(out.split())
        assert "no linear classifier separates the classes of 'y'" in err
