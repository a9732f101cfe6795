"""The command line: what it prints, where, and with which exit status. Never a traceback."""

import json
from pathlib import Path

import pytest

import implicitbias
from implicitbias.studies import _registry
from tests.cli._command import answer, as_terminal, command
from tests.studies.fakes import NAME, install


class TestAsAUserStartsIt:
    def test_list(self, tmp_path: Path) -> None:
        done = command("list", cwd=tmp_path)
        assert done.returncode == 0
        assert "saddle-to-saddle" in done.stdout
        assert "2304.00488" in done.stdout
        assert done.stderr == ""

    def test_a_misspelt_study(self, tmp_path: Path) -> None:
        done = command("run", "sadle-to-saddle", "--out", "results", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("implicitbias: ")
        assert "'sadle-to-saddle'" in done.stderr
        assert "saddle-to-saddle" in done.stderr.replace("'sadle-to-saddle'", "")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "results").write_text("mine")
        done = command("run", "saddle-to-saddle", "--out", "results", cwd=tmp_path)
        assert done.returncode == 2
        assert "cannot write results to results" in done.stderr
        assert "--out DIR" in done.stderr
        assert (tmp_path / "results").read_text() == "mine"

    def test_the_version(self, tmp_path: Path) -> None:
        done = command("--version", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"implicitbias {implicitbias.__version__}\n")


class TestHelp:
    def test_no_arguments_show_the_help(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, out, err = answer(monkeypatch, capsys)
        assert status in (0, 2)
        for word in ("Usage", "list", "run", "report", "path", "--version"):
            assert word in out + err

    @pytest.mark.parametrize(
        "arguments",
        [("--help",), ("run", "--help"), ("list", "--help"), ("path", "--help"), ("report", "--help")],
    )
    def test_help_is_a_success(
        self, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, out, err = answer(monkeypatch, capsys, *arguments)
        assert (status, err) == (0, "")
        assert "Usage: implicitbias" in out

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (("run", "--bogus"), "--bogus"),
            (("--bogus",), "--bogus"),
            (("run", "--out"), "--out"),
            (("rum",), "rum"),
            (("list", "extra"), "extra"),
            (("path",), "DATA"),
            (("report",), "DIR"),
            (("path", "table.csv", "--cv", "five"), "--cv"),
        ],
    )
    def test_bad_usage_says_what_is_wrong(
        self,
        arguments: tuple[str, ...],
        word: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        status, out, err = answer(monkeypatch, capsys, *arguments)
        assert (status, out) == (2, "")
        assert word in err


class TestRun:
    def test_claims_that_hold(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch)
        status, out, err = answer(monkeypatch, capsys, "run", NAME, "--out", str(tmp_path))
        assert status == 0
        assert "4 claims, all hold." in out
        assert str(tmp_path / NAME) in out
        assert "one is one" in out
        assert f"{NAME} 100% done" in err  # progress goes to standard error
        assert json.loads((tmp_path / NAME / "claims.json").read_text())["all_hold"] is True

    def test_a_claim_that_fails(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch, 1.0, float("nan"))
        status, out, _ = answer(monkeypatch, capsys, "run", "--out", str(tmp_path))
        assert status == 1
        assert "3 claims, 1 FAIL." in out
        assert "NO" in out
        assert "nan" in out
        # What failed is kept, to look at.
        assert json.loads((tmp_path / NAME / "claims.json").read_text())["all_hold"] is False

    def test_without_a_name_the_first_point_of_each_study_runs(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch)
        assert answer(monkeypatch, capsys, "run", "--out", str(tmp_path))[0] == 0
        claims = tmp_path / NAME / "claims.json"
        assert json.loads(claims.read_text())["points"] == ["first"]
        assert answer(monkeypatch, capsys, "run", NAME, "--point", "second", "--out", str(tmp_path))[0] == 0
        assert json.loads(claims.read_text())["points"] == ["first", "second"]
        status, out, err = answer(monkeypatch, capsys, "run", "--point", "second")
        assert (status, out) == (2, "")
        assert "--point is for one study" in err

    def test_several_studies_have_one_page(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch)
        page = tmp_path / "report.html"
        status, out, _ = answer(monkeypatch, capsys, "run", NAME, NAME, "--out", str(tmp_path))
        assert status == 0
        assert f"All studies on one page: {page}" in out
        assert "all 8 claims hold" in page.read_text()
        # Another file is not replaced, and this is said before any study runs.
        page.write_text("mine")
        status, out, err = answer(monkeypatch, capsys, "run", NAME, NAME, "--out", str(tmp_path))
        assert (status, out) == (2, "")
        assert "is no report of studies" in err
        assert page.read_text() == "mine"

    def test_without_out_a_named_study_writes_nothing_and_all_studies_one_page(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch)
        monkeypatch.chdir(tmp_path)
        status, out, _ = answer(monkeypatch, capsys, "run", NAME)
        assert status == 0
        assert "Results:" not in out
        assert list(tmp_path.iterdir()) == []
        (card,) = _registry.list_cards()
        monkeypatch.setattr(_registry, "_CARDS", (card, card._replace(name="another-study")))
        status, out, _ = answer(monkeypatch, capsys, "run")
        assert status == 0
        assert "All studies on one page: results/report.html" in out
        page = (tmp_path / "results" / "report.html").read_text()
        for name in (NAME, "another-study"):
            assert f'<a href="#{name}">{name}</a>' in page
            assert f'<h2 id="{name}">' in page
            assert f'href="{name}/first-picture.svg"' in page

    def test_a_misspelt_name_costs_nothing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        def never() -> None:
            raise AssertionError("the first study ran although the second has no name")

        install(monkeypatch, at_second=never)
        status, out, err = answer(monkeypatch, capsys, "run", NAME, "fake-stady", "--out", str(tmp_path))
        assert (status, out) == (2, "")
        assert "'fake-stady'" in err
        assert f"one of {NAME}" in err
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_of_somebody_else(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        install(monkeypatch)
        (tmp_path / NAME).mkdir()
        (tmp_path / NAME / "thesis.tex").write_text("mine")
        status, _, err = answer(monkeypatch, capsys, "run", "--out", str(tmp_path))
        assert status == 2
        assert f"type --out {tmp_path}-new" in err
        assert [path.name for path in (tmp_path / NAME).iterdir()] == ["thesis.tex"]

    def test_control_c(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        install(monkeypatch, at_second=interrupt)
        status, _, err = answer(monkeypatch, capsys, "run", NAME, "--out", str(tmp_path))
        assert status == 130
        assert f"interrupted; nothing of {NAME} was written" in err
        assert list(tmp_path.iterdir()) == []

    def test_brackets_in_a_claim_are_no_markup(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        as_terminal(monkeypatch)
        install(monkeypatch, statement="w in [0, 1] and [/b] [red]")
        status, out, _ = answer(monkeypatch, capsys, "run")
        assert status == 0
        assert "[0, 1]" in out
        assert "[/b] [red]" in out
