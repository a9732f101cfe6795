"""Print the two set-up commands of the README, one on each line; exit with an error if there are not exactly two."""

import re
import sys
from pathlib import Path

HEADING = "## Set up"
README = Path(__file__).resolve().parent.parent / "README.md"


def setup_commands(text: str) -> list[str]:
    """Return the two commands under the heading "## Set up": two fenced bash blocks, each with a single line."""
    section = re.search(
        rf"^{re.escape(HEADING)}[ \t]*\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL
    )
    if section is None:
        raise ValueError(f'README.md has no heading "{HEADING}"')
    blocks = re.findall(r"^```bash[ \t]*\n(.*?)^```[ \t]*$", section[1], flags=re.MULTILINE | re.DOTALL)
    if len(blocks) != 2:
        raise ValueError(
            f'README.md has {len(blocks)} bash blocks under "{HEADING}", exactly two are expected'
        )
    commands = [block.strip() for block in blocks]
    for command in commands:
        if not command or "\n" in command:
            raise ValueError(f"a set-up block of README.md must hold a single line, got {command!r}")
    return commands


if __name__ == "__main__":
    try:
        print("\n".join(setup_commands(README.read_text(encoding="utf-8"))))
    except (OSError, ValueError) as error:
        sys.exit(f".ci/readme_commands.py: {error}")
