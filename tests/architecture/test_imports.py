"""Test the import rules of docs/design.md with import-linter's contracts."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.architecture._source import ROOT, SOURCE, python_files, tree

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PYPROJECT["tool"]["importlinter"]["contracts"]

# Dependencies that another one loads: h5netcdf behind xarray, and the storage behind it.
LOADED_BY_OTHERS = {"h5py", "h5netcdf"}
IMPORT_NAMES = {"scikit-learn": "sklearn", "lazy-loader": "lazy_loader"}


def test_every_contract_is_kept() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout


def test_every_room_stands_in_the_layers() -> None:
    (layers,) = (contract for contract in CONTRACTS if contract["type"] == "layers")
    listed = {name.strip() for line in layers["layers"] for name in line.split("|")}
    rooms = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file()}
    assert rooms == listed


def imported_modules(file: Path) -> set[str]:
    """The modules of the package that a file imports, inside functions and under TYPE_CHECKING too."""
    names: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


# Oracle: a depth-first search. A module that imports a package depends on that package's `__init__`.
def test_no_modules_import_each_other_in_a_circle() -> None:
    files = {module_name(file): file for file in python_files(SOURCE)}
    imports = {name: imported_modules(file) & files.keys() - {name} for name, file in files.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(imports[name]):
                # A room's `__init__` lists what the modules below it offer: only files depend on each other.
                if not is_listing(files[other]):
                    visit(other, (*path, name))
            done.add(name)

    for name, file in files.items():
        if not is_listing(file):
            visit(name, ())


def module_name(file: Path) -> str:
    parts = ("implicitbias", *file.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_listing(file: Path) -> bool:
    return file.name == "__init__.py"


def test_every_dependency_is_used() -> None:
    listed = {
        IMPORT_NAMES.get(name, name)
        for name in (re.match(r"[\w-]+", line)[0] for line in PYPROJECT["project"]["dependencies"])
    }
    used = {name.partition(".")[0] for file in python_files(SOURCE) for name in imported_modules(file)}
    assert listed - used - LOADED_BY_OTHERS == set()
