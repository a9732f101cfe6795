"""Test that the command line imports only what the `__init__` of other rooms lists."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture._source import SOURCE, label, python_files, tree


def private_imports(module: ast.Module) -> Iterator[str]:
    """Yield the private modules and names of other rooms that a module imports. Modules of `_core` are allowed."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            if package != "implicitbias" or rest[:1] == ["cli"]:
                continue
            inner = rest[1:] if rest[:1] == ["_core"] else rest
            if any(part.startswith("_") and not part.startswith("__") for part in inner):
                yield f"line {node.lineno}: {name}"


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
