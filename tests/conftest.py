"""Set-up of every test process: run-time type checks, seeded property tests, no display, no oversubscription."""

import gc
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# Before NumPy is imported: figures need no display, and two workers on two cores need one BLAS thread each.
os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import hypothesis
import pytest
from jaxtyping import install_import_hook

import tests.typechecker  # noqa: F401  the hook finds it as an attribute of `tests`

PACKAGE = "implicitbias"

# A full collection of garbage visits every live object, and a test process keeps millions to its end: its modules, its
# tests, and what JAX remembers of each program. Nearly nothing that is made before the first test is garbage.
gc.disable()


def leaf_modules(package: str) -> Iterator[str]:
    """Every module of `package` whose functions can be wrapped, found without importing anything.

    The hook also covers what lies under a name, so packages are not listed: naming one would cover its
    `_kernels` modules, whose functions numba compiles from source and nothing may wrap.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f'{package} is not installed: type pip install -c constraints.txt -e ".[test]"')
    for folder in map(Path, spec.submodule_search_locations):
        for file in sorted(folder.rglob("*.py")):
            if file.stem not in ("__init__", "__main__") and not file.stem.endswith("_kernels"):
                yield ".".join((package, *file.relative_to(folder).with_suffix("").parts))


# Most of the time of the tests is that of JAX compiling programs, those of the library and those of oracles. All test
# processes, the programs that they start, and later runs share one folder of compiled programs.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_PROGRAMS = _CACHE / "implicitbias-tests" / platform.node()
_DAYS, _DAY = 7, 86_400.0


def keep_programs(folder: Path) -> None:
    """Let JAX keep all compiled programs in a folder that only this user can write to; old ones are deleted."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # JAX reads these variables when it is imported.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    for file in folder.iterdir():
        if file.stat().st_mtime < time.time() - _DAYS * _DAY:
            file.unlink(missing_ok=True)


if (
    "JAX_COMPILATION_CACHE_DIR" not in os.environ
):  # Workers take over the variables of the process that starts them.
    keep_programs(_PROGRAMS)

_MODULES = list(leaf_modules(PACKAGE))
_TOO_EARLY = sorted(set(_MODULES) & set(sys.modules))
if _TOO_EARLY:
    raise RuntimeError(f"imported before the run-time type checks were switched on: {', '.join(_TOO_EARLY)}")
install_import_hook(_MODULES, "tests.typechecker.checked")


def pytest_collection_finish() -> None:
    """Let later collections of garbage leave out all that the first test finds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)  # JAX traces a program into a great many objects that live for a while
    gc.enable()


# derandomize: the same examples on every run and every machine; explore with --hypothesis-seed and another profile.
hypothesis.settings.register_profile("seeded", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("seeded")

# The kernel of Linux allows a process 65 530 areas of memory by default. Each program that JAX has compiled takes some
# of them, and beyond the limit the process ends with a segmentation fault.
_MOST_AREAS = 30_000


@pytest.fixture(autouse=True, scope="module")
def _few_compiled_programs() -> Iterator[None]:
    """Drop the compiled programs of a test process after a module of tests if they take too many areas of memory."""
    yield
    areas = Path("/proc/self/maps")
    if "jax" in sys.modules and areas.exists() and len(areas.read_bytes().splitlines()) > _MOST_AREAS:
        sys.modules["jax"].clear_caches()


SHARED_FOLDER = "IMPLICITBIAS_TESTS_SHARED_FOLDER"


@pytest.fixture(autouse=True, scope="session")
def _shared_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Name a folder that all test processes of this run share, for what takes long to compute."""
    own = tmp_path_factory.getbasetemp()
    os.environ[SHARED_FOLDER] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
