"""Test that the `python` blocks of the README and of docs/ run, and that the README has two set-up commands.

The blocks of a page run one after the other in one interpreter, as a reader would type them. A fragment that cannot
run on its own is a `text` block.
"""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture._source import DOCS, ROOT, label

PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
BLOCK = re.compile(r"^```python[ \t]*\n(.*?)^```[ \t]*$", flags=re.MULTILINE | re.DOTALL)

setup_commands = runpy.run_path(str(ROOT / ".ci" / "readme_commands.py"))["setup_commands"]


def python_blocks(page: Path) -> str:
    return "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=label)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    if "import torch" in python_blocks(page):
        pytest.importorskip("torch", reason='PyTorch is not installed; type pip install -e ".[torch]"')
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", python_blocks(page)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_its_two_commands() -> None:
    install_and_run, install_and_test = setup_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "implicitbias run saddle-to-saddle" in install_and_run
    assert install_and_test.endswith("pytest")


@pytest.mark.parametrize(
    "text",
    [
        "# Title\n",
        "## Set up\n\n```bash\none\n```\n\n## Next\n\n```bash\ntwo\n```\n",
        "## Set up\n```bash\none\n```\n```bash\ntwo\n```\n```bash\nthree\n```\n",
        "## Set up\n```bash\none\ntwo\n```\n```bash\nthree\n```\n",
    ],
    ids=["no heading", "one block", "three blocks", "two lines in a block"],
)
def test_another_readme_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"README\.md"):
        setup_commands(text)
