"""Disks that are full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, pages: int) -> Iterator[None]:
    """A file system in memory of some pages of 4096 bytes at a folder."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4096 * pages}", "tmpfs", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Without the right to mount, tests with a limit on the size of files still cover a failure at each file.
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def enlarge(folder: Path, pages: int) -> None:
    """Give a small disk more pages."""
    subprocess.run(["mount", "-o", f"remount,size={4096 * pages}", str(folder)], check=True)
