"""A persistent cache of the programs that JAX compiles for this library, so that later processes start faster.

The programs are kept in the user's cache folder. JAX's persistent cache is switched on while the library computes, and
the caller's setting is restored afterwards. Nothing is changed if the caller has chosen a cache folder
(JAX_COMPILATION_CACHE_DIR). Set IMPLICITBIAS_COMPILE_CACHE to a folder to use that folder, or to "off" to switch the
cache off. The cache is not used if other users may write the folder.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

VARIABLE = "IMPLICITBIAS_COMPILE_CACHE"
# If the folder is larger than this, the least recently used files are deleted.
LARGEST_BYTES = 256 * 2**20

# By default JAX does not keep small programs and programs that compile fast. These settings keep every program.
_SETTINGS: dict[str, Any] = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
_DIRECTORY = "jax_compilation_cache_dir"


class _Scopes:
    """The number of open scopes, and the settings that JAX had before the first one was opened."""

    def __init__(self) -> None:
        self.lock, self.count = Lock(), 0
        self.before: dict[str, Any] = {}

    def enter(self) -> None:
        import jax

        with self.lock:
            self.count += 1
            if self.count > 1 or getattr(jax.config, _DIRECTORY) is not None:
                return
            folder = _folder()
            if folder is not None:
                settings = {_DIRECTORY: str(folder), **_SETTINGS}
                self.before = {name: getattr(jax.config, name) for name in settings}
                _change(settings)

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if self.count == 0 and self.before:
                _change(self.before)
                self.before = {}


_SCOPES = _Scopes()


@contextmanager
def compile_cache() -> Iterator[None]:
    """Use the persistent cache inside this scope; scopes may be nested and may be entered from several threads."""
    _SCOPES.enter()
    try:
        yield
    finally:
        _SCOPES.leave()


def _change(settings: dict[str, Any]) -> None:
    """Change settings of JAX's cache and make JAX read them again."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX reads these settings only once, at its first compilation after a reset.
    compilation_cache.reset_cache()


@cache
def _folder() -> Path | None:
    """Return the cache folder for this kind of machine, or None if there is no private, writable one."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.strip().lower() in ("off", "0", "false", "no"):
        return None
    try:
        base = Path(chosen).expanduser() if chosen.strip() else _user_cache() / "implicitbias"
        folder = base.absolute() / f"jax-{_machine()}"
        # The files are loaded as machine code, so no other user may write them.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK) or not _is_private(folder):
            return None
        _prune(folder)
    # Without a cache the library still works, it only starts more slowly. A user without an entry in the password file
    # has no home folder, which pathlib reports as a RuntimeError.
    except (OSError, RuntimeError):
        return None
    return folder


def _is_private(folder: Path) -> bool:
    """Return whether the folder belongs to this user, and nobody else may write to it.

    Whoever can write to the folder can make this process run machine code.
    """
    if sys.platform == "win32":  # the folders of a user's profile are the user's own there
        return True
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _machine() -> str:
    """Return some digits that depend on the processor, because different machines may share one home folder."""
    about = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        about += sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    except OSError:  # This system is not Linux.
        pass
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]


def _prune(folder: Path) -> None:
    """Delete the least recently used files until the folder is at most `LARGEST_BYTES` large."""
    files = [(entry.stat(), entry.path) for entry in os.scandir(folder) if entry.is_file()]
    total = sum(status.st_size for status, _ in files)
    for status, path in sorted(files, key=lambda item: max(item[0].st_atime, item[0].st_mtime)):
        if total <= LARGEST_BYTES:
            return
        Path(path).unlink(missing_ok=True)
        total -= status.st_size
