"""BibTeX entries of papers, from the bibliography of the documentation, which travels with the package."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files


@cache
def _bibliography() -> dict[str, str]:
    """Return {key: entry}."""
    text = (files("implicitbias.reports") / "references.bib").read_text(encoding="utf-8")
    found = re.findall(r"^(@\w+\{([^,\s]+),.*?^\})", text, flags=re.MULTILINE | re.DOTALL)
    return {key: entry for entry, key in found}


def cited_keys(text: str) -> list[str]:
    """Return the keys of the BibTeX entries in a text, in order."""
    return re.findall(r"^@\w+\{([^,\s]+),", text, flags=re.MULTILINE)


def entries(references: Iterable[str]) -> list[str]:
    """Return the BibTeX entries whose keys the references name, each once, in the order of the references."""
    known = _bibliography()
    words = (word for reference in references for word in re.findall(r"[\w-]+", reference))
    return [known[key] for key in dict.fromkeys(words) if key in known]
