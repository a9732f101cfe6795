"""`implicitbias margin`: what is printed and written, against `ib.max_margin` on rows that NumPy standardised."""

import io
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from numpy import ndarray
from sklearn.datasets import load_breast_cancer, load_iris

import implicitbias as ib
from implicitbias.cli import _margin_job
from tests.cli._command import answer, as_terminal, strict_json
from tests.cli._tables import written

FILES = {"margin.csv", "rows.csv", "margin.png", "report.html", "ledger.sqlite", "arrays"}
Run = Any


@pytest.fixture(name="run")
def _run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *words, **options: answer(monkeypatch, capsys, *words, **options)


def iris(names: tuple[str, ...], shift: int = 0) -> pandas.DataFrame:
    """The rows of iris of these species, in the order of the file, with the species as text."""
    data = load_iris(as_frame=True)
    frame = data.data.assign(species=data.target_names[data.target])
    return frame[frame["species"].isin(names)].iloc[shift:].reset_index(drop=True)


def moons() -> pandas.DataFrame:
    """Three separable clouds of unlike scales, whose labels are numbers that texts would sort in another order."""
    rng = np.random.default_rng(0)
    labels = np.array([9, 10, 100])[np.arange(45) % 3]
    X = np.array([[5.0, 0.0], [0.0, 5.0], [-5.0, -5.0]])[np.arange(45) % 3] + 0.4 * rng.standard_normal(
        (45, 2)
    )
    return pandas.DataFrame({"short": X[:, 0] * 1e-3, "long": 50.0 + 1e3 * X[:, 1], "kind": labels})


def standardized(frame: pandas.DataFrame) -> ndarray:
    X = frame.to_numpy(dtype=np.float64)
    return (X - X.mean(axis=0)) / X.std(axis=0)


# Oracle: `max_margin` on rows that NumPy standardised, and the algebra of undoing it.
@pytest.mark.parametrize("horizon", ["l1", "l2", "linf", "3", "1.5"])
def test_two_classes(run: Run, tmp_path: Path, horizon: str) -> None:
    frame = iris(("setosa", "versicolor"))
    frame.to_csv("iris.csv", index=False)
    status, out, err = run("margin", "iris.csv", "--target", "species", "--horizon", horizon, "--json")
    assert (status, err) == (0, "")
    found = strict_json(out)
    features = frame.drop(columns="species")
    Z = standardized(features)
    y = (frame["species"] == "versicolor").to_numpy()
    limit = ib.max_margin(
        ib.Classification(Z, y), horizon if horizon.startswith("l") else float(horizon), bias=True
    )
    assert found["margin"] == pytest.approx(limit.margin, rel=1e-9)
    w = np.array([found["coefficients"].get(name, {"coefficient": 0.0})["coefficient"] for name in features])
    scores = features.to_numpy() @ w + found["intercepts"]["coefficient"]
    np.testing.assert_allclose(scores, limit.predict(Z), atol=1e-6)
    assert np.min(np.where(y, 1, -1) * scores) == pytest.approx(1.0)
    assert found["classes"] == ["setosa", "versicolor"]
    assert {term["row"] for term in found["support"]} == {int(i) + 1 for i in limit.support}
    assert sum(term["weight"] for term in found["support"]) == pytest.approx(1.0)
    assert found["certificate"]["holds"]
    assert found["separable"]
    assert found["misclassified"] == 0


@pytest.mark.parametrize("options", [(), ("--no-standardize",), ("--no-standardize", "--no-intercept")])
def test_several_classes(run: Run, options: tuple[str, ...]) -> None:
    frame = moons()
    frame.to_csv("moons.csv", index=False)
    found = strict_json(
        run("margin", "moons.csv", "--target", "kind", "--horizon", "l2", "--json", *options)[1]
    )
    assert found["classes"] == ["9", "10", "100"]
    X = frame[["short", "long"]]
    Z = X.to_numpy() if options else standardized(X)
    problem = ib.Classification(Z, frame["kind"].to_numpy(), loss="cross_entropy")
    limit = ib.max_margin(problem, "l2", bias="--no-intercept" not in options)
    assert found["margin"] == pytest.approx(limit.margin, rel=1e-8)
    w = np.array([[found["coefficients"][name][label] for label in found["classes"]] for name in X])
    scores = X.to_numpy() @ w + np.array([found["intercepts"][label] for label in found["classes"]])
    np.testing.assert_allclose(scores, limit.predict(Z), atol=1e-6)


# Oracle: `MaxMarginClassifier`, which test_max_margin_classifier.py compares with cvxpy.
def test_soft_margins(run: Run) -> None:
    frame = iris(("versicolor", "virginica"))
    frame.to_csv("iris.csv", index=False)
    status, out, _ = run("margin", "iris.csv", "--target", "species", "--C", "0.5", "--json")
    found = strict_json(out)
    assert status == 0
    X = standardized(frame.drop(columns="species"))
    model = ib.MaxMarginClassifier(C=0.5).fit(X, frame["species"])
    assert found["misclassified"] == np.count_nonzero(model.predict(X) != frame["species"])
    assert found["margin"] == pytest.approx(model.margin_, rel=1e-4)
    assert set(found["coefficients"]) == {frame.columns[j] for j in np.flatnonzero(model.coef_[0])}
    assert found["separable"] is None
    assert found["C"] == 0.5


def test_a_price_that_is_too_low(run: Run) -> None:
    iris(("versicolor", "virginica")).to_csv("iris.csv", index=False)
    status, out, _ = run("margin", "iris.csv", "--target", "species", "--C", "1e-9")
    assert status == 0
    assert "All coefficients are 0, because the price C = 1e-9 of a violation is too low" in out


class TestFolder:
    def test_its_files(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        frame = iris(("setosa", "versicolor"))
        frame.to_csv("iris.csv", index=False)
        words = ("margin", "iris.csv", "--target", "species", "--horizon", "l2")
        status, out, err = run(*words, "--out", "results")
        assert (status, err) == (0, "")
        assert out.endswith(
            "# Results: results (margin.csv, rows.csv, margin.png, report.html); to read the numbers, type "
            'ib.studies.open("results") in Python\n'
        )
        assert {file.name for file in (tmp_path / "results").iterdir()} == FILES
        found = ib.studies.open("results").squeeze(["data", "command"])
        table = pandas.read_csv("results/margin.csv", index_col="feature")["coefficient"]
        assert table["(intercept)"] == found["intercepts"].sel(head="coefficient")
        rows = pandas.read_csv("results/rows.csv")
        scores = frame[table.index[1:]].to_numpy() @ table.to_numpy()[1:] + table.iloc[0]
        signs = np.where(frame["species"] == "versicolor", 1.0, -1.0)
        np.testing.assert_allclose(rows["margin"], signs * scores, atol=1e-9)
        assert set(rows["row"][rows["weight"] > 0.0]) == set(found["row"].values[found["weights"] > 0.0])
        page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
        assert 'content="implicitbias margin"' in page
        assert all(name in page for name in [*table.index[1:], "versicolor", "The classes are separable"])
        # The same command finds its result, and a folder of other files is kept.
        with monkeypatch.context() as patched:
            as_terminal(patched)
            patched.setattr(_margin_job, "fit_classes", None)
            status, out, err = run(*words, "--out", "results")
        assert (status, err) == (0, "")
        assert "nothing was computed again" in out
        assert "The classes are separable" in out
        (tmp_path / "results" / "mine.txt").write_text("mine", encoding="utf-8")
        status, _, err = run(*words, "--out", "results")
        assert status == 2
        assert "results holds files that are not an earlier result (mine.txt)" in err

    def test_the_last_line_writes_it(self, run: Run) -> None:
        iris(("setosa", "versicolor")).to_csv("iris.csv", index=False)
        out = run("margin", "iris.csv", "--target", "species", "--horizon", "3", "--no-intercept")[1]
        line = out.splitlines()[-1].rpartition("with: implicitbias ")[2]
        assert line == "margin iris.csv --target species --no-intercept --horizon 3 --out iris-margin"
        assert run(*shlex.split(line))[0] == 0
        assert {file.name for file in Path("iris-margin").iterdir()} == FILES

    # A class that is called like a column, or like HTML.
    def test_awkward_names(self, run: Run) -> None:
        frame = moons().replace({"kind": {9: "feature", 10: "<b>", 100: 'a"b,#'}})
        frame.rename(columns={"short": "<script>"}).to_csv("moons.csv", index=False)
        assert run("margin", "moons.csv", "--target", "kind", "--out", "results")[0] == 0
        assert set(pandas.read_csv("results/margin.csv").columns) == {"feature", "(feature)", "<b>", 'a"b,#'}
        page = Path("results/report.html").read_text(encoding="utf-8")
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
        assert "<b></td>" not in page


class TestPredictions:
    def test_of_two_classes(self, run: Run) -> None:
        frame = iris(("setosa", "versicolor"))
        frame.assign(city=["x", "y"] * 50).to_csv("iris.csv", index=False)
        assert run("margin", "iris.csv", "--target", "species", "--one-hot", "city", "--out", "r")[0] == 0
        frame.assign(city="x")[[*frame.columns[::-1].tolist(), "city"]].to_csv("new.csv", index=False)
        status, out, _ = run("predict", "r", "new.csv", "--score")
        found = pandas.read_csv(io.StringIO(out), sep="\t", comment="#")
        assert status == 0
        assert found["prediction"].tolist() == frame["species"].tolist()
        assert ((found["score"] > 0.0) == (frame["species"] == "versicolor")).all()
        assert "100 of 100 rows are classified correctly" in out
        assert "a positive score means versicolor" in out

    def test_of_several_classes(self, run: Run) -> None:
        frame = moons()
        frame.to_csv("moons.csv", index=False)
        run("margin", "moons.csv", "--target", "kind", "--out", "r")
        wrong = frame.assign(kind=frame["kind"].to_numpy()[np.r_[1:45, 0]])
        wrong.to_csv("new.csv", index=False)
        status, out, _ = run("predict", "r", "new.csv", "--score", "--out", "p.csv")
        assert status == 0
        assert "0 of 45 rows are classified correctly" in out
        table = pandas.read_csv("p.csv")
        assert (table["prediction"] == frame["kind"]).all()
        best = table[["score of 9", "score of 10", "score of 100"]].to_numpy().argmax(axis=1)
        assert (np.array([9, 10, 100])[best] == frame["kind"]).all()

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("--jump", "1"), "holds a classifier, which has no jumps; leave out --jump"),
            (
                (),
                "is missing or damaged; results of `implicitbias path --out` or `margin --out` are expected",
            ),
        ],
    )
    def test_refusals(self, run: Run, words: tuple[str, ...], message: str) -> None:
        moons().to_csv("moons.csv", index=False)
        run("margin", "moons.csv", "--target", "kind", "--out", "r")
        if not words:
            next(Path("r/arrays").iterdir()).write_bytes(b"")
        status, out, err = run("predict", "r", "moons.csv", *words)
        assert (status, out) == (2, "")
        assert message in err


class TestPrinting:
    def test_records(self, run: Run) -> None:
        frame = moons()
        frame.to_csv("moons.csv", index=False)
        out = run("margin", "moons.csv", "--target", "kind")[1]
        table = pandas.read_csv(io.StringIO(out), sep="\t", comment="#")
        assert table.columns[:4].tolist() == ["feature", "9", "10", "100"]
        assert table["feature"].tolist() == [
            "(intercept)",
            *sorted(table["feature"][1:], key=table["feature"].tolist().index),
        ]
        assert "# moons.csv: target kind, 45 rows, 2 features, 3 classes (9, 10, 100)" in out

    def test_tables(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        data = load_breast_cancer(as_frame=True)
        data.data.assign(diagnosis=data.target_names[data.target]).to_csv("cancer.csv", index=False)
        as_terminal(monkeypatch)
        status, out, _ = run("margin", "cancer.csv", "--target", "diagnosis", columns=90)
        assert status == 0
        assert re.search(r"mean radius +−136\.5 +−480\.5", out)
        assert "8 smaller ones are left out here" in " ".join(out.split())
        assert "17 more are left out here" in " ".join(out.split())
        assert all(len(line) <= 90 for line in out.splitlines() if "with: implicitbias" not in line)

    def test_rows_keep_their_numbers(self, run: Run) -> None:
        text = "a,b,y\n1,,u\n1,2,u\n2,3,u\n8,9,v\n9,,v\n20,20,v\n"
        found = strict_json(
            run("margin", written(Path(), text), "--target", "y", "--drop-missing", "--json")[1]
        )
        assert {term["row"] for term in found["support"]} == {3, 4}
