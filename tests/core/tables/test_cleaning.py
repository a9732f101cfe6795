"""What is done to a table when the user asks for it, and to new rows by the recipe of the table."""

import json
from pathlib import Path

import numpy as np
import pandas
import pytest

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, Recipe, Table, read_rows, read_table
from tests.cli._tables import written

FRAME = pandas.DataFrame(
    {
        "name": ["u", "v", "w", "x", "y", "z"],
        "city": ["Rome", "Oslo", "Rome", "Bern", "Oslo", "Rome"],
        "rate": ["1.5%", "2%", "(3%)", "0", "4%", "8%"],
        "size": [1.0, np.nan, 3.0, 8.0, np.nan, 4.0],
        "level": [2, 10, 2, 1, 10, 1],
        "y": [1.0, 2.0, 5.0, 3.0, 2.0, 7.0],
    }
)
ALL = Cleaning(drop=("name",), one_hot=("city", "level"), parse=("rate",), impute="median")


def read(folder: Path, cleaning: Cleaning, frame: pandas.DataFrame = FRAME, groups: str = "") -> Table:
    return read_table(Path(written(folder, frame.to_csv(index=False))), "y", cleaning, groups=groups)


# Oracle: pandas, column by column.
def test_every_request_at_once(tmp_path: Path) -> None:
    found = read(tmp_path, ALL)
    dummies = pandas.get_dummies(FRAME[["city", "level"]].astype(str), dtype=float)
    expected = pandas.DataFrame(
        {
            "city=Oslo": dummies["city_Oslo"],
            "city=Rome": dummies["city_Rome"],
            "rate": [1.5, 2.0, -3.0, 0.0, 4.0, 8.0],
            "size": FRAME["size"].fillna(FRAME["size"].median()),
            "level=2": dummies["level_2"],
            "level=10": dummies["level_10"],
        }
    )
    assert found.features == tuple(expected.columns)
    np.testing.assert_array_equal(found.X, expected.to_numpy())
    np.testing.assert_array_equal(found.y, FRAME["y"])
    told = " ".join(found.notes)
    assert "the reference, which has no column, is 'Bern'" in told
    assert "percent signs were removed" in told
    assert "replaced by the median of their column over all rows" in told


def test_one_hot_columns_are_independent_beside_an_intercept(tmp_path: Path) -> None:
    found = read(tmp_path, Cleaning(drop=("name", "rate", "size", "level"), one_hot=("city",)))
    design = np.column_stack([np.ones(len(found.y)), found.X])
    assert np.linalg.matrix_rank(design) == design.shape[1]


def test_rows_with_missing_values_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, Cleaning(drop=("name", "city", "rate"), drop_missing=True))
    assert found.X.tolist() == [[1.0, 2.0], [3.0, 2.0], [8.0, 1.0], [4.0, 1.0]]
    assert found.y.tolist() == [1.0, 5.0, 3.0, 7.0]
    assert "2 of 6 rows were left out, because values are missing there: row 2, 5" in found.notes


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_imputation(statistic: str, tmp_path: Path) -> None:
    found = read(tmp_path, Cleaning(drop=("name", "city", "rate", "level"), impute=statistic))
    expected = getattr(np, f"nan{statistic}")(FRAME["size"])
    assert found.X[[1, 4], 0].tolist() == [expected, expected]


def test_a_missing_category_becomes_the_most_frequent(tmp_path: Path) -> None:
    frame = FRAME[["city", "y"]].copy()
    frame.loc[3, "city"] = None
    found = read(tmp_path, Cleaning(one_hot=("city",), impute="mean"), frame)
    assert found.features == ("city=Rome",)
    assert found.X[:, 0].tolist() == [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]


def test_a_missing_target_is_never_imputed(tmp_path: Path) -> None:
    frame = FRAME[["size", "y"]].copy()
    frame.loc[0, "y"] = np.nan
    with pytest.raises(InputError, match="a missing target or group is never replaced"):
        read(tmp_path, Cleaning(impute="mean"), frame)
    found = read(tmp_path, Cleaning(impute="mean", drop_missing=True), frame)
    assert found.X[:, 0].tolist() == [5.0, 3.0, 8.0, 5.0, 4.0]  # the mean of 3, 8, 4: row 1 is left out first


@pytest.mark.parametrize("mark", ["-99", "-99.0", "?"])
def test_marks_of_missing_values(mark: str, tmp_path: Path) -> None:
    text = f"a,b,y\n1,{mark},1\n2,3,4\n3,4,2\n5,-99,7\n"
    wanted = Cleaning(missing=(mark, "-99"), drop_missing=True)
    found = read_table(Path(written(tmp_path, text)), "y", wanted)
    assert found.X.tolist() == [[2.0, 3.0], [3.0, 4.0]]


def test_a_decimal_comma(tmp_path: Path) -> None:
    found = read_table(Path(written(tmp_path, "a;y\n1,5;2\n-,25;3,125\n")), "y", Cleaning(decimal_comma=True))
    assert (found.X[:, 0].tolist(), found.y.tolist()) == ([1.5, -0.25], [2.0, 3.125])


def test_statistics_are_those_of_the_rows_that_are_left(tmp_path: Path) -> None:
    text = "a,b,y\n,1,2\n,3,4\n,4,5\n7,5,\n"
    wanted = Cleaning(impute="mean", drop_missing=True)
    with pytest.raises(InputError, match=r"Every value of 'a' is missing.*drop=\('a',\)"):
        read_table(Path(written(tmp_path, text)), "y", wanted)


def test_a_column_that_is_left_out_is_not_converted() -> None:
    found = Cleaning(one_hot=("a", "b"), parse=("c",)).adding(Cleaning(drop=("a", "c")))
    assert (found.drop, found.one_hot, found.parse) == (("a", "c"), ("b",), ())


def test_an_infinite_group_is_a_label(tmp_path: Path) -> None:
    found = read_table(Path(written(tmp_path, "g,a,y\ninf,1,2\n3,2,5\n")), "y", groups="g")
    assert found.groups is not None
    assert found.groups.tolist() == ["inf", "3"]


def test_groups_are_labels_of_any_type(tmp_path: Path) -> None:
    wanted = Cleaning(drop=("name", "rate", "size"))
    found = read(tmp_path, wanted, FRAME.drop(columns="level").assign(a=range(6)), groups="city")
    assert found.groups is not None
    assert found.groups.tolist() == FRAME["city"].tolist()
    assert found.features == ("a",)
    found = read(tmp_path, wanted, FRAME.drop(columns="city").assign(a=range(6)), groups="level")
    assert found.groups is not None
    assert found.groups.tolist() == ["2", "10", "2", "1", "10", "1"]


def test_rows_without_a_group(tmp_path: Path) -> None:
    text = "g,a,y\nu,1,2\n,2,3\nv,5,1\nv,4,4\n"
    file = Path(written(tmp_path, text))
    with pytest.raises(InputError, match=r"1 of 3 columns: g \(1\)"):
        read_table(file, "y", groups="g")
    found = read_table(file, "y", Cleaning(drop_missing=True), groups="g")
    assert found.groups is not None
    assert found.groups.tolist() == ["u", "v", "v"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Cleaning(drop=("nme",)), "has no column 'nme'; did you mean 'name'"),
        (Cleaning(drop=("y",)), "'y' is the target, and cannot be among the columns to drop"),
        (Cleaning(drop=("city",), one_hot=("city",)), "city is named for two purposes"),
        (Cleaning(drop=("name", "city", "rate", "size", "level")), "has no column besides the target"),
        (Cleaning(drop=("name",), one_hot=("city",), parse=("rate",)), "has 2 missing values"),
        (Cleaning(parse=("city",), drop=("name",)), "the column 'rate' holds"),
        (Cleaning(parse=("city", "rate"), drop=("name",)), "'city' cannot be parsed, because it holds other text"),
        (Cleaning(encoding="klingon"), "'klingon' is not an encoding"),
        (Cleaning(encoding="utf-16"), "is not utf-16 text"),
        (Cleaning(skip_lines=100), "is empty after 100 lines"),
    ],
)  # fmt: skip
def test_requests_that_do_not_fit(wanted: Cleaning, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, wanted)


def test_requests_that_are_wrong_words() -> None:
    with pytest.raises(InputError, match="impute is 'mode'"):
        Cleaning(impute="mode")
    with pytest.raises(InputError, match="the number of lines to skip is -1"):
        Cleaning(skip_lines=-1)


def test_a_column_of_numbers_is_never_suggested_as_categories(tmp_path: Path) -> None:
    cells = [str(i % 20) for i in range(80)] + [f"typo {i}" for i in range(10)]
    text = "a,b,y\n" + "".join(f"{cell},{i},{i * i}\n" for i, cell in enumerate(cells))
    with pytest.raises(InputError, match=r"different units, or with other texts.*Cleaning\(drop=\('a',\)\)"):
        read_table(Path(written(tmp_path, text)), "y")
    text = "a,b,y\n" + "".join(f"{i % 4}{'%' * (i % 2)},{i},{i * i}\n" for i in range(1, 40))
    with pytest.raises(InputError, match=r"different units.*Cleaning\(drop=\('a',\)\)"):
        read_table(Path(written(tmp_path, text)), "y")


@pytest.mark.parametrize("count", [1, 10_001])
def test_numbers_of_categories(count: int, tmp_path: Path) -> None:
    text = "a,b,y\n" + "".join(f"u{i % count},{i},{i * i}\n" for i in range(10_002))
    with pytest.raises(InputError, match=rf"has {count} categories, 2 to 10000 .*Cleaning\(drop=\('a',\)\)"):
        read_table(Path(written(tmp_path, text)), "y", Cleaning(one_hot=("a",)))


def test_requests_for_text_are_refused_elsewhere(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.eye(3))
    with pytest.raises(InputError, match="encoding, no-header can be asked for in text files only"):
        read_table(tmp_path / "data.npy", "0", Cleaning(encoding="utf-8", no_header=True))


def test_units_are_not_mixed(tmp_path: Path) -> None:
    file = Path(written(tmp_path, "a,y\n$5,1\n€6,2\n7,3\n"))
    with pytest.raises(InputError, match="mixes units: '\\$5', '€6', '7'"):
        read_table(file, "y", Cleaning(parse=("a",)))


class TestNewRows:
    def test_the_rows_of_the_fit_give_the_features_of_the_fit(self, tmp_path: Path) -> None:
        found = read(tmp_path, ALL)
        recipe = Recipe.of_record(json.loads(json.dumps(found.recipe.record())))
        assert recipe == found.recipe
        shuffled = FRAME[["y", "level", "city", "rate", "size", "name"]].to_csv(index=False, sep=";")
        rows = read_rows(Path(written(tmp_path, shuffled, "new.csv")), recipe)
        np.testing.assert_array_equal(rows, found.X)

    def test_without_a_target_and_with_one_row(self, tmp_path: Path) -> None:
        recipe = read(tmp_path, ALL).recipe
        new = written(tmp_path, "city,rate,size,level\nOslo,7%,,10\n", "new.csv")
        assert read_rows(Path(new), recipe).tolist() == [[1.0, 0.0, 7.0, 3.5, 0.0, 1.0]]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("city,rate,size\nOslo,7%,1\n", "has no column 'level', which is needed"),
            ("city,rate,size,level\nOslo,7%,1,3\n", "holds the category '3' (row 1), which was not among"),
            (
                "city,rate,size,level\nOslo,$7,1,2\n",
                "not numbers in the expected unit (percent), the first '$7'",
            ),
            ("city,rate,size,level\nOslo,7%,big,2\n", "(plain numbers), the first 'big' in row 1"),
            (
                "city,rate,size,level\nOslo,,1,2\n",
                "has missing values in rate (row 1), and no value that replaces them",
            ),
            ("city,rate,size,level\n,7%,1,2\n", "has missing values in city (row 1)"),
            ("city,rate,size,level\nOslo,7%,inf,2\n", "has infinite values in size"),
            ("city,rate,size,level\n", "has 0 row(s)"),
        ],
    )
    def test_rows_that_do_not_fit(self, text: str, message: str, tmp_path: Path) -> None:
        recipe = read(tmp_path, ALL).recipe
        with pytest.raises(InputError) as told:
            read_rows(Path(written(tmp_path, text, "new.csv")), recipe)
        assert message in str(told.value)

    def test_another_encoding(self, tmp_path: Path) -> None:
        recipe = read_table(Path(written(tmp_path, "größe,y\n1,2\n2,5\n")), "y").recipe
        file = Path(written(tmp_path, "größe\n3\n".encode("latin-1"), "new.csv"))
        with pytest.raises(InputError, match="encoding='windows-1252'"):
            read_rows(file, recipe)
        assert read_rows(file, recipe, Cleaning(encoding="windows-1252")).tolist() == [[3.0]]

    def test_advice_asks_only_for_what_the_recipe_does_not_know(self, tmp_path: Path) -> None:
        text = "größe,city,y\n1,Rome,2\n2,Oslo,5\n"
        recipe = read_table(Path(written(tmp_path, text)), "y", Cleaning(one_hot=("city",))).recipe
        file = Path(written(tmp_path, "größe,city\n3,Rome\n".encode("latin-1"), "new.csv"))
        with pytest.raises(InputError, match=r"Cleaning\(encoding='windows-1252'\)\)$"):
            read_rows(file, recipe)

    def test_a_record_of_something_else(self) -> None:
        with pytest.raises(InputError, match="the record of a recipe has no usable entry 'inputs'"):
            Recipe.of_record({})


def test_decimal_points_are_not_read_as_decimal_commas(tmp_path: Path) -> None:
    file = written(tmp_path, "a,y\n1,2.5\n2,3.25\n3,1.5\n")
    with pytest.raises(
        InputError, match=r"have decimal points, not decimal commas\. To read decimal points, type"
    ) as caught:
        read_table(Path(file), "y", Cleaning(decimal_comma=True))
    assert str(caught.value).endswith("read_table(file, 'y', Cleaning())")
    # A point before three digits may separate thousands.
    with pytest.raises(InputError, match="To parse the numbers of y, type"):
        read_table(
            Path(written(tmp_path, "a,y\n1,2.500\n2,3.250\n3,1.500\n")), "y", Cleaning(decimal_comma=True)
        )


def test_imputation_is_not_offered_for_a_missing_target(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_table(Path(written(tmp_path, "a,y\n1,2\n2,\n3,1\n")), "y")
    assert "1 missing values" in str(caught.value)
    assert "Imputation" not in str(caught.value)


def test_the_note_about_imputation_says_how_categories_were_replaced(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {"kind": ["p", "q", "q", None], "size": [1.0, None, 3.0, 9.0], "y": [1.0, 4.0, 2.0, 3.0]}
    )
    found = read(tmp_path, Cleaning(one_hot=("kind",), impute="median"), frame)
    assert found.X.tolist() == [[0.0, 1.0], [1.0, 3.0], [1.0, 3.0], [1.0, 9.0]]
    assert "by the median, or the most frequent category, of their column" in " ".join(found.notes)
    assert "kind (1: q), size (1: 3)" in " ".join(found.notes)
