"""Test that every public name has a docstring, an example that runs, and a reference to its paper."""

import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import implicitbias
from tests.architecture._source import SOURCE

# Infrastructure without a paper. Everything else names a key of src/implicitbias/reports/references.bib.
WITHOUT_REFERENCE = frozenset(
    {
        "Certificate",  # each criterion names its own paper
        "ImplicitBiasError",  # errors
        "InfeasibleError",
        "InputError",
        "Status",  # how a computation ended
        "Trajectory",  # what any flow returns
        "plot",  # draws any result
        "studies",  # a module; each study names its own paper
    }
)
# Errors appear in the examples of what raises them. An example of their own would only repeat the constructor.
WITHOUT_EXAMPLE = frozenset({"ImplicitBiasError", "InfeasibleError", "InputError"})

PUBLIC_NAMES = sorted(implicitbias.__all__)
SECTION = re.compile(r"^(Reference|References|Example|Examples):?\s*(?:\n[-=~]{3,}\s*)?$", flags=re.MULTILINE)
DOCTEST_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def section(docstring: str, title: str) -> str:
    """Return the text under "Title:" (or an underlined one) up to the next unindented heading; "" if there is none."""
    for found in SECTION.finditer(docstring):
        if found[1].rstrip("s") == title:
            following = docstring[found.end() :].lstrip("\n")
            return re.split(r"^(?=[A-Z][a-z]+s?:?\s*$)", following, maxsplit=1, flags=re.MULTILINE)[0]
    return ""


def bibliography_keys() -> set[str]:
    text = (SOURCE / "reports" / "references.bib").read_text(encoding="utf-8")
    return set(re.findall(r"^@\w+\{([^,\s]+),", text, flags=re.MULTILINE))


def public_members(name: str) -> Iterator[tuple[str, object]]:
    """Yield the object itself and, for a class, the public methods and properties that it defines."""
    thing = getattr(implicitbias, name)
    yield name, thing
    if inspect.isclass(thing):
        for attribute, value in vars(thing).items():
            value = getattr(value, "__func__", value)
            documented = inspect.isroutine(value) or isinstance(value, property) or hasattr(value, "attrname")
            if documented and not attribute.startswith("_"):
                yield f"{name}.{attribute}", value


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_everything_public_has_a_docstring(name: str) -> None:
    silent = [label for label, thing in public_members(name) if not (inspect.getdoc(thing) or "").strip()]
    assert silent == []


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name not in WITHOUT_EXAMPLE:
        assert ">>>" in section(inspect.getdoc(getattr(implicitbias, name)) or "", "Example")
    runner = doctest.DocTestRunner(optionflags=DOCTEST_FLAGS)
    report: list[str] = []
    for label, thing in public_members(name):
        example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {}, label, None, None)
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", sorted(set(PUBLIC_NAMES) - WITHOUT_REFERENCE))
def test_the_reference_is_in_the_bibliography(name: str) -> None:
    text = section(inspect.getdoc(getattr(implicitbias, name)) or "", "Reference")
    assert text, "no section Reference"
    assert bibliography_keys() & set(re.findall(r"[\w-]+", text)), (
        f"no key of src/implicitbias/reports/references.bib in {text!r}"
    )


def test_exemptions_are_public_names() -> None:
    assert set(PUBLIC_NAMES) >= (WITHOUT_REFERENCE | WITHOUT_EXAMPLE)


def test_sections_are_found_in_both_styles() -> None:
    google = "Title.\n\nReference:\n    some2020key, theorem 1.\n\nExamples:\n    >>> 1\n    1\n"
    numpy = "Title.\n\nReferences\n----------\nsome2020key\n\nExamples\n--------\n>>> 1\n1\n"
    for text in (google, numpy):
        assert "some2020key" in section(text, "Reference")
        assert ">>>" not in section(text, "Reference")
        assert ">>> 1" in section(text, "Example")
    assert section("Title.", "Example") == ""
