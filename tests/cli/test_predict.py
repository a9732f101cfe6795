"""`implicitbias predict`: new rows go through the recipe of the fit, against the algebra by hand."""

import shlex
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pandas
import pytest

from tests.cli._command import answer
from tests.cli._tables import by_hand, table


class Case:
    """A path of a table in the folder `out`."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)

    def ask(self, *words: str) -> tuple[int, str, str]:
        return answer(self.monkeypatch, self.capsys, *words)

    def fit(self, frame: pandas.DataFrame, *options: str) -> None:
        frame.to_csv("data.csv", index=False)
        status, _, err = self.ask("path", "data.csv", "--target", "y", "--out", "out", *options)
        assert (status, err) == (0, "")

    def predictions(self, *options: str) -> np.ndarray:
        status, out, err = self.ask("predict", "out", *options)
        assert (status, err) == (0, "")
        frame = pandas.read_csv(StringIO(out), sep="\t", comment="#")
        assert frame["row"].tolist() == list(range(1, len(frame) + 1))
        return frame["prediction"].to_numpy()


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, monkeypatch, capsys)


# Oracle: the path by hand, and X w + b in NumPy.
def test_columns_are_found_by_name(case: Case) -> None:
    frame = table()
    case.fit(frame)
    hand = by_hand(frame.drop(columns="y").to_numpy(), frame["y"].to_numpy())
    new = table(9, 5, seed=3)
    new[["y", *[f"feature {j}" for j in (4, 0, 3, 1, 2)]]].assign(other="text").to_csv("new.csv", index=False)
    X = new.drop(columns="y").to_numpy()
    expected = X @ hand.coefficients[-1] + hand.intercepts[-1]
    np.testing.assert_allclose(case.predictions("new.csv"), expected, rtol=1e-10)
    expected = X @ hand.coefficients[2] + hand.intercepts[2]
    np.testing.assert_allclose(case.predictions("new.csv", "--jump", "2"), expected, rtol=1e-10)
    np.testing.assert_allclose(
        case.predictions("new.csv", "--jump", "0"), np.full(9, hand.intercepts[0]), rtol=1e-10
    )


# Oracle: the estimator's own `predict` at the chosen time.
def test_the_chosen_time_and_its_score(case: Case) -> None:
    import implicitbias as ib

    frame, new = table(40, 5), table(12, 5, seed=2)
    case.fit(frame, "--cv", "4")
    new.to_parquet("new.parquet")
    model = ib.SaddlePathRegressorCV(cv=4, standardize=True).fit(frame.drop(columns="y"), frame["y"])
    expected = model.predict(new.drop(columns="y"))
    np.testing.assert_allclose(case.predictions("new.parquet"), expected, rtol=1e-10)
    status, out, _ = case.ask("predict", "out", "new.parquet", "--out", "p.csv", "--score")
    assert status == 0
    error = np.mean((new["y"] - expected) ** 2)
    r2 = model.score(new.drop(columns="y"), new["y"])
    assert f"The mean squared error on these 12 rows is {error:.4g}; R² is {r2:.4g}" in out
    np.testing.assert_allclose(pandas.read_csv("p.csv")["prediction"], expected, rtol=1e-10)
    assert sorted(path.name for path in Path().iterdir()) == ["data.csv", "new.parquet", "out", "p.csv"]


# Oracle: one-hot columns, parsed numbers and the mean of the fit, by pandas.
def test_the_recipe_of_the_fit_is_used(case: Case) -> None:
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Paris", "Rome"], 40)
    share, age = rng.uniform(0, 100, 40).round(1), rng.uniform(20, 60, 40).round(1)
    y = share / 10 + 3.0 * (city == "Rome") - age / 7 + rng.standard_normal(40)
    gaps = np.where(np.arange(40) % 7 == 0, np.nan, age)
    case.fit(
        pandas.DataFrame({"city": city, "share": [f"{x}%" for x in share], "age": gaps, "who": "n", "y": y}),
        "--one-hot", "city", "--parse", "share", "--impute", "mean", "--drop", "who",
    )  # fmt: skip
    filled = np.where(np.isnan(gaps), np.nanmean(gaps), gaps)
    columns = {"city=Paris": city == "Paris", "city=Rome": city == "Rome", "share": share, "age": filled}
    hand = by_hand(np.column_stack(list(columns.values())).astype(float), y)
    Path("new.csv").write_text("age,share,city\n30,50%,Rome\n,7.5%,Oslo\n")
    X = np.array([[0.0, 1.0, 50.0, 30.0], [0.0, 0.0, 7.5, np.nanmean(gaps)]])
    np.testing.assert_allclose(
        case.predictions("new.csv"), X @ hand.coefficients[-1] + hand.intercepts[-1], rtol=1e-9
    )
    for text, message in {
        "age,share,city\n30,50%,Bonn\n": "holds the category 'Bonn' (row 1)",
        "age,share,city\n30,50$,Rome\n": "not numbers in the expected unit (percent), the first '50$' in row 1",
        "age,city\n30,Rome\n": "has no column 'share'",
        "age,share,city\n30,50%,Rome\n": "has no column 'y'",
    }.items():
        Path("bad.csv").write_text(text)
        score = ["--score"] if "'y'" in message else []
        status, out, err = case.ask("predict", "out", "bad.csv", *score, "--out", "p.csv")
        assert (status, out) == (2, "")
        assert message in err
        assert not Path("p.csv").exists()


def test_what_is_refused(case: Case) -> None:
    case.fit(table())
    for words, message in {
        ("nowhere", "data.csv"): "nowhere holds no store of results; results of `implicitbias path --out`",
        ("out", "absent.csv"): "there is no file absent.csv",
        ("out", "data.csv", "--jump", "99"): "--jump is 99, a whole number from 0 to",
        ("out", "data.csv", "--jump", "-1"): "--jump is -1",
        ("out", "data.csv", "--out", "data.csv"): "data.csv exists already, and would be replaced",
        ("out", "data.csv", "--out", "no/p.csv"): "cannot write no/p.csv: No such file or directory",
    }.items():
        status, out, err = case.ask("predict", *words)
        assert (status, out) == (2, ""), words
        assert message in err
    (part,) = Path("out/arrays").iterdir()
    part.write_bytes(part.read_bytes()[:-1])
    _, _, err = case.ask("predict", "out", "data.csv")
    assert f"{part} is missing or damaged; results of" in err
    assert "type implicitbias path DATA --target COLUMN --out out" in err


def _standard_input(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(Path(file).read_bytes())))


# Oracle: the score of the same rows in a file.
def test_rows_and_target_come_from_one_reading_of_standard_input(case: Case) -> None:
    case.fit(table())
    expected = case.ask("predict", "out", "data.csv", "--score")
    _standard_input(case.monkeypatch, "data.csv")
    assert case.ask("predict", "out", "-", "--score") == expected
    assert expected[0] == 0


# Oracle: the mean and the variance of the target.
def test_a_path_without_features_predicts_the_intercept(case: Case) -> None:
    y = np.arange(6.0)
    case.fit(pandas.DataFrame({"a": 1.0, "y": y}))
    np.testing.assert_allclose(case.predictions("data.csv"), np.full(6, y.mean()))
    out = case.ask("predict", "out", "data.csv", "--score")[1]
    assert f"The mean squared error on these 6 rows is {y.var():.4g}; R² is 0," in out


# Oracle: the same table with plain numbers.
def test_the_score_parses_the_target_as_the_fit_did(case: Case) -> None:
    frame = table().round(2)
    case.fit(frame)
    expected = case.ask("predict", "out", "data.csv", "--score")
    case.fit(frame.assign(y=[f"{value:.2f}%" for value in frame["y"]]), "--parse", "y")
    assert case.ask("predict", "out", "data.csv", "--score") == expected
    assert "R²" in expected[1]


def test_an_advised_line_works_when_it_is_typed(case: Case) -> None:
    frame = table(12, 2).assign(kind=["p", "q", "p"] * 4)
    case.fit(frame, "--one-hot", "kind", "--missing", "-99")
    Path("-new.csv").write_bytes(frame.assign(größe=1.0).to_csv(index=False).encode("latin-1"))
    status, _, err = case.ask("predict", "out", "./-new.csv", "--score")
    assert status == 2
    line = err[err.index("implicitbias predict") :].strip()
    assert line == "implicitbias predict out ./-new.csv --encoding windows-1252 --score"
    assert case.ask(*shlex.split(line)[1:])[0] == 0


def test_a_missing_value_is_named_by_its_column(case: Case) -> None:
    frame = table(12, 2).assign(kind=["p", "q", "r"] * 4)
    case.fit(frame, "--one-hot", "kind")
    frame.assign(kind=[None, *frame["kind"][1:]]).to_csv("new.csv", index=False)
    err = case.ask("predict", "out", "new.csv")[2]
    assert "new.csv has missing values in kind (row 1), and no value that replaces them is stored" in err
