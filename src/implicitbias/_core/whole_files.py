"""Files that are written whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

# The ending of files that are not complete. A process that is killed leaves one.
PART = ".part"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield the name of a new file beside `path`, which replaces it at the end; after an error nothing is left.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}{PART}")
    try:
        yield part
        part.replace(path)
    finally:
        # Where even this fails, as below a parent that is a file, the first error tells why.
        with suppress(OSError):
            part.unlink(missing_ok=True)
