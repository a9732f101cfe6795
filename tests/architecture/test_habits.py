"""Test the habits of CONTRIBUTING.md that a program can check."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture._source import SOURCE, TESTS, label, python_files, tree

FILE_LINES = 400
FUNCTION_LINES = 60  # not counting the docstring
CONSTRUCTOR_ARGUMENTS = 7
RECORD_FIELDS = 12  # of a dataclass without an `__init__` of its own: a result that the library fills in
ABSTRACT_METHODS = 4

# "path" or "path:name" of what may exceed a limit, each with its reason in a comment.
EXCEPTIONS: frozenset[str] = frozenset(
    {
        # numba keeps compiled code under the content of one file, so that all of it is one file.
        "src/implicitbias/limits/_path_kernels.py",
        # These are the columns of one table of a data base.
        "src/implicitbias/studies/sweeps/_ledger.py:Row",
    }
)

GLOBAL_FLAG = "a global flag: float64 is a scope"

Function = ast.FunctionDef | ast.AsyncFunctionDef

SOURCE_FILES = python_files(SOURCE)
ALL_FILES = [*SOURCE_FILES, *python_files(TESTS)]
every_file = pytest.mark.parametrize("file", ALL_FILES, ids=label)
every_source_file = pytest.mark.parametrize("file", SOURCE_FILES, ids=label)


def functions(file: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(file)) if isinstance(node, Function))


def classes(file: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree(file)) if isinstance(node, ast.ClassDef))


def body_lines(function: Function) -> int:
    """Return the number of lines from `def` to the end, without those of the docstring."""
    docstring = 0
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0].end_lineno - function.body[0].lineno + 1
    return function.end_lineno - function.lineno + 1 - docstring


def decorator_names(node: Function | ast.ClassDef) -> set[str]:
    """Return the last parts of the decorators' names: `dataclass` for `@dataclasses.dataclass(frozen=True)`."""
    called = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return {ast.unparse(item).rpartition(".")[2] for item in called}


def constructor_arguments(node: ast.ClassDef) -> int:
    """Return the number of arguments of the `__init__` that a class defines itself."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            arguments = item.args
            return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs) - 1
    return 0


def record_fields(node: ast.ClassDef) -> int:
    """Return the number of fields of a dataclass, equinox module or named tuple without an `__init__` of its own."""
    if any(isinstance(item, ast.FunctionDef) and item.name == "__init__" for item in node.body):
        return 0
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    if not ("dataclass" in decorator_names(node) or bases & {"Module", "NamedTuple"}):
        return 0
    return sum(isinstance(item, ast.AnnAssign) and is_constructor_field(item) for item in node.body)


def is_constructor_field(item: ast.AnnAssign) -> bool:
    text = ast.unparse(item)
    return "ClassVar" not in ast.unparse(item.annotation) and "init=False" not in text.replace(" ", "")


def upstream_private_names(file: Path) -> Iterator[str]:
    """Yield private names of other packages that a file imports, or that it reads from a module that it imports."""
    modules = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules.add(alias.asname or alias.name.partition(".")[0])
                if is_upstream(alias.name) and any(map(is_private, alias.name.split("."))):
                    yield f"line {node.lineno}: {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and is_upstream(node.module):
            for alias in node.names:
                if any(map(is_private, [*node.module.split("."), alias.name])):
                    yield f"line {node.lineno}: {node.module}.{alias.name}"
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in modules - {"implicitbias"}:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def is_upstream(module: str) -> bool:
    return module.partition(".")[0] not in ("implicitbias", "tests", "benchmarks")


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def forbidden_in_source(node: ast.AST) -> str | None:
    """Return in words what a node does that library code must not do; None if it does no such thing."""
    # This is the rule against stubs. It looks for this name in the source of the library and raises nothing.
    stub = "NotImplementedError"
    if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith(stub):
        return f"{stub}: a class that can be built must work"
    if isinstance(node, ast.ExceptHandler) and node.type is not None:
        caught = ast.unparse(node.type)
        if "ImportError" in caught or "ModuleNotFoundError" in caught:
            return "a swallowed ImportError: a plain install gives every public name"
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        return "a bare except"
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("config.update"):
        return GLOBAL_FLAG
    if isinstance(node, Function) and node.args.kwarg and not node.args.vararg:
        return f"**{node.args.kwarg.arg}: arguments are named (a decorator's wrapper takes *args too)"
    return None


@every_file
def test_a_file_is_one_noun(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= FILE_LINES or label(file) in EXCEPTIONS


@every_file
def test_a_function_fits_on_a_screen(file: Path) -> None:
    long = [node.name for node in functions(file) if body_lines(node) > FUNCTION_LINES]
    assert [name for name in long if f"{label(file)}:{name}" not in EXCEPTIONS] == []


@every_file
def test_a_constructor_takes_few_arguments(file: Path) -> None:
    wide = [
        node.name
        for node in classes(file)
        if constructor_arguments(node) > CONSTRUCTOR_ARGUMENTS or record_fields(node) > RECORD_FIELDS
    ]
    assert [name for name in wide if f"{label(file)}:{name}" not in EXCEPTIONS] == []


@every_source_file
def test_an_abstract_class_asks_for_little(file: Path) -> None:
    for node in classes(file):
        methods = [item for item in node.body if isinstance(item, Function)]
        abstract = [item.name for item in methods if "abstractmethod" in decorator_names(item)]
        assert len(abstract) <= ABSTRACT_METHODS or f"{label(file)}:{node.name}" in EXCEPTIONS, abstract


@every_file
def test_no_private_name_of_another_package(file: Path) -> None:
    assert list(upstream_private_names(file)) == []


# This file restores the flags that it changes when its scope ends; tests/core/test_compile_cache.py checks this.
RESTORES_FLAGS = SOURCE / "_core" / "compile_cache.py"


@every_source_file
def test_nothing_that_library_code_must_not_do(file: Path) -> None:
    found = [(node, forbidden_in_source(node)) for node in ast.walk(tree(file))]
    allowed = GLOBAL_FLAG if file == RESTORES_FLAGS else None
    assert [f"line {node.lineno}: {what}" for node, what in found if what not in (None, allowed)] == []


@every_source_file
def test_nothing_prints_outside_the_command_line(file: Path) -> None:
    if file.is_relative_to(SOURCE / "cli") or file == SOURCE / "cli.py":
        return
    calls = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call)]
    assert [node.lineno for node in calls if ast.unparse(node.func) == "print"] == []


@pytest.mark.parametrize(
    ("measure", "code", "expected"),
    [
        (body_lines, 'def f():\n    """Two\n    lines."""\n    return 1\n', 2),
        (constructor_arguments, "class A:\n    def __init__(self, a, *, b): ...\n", 2),
        (record_fields, "@dataclass(frozen=True)\nclass A:\n    a: int\n    b: int = field(init=False)\n", 1),
        (forbidden_in_source, "class A:\n    x = 1\n", None),
    ],
)
def test_the_measures_measure(measure: Callable[[ast.AST], object], code: str, expected: object) -> None:
    assert measure(ast.parse(code).body[0]) == expected


def test_private_names_are_seen(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text(
        "import jax\nfrom jax._src import core\nfrom os import _exit\njax._src.core\njax.core.__doc__\n"
    )
    assert [found.partition(":")[0] for found in upstream_private_names(file)] == [
        "line 2",
        "line 3",
        "line 4",
    ]
