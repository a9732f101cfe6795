"""Tests of the compile cache: programs are kept for later processes, and the caller's JAX settings are restored."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from implicitbias._core import compile_cache

# Counts what JAX reads from its cache, with JAX's public monitoring.
PROGRAM = """
import collections, jax, jax.monitoring, numpy as np
events = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **_: events.update([name]))
before = {name: getattr(jax.config, name) for name in (
    "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes", "jax_enable_x64")}
jax.jit(lambda x: x + 1)(1.0)  # The caller compiles first, without a cache.
import implicitbias as ib
problem = ib.LeastSquares(np.eye(3), [3.0, 2.0, 1.0])
end = ib.simulate(ib.GradientFlow(problem), np.zeros(3), t1=1.0).final
kept = events["/jax/compilation_cache/cache_misses"] + events["/jax/compilation_cache/cache_hits"]
jax.jit(lambda x: x * 3 + 2)(1.0)  # The caller compiles again, also without a cache.
assert kept == events["/jax/compilation_cache/cache_misses"] + events["/jax/compilation_cache/cache_hits"]
assert before == {name: getattr(jax.config, name) for name in before}
print(events["/jax/compilation_cache/cache_misses"], [float(x).hex() for x in end])
"""


def answer(folder: str, **settings: str) -> tuple[int, str]:
    """Return the number of programs that were compiled for the cache, and the bits of the result."""
    # The test run itself keeps programs by JAX's own variables, which would switch off what is tested here.
    own = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment = {**own, compile_cache.VARIABLE: folder, **settings}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    misses, _, end = done.stdout.partition(" ")
    return int(misses), end


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    misses, end = answer(str(tmp_path / "cache"))
    assert misses > 0
    assert files(tmp_path)
    (programs,) = (tmp_path / "cache").iterdir()
    assert programs.stat().st_mode & 0o077 == 0 or sys.platform == "win32"
    assert answer(str(tmp_path / "cache")) == (0, end)


def test_one_variable_switches_it_off(tmp_path: Path) -> None:
    misses, end = answer("off", XDG_CACHE_HOME=str(tmp_path))
    assert misses == 0  # Without a cache, JAX counts no misses.
    assert files(tmp_path) == []
    # The cache is also not used if its folder cannot be created; here a file has the name of the folder.
    (tmp_path / "file").touch()
    assert answer(str(tmp_path / "file")) == (0, end)


def test_the_callers_own_cache_is_left_alone(tmp_path: Path) -> None:
    answer(str(tmp_path / "ours"), JAX_COMPILATION_CACHE_DIR=str(tmp_path / "theirs"))
    assert not (tmp_path / "ours").exists() or files(tmp_path / "ours") == []


# Oracle: by hand. The oldest of three files must be deleted.
def test_a_folder_that_grew_too_large_loses_its_oldest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    monkeypatch.setattr(compile_cache, "LARGEST_BYTES", 250)
    compile_cache._prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    assert compile_cache._is_private(tmp_path)
    tmp_path.chmod(mode)
    assert not compile_cache._is_private(tmp_path) or sys.platform == "win32"


@pytest.fixture
def fresh() -> Iterator[None]:
    """Let the cache choose its folder again, before and after the test."""
    compile_cache._folder.cache_clear()
    yield
    compile_cache._folder.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_a_user_without_a_home_folder_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in (compile_cache.VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert compile_cache._folder() is None


@pytest.mark.usefixtures("fresh")
def test_a_relative_folder_does_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(compile_cache.VARIABLE, "here")
    folder = compile_cache._folder()
    assert folder is not None
    assert folder.parent == tmp_path / "here"
