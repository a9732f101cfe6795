"""Test that the command line imports only what the `__init__` of other rooms lists."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture._source import SOURCE, label, python_files, tree


def imported(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of each import of a module, also inside functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


def private_imports(module: ast.Module) -> Iterator[str]:
    """Yield the private modules and names of other rooms that a module imports. Modules of `_core` are allowed."""
    for number, name in imported(module):
        package, *rest = name.split(".")
        if package != "implicitbias" or rest[:1] == ["cli"]:
            continue
        inner = rest[1:] if rest[:1] == ["_core"] else rest
        if any(part.startswith("_") and not part.startswith("__") for part in inner):
            yield f"line {number}: {name}"


@pytest.mark.parametrize("file", python_files(SOURCE / "cli"), ids=label)
def test_the_command_line_imports_public_names_only(file: object) -> None:
    assert list(private_imports(tree(file))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("from implicitbias.studies._registry import find", 1),
        ("from implicitbias.plotting import _text", 1),
        ("import implicitbias.plotting._text", 1),
        ("from implicitbias._core.arrays import _hidden", 1),
        ("from implicitbias.studies import find", 0),
        ("from implicitbias import __version__", 0),
        ("from implicitbias._core.errors import InputError", 0),
        ("from implicitbias.cli._app import main", 0),
        ("from numpy import _core", 0),
    ],
)
def test_the_rule_sees_what_it_should(line: str, count: int) -> None:
    assert len(list(private_imports(ast.parse(line)))) == count


def imports_of(module: ast.Module, name: str) -> Iterator[str]:
    """Yield the lines at which a module imports this module or a part of it."""
    for number, one in imported(module):
        if f"{one}.".startswith(f"{name}."):
            yield f"line {number}"


# Studies compare with SciPy's optimisers, as an oracle that shares no code with what they judge. A flow along kinks
# finds the slopes of its held units by bounded least squares, which is a part of its field and predicts no end of it.
# The search for a stop maximises a function of time.
# That no classifier separates the data is a property of the problem, which flows and limits both ask for.
_FLOWS = SOURCE / "flows"
_OPTIMISERS = {
    SOURCE / "limits",
    SOURCE / "studies",
    _FLOWS / "_sliding_engine.py",
    _FLOWS / "_stop_search.py",
    SOURCE / "problems" / "_inseparable.py",
}


# import-linter sees no parts of other packages, so this rule is a test: SciPy's solvers of programs are in limits.
@pytest.mark.parametrize(
    "file",
    [file for file in python_files(SOURCE) if not _OPTIMISERS & {file, *file.parents}],
    ids=label,
)
def test_optimisers_of_scipy_are_imported_behind_few_doors(file: object) -> None:
    assert list(imports_of(tree(file), "scipy.optimize")) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("from scipy.optimize import linprog", 1),
        ("from scipy import optimize", 1),
        ("import scipy.optimize", 1),
        ("from scipy import sparse", 0),
        ("import scipy.optimizers", 0),
    ],
)
def test_the_rule_sees_imports_of_parts(line: str, count: int) -> None:
    assert len(list(imports_of(ast.parse(line), "scipy.optimize"))) == count
