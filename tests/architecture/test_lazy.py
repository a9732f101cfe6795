"""Test that a bare import and `implicitbias --help` load no heavy package, each in its own interpreter."""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

NOT_ON_IMPORT = (
    "clarabel",
    "diffrax",
    "equinox",
    "h5netcdf",
    "highspy",
    "jax",
    "jaxtyping",
    "lineax",
    "matplotlib",
    "numba",
    "optimistix",
    "pandas",
    "pyarrow",
    "rich",
    "scipy",
    "sklearn",
    "typer",
    "xarray",
)
# The command line may load the packages that draw its help, and none that computes.
NOT_ON_HELP = tuple(name for name in NOT_ON_IMPORT if name not in ("typer", "rich"))

IMPORT = "import implicitbias"
LISTING = "import implicitbias; dir(implicitbias)"
HELP = """
import sys
from implicitbias.cli import main
sys.argv = ["implicitbias", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules in `sys.modules` after `code`, in a fresh interpreter."""
    report = "\nimport sys; print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + report], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_every_public_name_loads_without_a_warning() -> None:
    loaded_by("import implicitbias as ib; [getattr(ib, name) for name in ib.__all__]")


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [(IMPORT, NOT_ON_IMPORT), (LISTING, NOT_ON_IMPORT), (HELP, NOT_ON_HELP)],
    ids=["import", "dir", "help"],
)
def test_nothing_heavy_is_loaded(code: str, forbidden: tuple[str, ...]) -> None:
    assert loaded_by(code) & set(forbidden) == set()


def test_the_watch_sees_what_is_loaded() -> None:
    assert "decimal" in loaded_by("import decimal")


def test_the_console_script_is_the_function_that_is_watched() -> None:
    (script,) = entry_points(group="console_scripts", name="implicitbias")
    assert script.value == "implicitbias.cli:main"
