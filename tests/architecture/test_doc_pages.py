"""Test that the `python` blocks of the README and of docs/ run, and that the README has two set-up commands.

The blocks of a page run one after the other in a process of their own, as a reader would type them. A fragment that
cannot run on its own is a `text` block.
"""

import os
import re
import runpy
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from tests.architecture._source import DOCS, ROOT, label
from tests.forks import PROCESSES

PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)]
BLOCK = re.compile(r"^```python[ \t]*\n(.*?)^```[ \t]*$", flags=re.MULTILINE | re.DOTALL)

setup_commands = runpy.run_path(str(ROOT / ".ci" / "readme_commands.py"))["setup_commands"]


def run_as_main(code: str, folder: Path, errors: Path) -> None:
    """Run code as `python -W error -c CODE` does in a folder, with standard error to a file."""
    os.chdir(folder)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.resetwarnings()
    warnings.simplefilter("error")
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), vars(main))


def python_blocks(page: Path) -> str:
    return "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=label)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    if "import torch" in python_blocks(page):
        pytest.importorskip("torch", reason='PyTorch is not installed; type pip install -e ".[torch]"')
    errors, folder = tmp_path / "errors", tmp_path / "folder"
    folder.mkdir()
    process = PROCESSES.Process(target=run_as_main, args=(python_blocks(page), folder, errors))
    process.start()
    process.join()
    assert process.exitcode == 0, errors.read_text(encoding="utf-8")


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
