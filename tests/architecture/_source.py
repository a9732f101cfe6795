"""The files of the source and their syntax trees, shared by the tests of this folder."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "implicitbias"
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"


def python_files(*folders: Path) -> list[Path]:
    """Return every Python file under the folders, sorted."""
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def label(file: Path) -> str:
    """Return the path from the root of the repository, for test ids and messages."""
    return file.relative_to(ROOT).as_posix()


@cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
