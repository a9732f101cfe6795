"""Running a study: names, folders that appear whole or not at all, what is in them."""

import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import implicitbias as ib
from implicitbias._core.labelled import read_netcdf
from tests.studies.fakes import NAME, install

FILES = [
    "README.md", "claims.json", "first-picture.pdf", "first-picture.png", "first-picture.svg", "first.nc",
    "report.html", "second.nc",
]  # fmt: skip


def listing(folder: Path) -> list[str]:
    """Everything below a folder, hidden files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class TestNames:
    @pytest.mark.parametrize("name", ["sadle-to-saddle", "", "Saddle-to-Saddle", "../saddle-to-saddle"])
    def test_an_unknown_name_lists_the_names(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ib.InputError) as caught:
            ib.studies.run(name, out=tmp_path / "new")
        assert repr(name) in str(caught.value)
        assert "one of saddle-to-saddle" in str(caught.value)
        assert "implicitbias list" in str(caught.value)
        assert listing(tmp_path) == []

    def test_the_cards_are_those_of_the_studies(self) -> None:
        for card in ib.studies.list():
            assert card.name
            assert card.paper
            assert card.shows


class TestResult:
    def test_without_a_folder_nothing_is_written(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        monkeypatch.chdir(tmp_path)
        result = ib.studies.run(NAME)
        assert result.ok
        assert result.folder is None
        assert list(result.datasets) == ["first", "second"]
        assert [c.point for c in result.claims] == ["first", "first", "second", "second"]
        assert listing(tmp_path) == []

    def test_points_that_are_not_run_again_are_kept(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        first = ib.studies.run(NAME, out=tmp_path, points=["first"])
        assert list(first.datasets) == ["first"]
        both = ib.studies.run(NAME, out=tmp_path, points=["second"])
        assert list(both.datasets) == ["first", "second"]
        assert json.loads((tmp_path / NAME / "claims.json").read_text())["points"] == ["first", "second"]
        assert both.datasets["first"].measured.identical(first.datasets["first"].measured)
        # What is kept is read before anything is computed, so that a damaged file costs no time.
        (tmp_path / NAME / "first.nc").write_bytes(b"")
        with pytest.raises(ib.InputError, match=r"first\.nc"):
            ib.studies.run(NAME, out=tmp_path, points=["second"])

    @pytest.mark.parametrize("points", [["third"], ["first", "third"], []])
    def test_an_unknown_point_lists_the_points(
        self, points: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        with pytest.raises(ib.InputError, match="one of first, second is expected"):
            ib.studies.run(NAME, out=tmp_path, points=points)
        assert listing(tmp_path) == []

    def test_one_failing_claim_is_enough(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch, 1.0, 1.6)
        result = ib.studies.run(NAME, out=tmp_path)
        assert not result.ok
        assert "**NO**" in (tmp_path / NAME / "README.md").read_text()
        assert json.loads((tmp_path / NAME / "claims.json").read_text())["all_hold"] is False

    def test_progress_goes_from_0_to_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        install(monkeypatch)
        told: list[tuple[float, str]] = []
        ib.studies.run(NAME, progress=lambda fraction, text: told.append((fraction, text)))
        assert told == [
            (0.0, "first: started"),
            (0.25, "first: half way"),
            (0.5, "second: started"),
            (0.75, "second: half way"),
            (1.0, "done"),
        ]


class TestFolder:
    @pytest.mark.parametrize("out", ["new", "new/deep/er", "old"])
    def test_the_folder_is_made(self, out: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch)
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "mine.txt").write_text("mine")
        result = ib.studies.run(NAME, out=str(tmp_path / out))
        assert result.folder == tmp_path / out / NAME
        assert listing(tmp_path / out / NAME) == FILES
        assert (tmp_path / "old" / "mine.txt").read_text() == "mine"
        assert [path.name for path in (tmp_path / out).iterdir() if path.name.startswith(".")] == []

    def test_the_claims_as_json(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch, 1.0, float("nan"))
        ib.studies.run(NAME, out=tmp_path)

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        content = json.loads((tmp_path / NAME / "claims.json").read_text(), parse_constant=refuse)
        assert {key: value for key, value in content.items() if key != "claims"} == {
            "study": NAME,
            "paper": "Nobody 2020",
            "points": ["first", "second"],
            "files": FILES,
            "all_hold": False,
        }
        for entry in content["claims"]:
            assert set(entry) == {
                "point", "statement", "reference", "assumptions", "relation", "predicted", "measured", "tolerance",
                "holds", "supported",
            }  # fmt: skip
            assert isinstance(entry["holds"], bool)
        states = [assumption["state"] for assumption in content["claims"][0]["assumptions"]]
        assert states == ["checked: holds", "not checkable"]
        assert [entry["measured"] for entry in content["claims"]] == [1.0, "nan", "one", 1.0, "one"]
        assert [entry["holds"] for entry in content["claims"]] == [True, False, True, True, True]

    def test_the_data_and_the_page(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch)
        ib.studies.run(NAME, out=tmp_path)
        assert read_netcdf(tmp_path / NAME / "first.nc")["x"].values.tolist() == [0.0, 1.0, 2.0]
        assert (tmp_path / NAME / "first-picture.png").read_bytes().startswith(b"\x89PNG")
        page = (tmp_path / NAME / "README.md").read_text()
        for text in ("Invented for a test.", "one is one", "first-picture.png", "| yes |", "1 ± 0.5"):
            assert text in page
        assert "the sky is up; checked: holds (1, at most 1)" in page
        assert "nobody looks; not checkable (looking would change it)" in page

    def test_an_earlier_result_is_replaced_whole(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        ib.studies.run(NAME, out=tmp_path)
        _as_of_an_earlier_version(tmp_path / NAME)
        ib.studies.run(NAME, out=tmp_path)
        assert listing(tmp_path / NAME) == FILES
        assert listing(tmp_path)[0] == NAME  # nothing hidden is left beside it

    @pytest.mark.parametrize("earlier_version", [False, True])
    def test_a_file_beside_an_earlier_result_is_kept(
        self, earlier_version: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        ib.studies.run(NAME, out=tmp_path)
        if earlier_version:
            _as_of_an_earlier_version(tmp_path / NAME)
        (tmp_path / NAME / "notes.txt").write_text("mine")
        before = listing(tmp_path)
        install(monkeypatch, at_second=_never)
        with pytest.raises(ib.InputError, match=r"\(notes.txt\).*type --out "):
            ib.studies.run(NAME, out=tmp_path)
        assert listing(tmp_path) == before


class TestRefusals:
    def test_a_file_in_place_of_the_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch, at_second=_never)
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ib.InputError, match=r"cannot write results to .*file.*--out DIR"):
            ib.studies.run(NAME, out=tmp_path / "file")
        with pytest.raises(ib.InputError, match=r"cannot write results to .*--out DIR"):
            ib.studies.run(NAME, out=tmp_path / "file" / "below")
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.parametrize(
        "content",
        [{"thesis.tex": "mine"}, {"claims.json": "insurance"}, {"claims.json": '{"study": "other"}'}],
        ids=["no claims", "other claims", "claims of another study"],
    )
    def test_a_folder_of_somebody_else(
        self, content: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch, at_second=_never)
        folder = tmp_path / NAME
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
        with pytest.raises(ib.InputError, match=r"not an earlier result.*type --out"):
            ib.studies.run(NAME, out=tmp_path)
        assert listing(folder) == list(content)
        assert all((folder / name).read_text() == text for name, text in content.items())

    def test_a_file_with_the_name_of_the_study(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch, at_second=_never)
        (tmp_path / NAME).write_text("mine")
        with pytest.raises(ib.InputError, match="is a file, a folder is expected; type --out"):
            ib.studies.run(NAME, out=tmp_path)
        assert (tmp_path / NAME).read_text() == "mine"


class TestFailures:
    @pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
    @pytest.mark.parametrize("earlier", [False, True])
    def test_a_study_that_raises_writes_nothing(
        self, error: type[BaseException], earlier: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        if earlier:
            install(monkeypatch)
            ib.studies.run(NAME, out=tmp_path)
        before = listing(tmp_path)
        stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))]

        def fail() -> None:
            raise error

        install(monkeypatch, at_second=fail)
        with pytest.raises(error):
            ib.studies.run(NAME, out=tmp_path)
        assert listing(tmp_path) == before
        assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))] == stamps

    @pytest.mark.parametrize("earlier", [False, True])
    def test_a_disk_that_fills_up_leaves_what_was_there(
        self, earlier: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        if earlier:
            ib.studies.run(NAME, out=tmp_path)
        before = listing(tmp_path)
        stamps = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))]

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Figure, "savefig", full)
        with pytest.raises(ib.InputError, match="No space left on device"):
            ib.studies.run(NAME, out=tmp_path)
        assert listing(tmp_path) == before
        assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))] == stamps


def _as_of_an_earlier_version(folder: Path) -> None:
    """A result that does not list its files, with data under a name that is no longer used."""
    content = json.loads((folder / "claims.json").read_text())
    del content["files"]
    (folder / "claims.json").write_text(json.dumps(content))
    (folder / "stale.nc").write_text("of an earlier version")
    for file in [*folder.glob("*.svg"), *folder.glob("*.pdf"), folder / "report.html"]:
        file.unlink()


def _never() -> None:
    raise AssertionError("the study ran although its results have no place")


class TestJointReport:
    def test_one_page_has_all_studies(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch, 1.0, 1.6, statement="one < two")
        results = [ib.studies.run(NAME), ib.studies.run(NAME, points=["second"])]
        page = ib.studies.report(results, tmp_path / "report.html").read_text()
        assert "1 of 7 claims fail" in page
        assert page.count("one &lt; two") == 4
        assert f"{NAME}: second" in page
        # An earlier page is replaced, and nothing else is left in the folder.
        ib.studies.report(results[1:], tmp_path / "report.html")
        assert "all 2 claims hold" in (tmp_path / "report.html").read_text()
        assert listing(tmp_path) == ["report.html"]

    def test_a_file_of_somebody_else_is_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        install(monkeypatch)
        mine = tmp_path / "report.html"
        mine.write_text("my thesis")
        with pytest.raises(ib.InputError, match="is no report of studies"):
            ib.studies.report([ib.studies.run(NAME)], mine)
        assert mine.read_text() == "my thesis"
        with pytest.raises(ib.InputError, match="is no report of studies"):
            ib.studies.report([ib.studies.run(NAME)], tmp_path)
        for wrong in ([], ib.studies.run(NAME), [NAME], 3):
            with pytest.raises(ib.InputError, match="a list of results is expected"):
                ib.studies.report(wrong, tmp_path / "new.html")  # type: ignore[arg-type]
        with pytest.raises(ib.InputError, match="cannot be written"):
            ib.studies.report([ib.studies.run(NAME)], mine / "report.html")
        with pytest.raises(ib.InputError, match="too long"):
            ib.studies.report([ib.studies.run(NAME)], tmp_path / ("a" * 250 + ".html"))

    def test_the_page_repeats_the_runs_and_links_the_figures_beside_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        install(monkeypatch)
        stored = ib.studies.run(NAME, out=tmp_path, points=["first"])
        results = [stored, ib.studies.run(NAME)]
        page = ib.studies.report(results, tmp_path / "report.html").read_text()
        assert f"implicitbias run {NAME} --point first --out results\nimplicitbias run {NAME} --out" in page
        assert "<h1>2 studies</h1>" in page
        links = re.findall(r'href="([^"]+[.](?:png|svg|pdf))"', page)
        assert links
        assert all((tmp_path / link).exists() for link in links)
