"""Sphinx configuration. The build reads nothing from the network."""

import logging
import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))  # for the modules of this folder
from measured_rows import with_measurements

project = "implicitbias"
author = "The implicitbias developers"
project_copyright = "The implicitbias developers"
release = version = installed_version("implicitbias")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build"]
root_doc = "index"
html_theme = "furo"
html_title = "implicitbias"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

bibtex_bibfiles = ["../src/implicitbias/reports/references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes are in the text; the annotations repeat them for machines
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # a list of attributes, not a second description of those that are properties
napoleon_custom_sections = ["Reference", ("Shapes", "notes"), ("Units", "notes")]

# `examples/gallery` is run by every build. accessible-pygments, which furo imports, makes all loggers talkative.
logging.getLogger("jax").setLevel(logging.WARNING)
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "image_scrapers": ("gallery_figures.figures_of_a_block",),
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "capture_repr": (),
}

REFERENCES = Path(__file__).parents[1] / "src" / "implicitbias" / "reports" / "references.bib"
BIBLIOGRAPHY = REFERENCES.read_text(encoding="utf-8")
KEYS = sorted(re.findall(r"^@\w+\{([^,\s]+),", BIBLIOGRAPHY, flags=re.MULTILINE), key=len, reverse=True)
KEY = re.compile(rf"(?<![`\w])({'|'.join(map(re.escape, KEYS))})(?![`\w])")
FORMULA = re.compile(r"(?<![\\$`])\$([^$\n]+(?:\n[^$\n]+)?)\$(?!\$)")


def to_roles(text: str) -> str:
    """Return the text with formulas and bibliography keys as roles; escape bars, as |s_i| is an absolute value."""
    pieces = FORMULA.split(text)  # text, formula, text, formula, ...
    pieces[::2] = [KEY.sub(r":cite:t:`\1`", piece.replace("|", r"\|")) for piece in pieces[::2]]
    pieces[1::2] = [f":math:`{' '.join(formula.split())}`" for formula in pieces[1::2]]
    return "".join(pieces)


def to_restructured_text(
    _app: Sphinx, _what: str, _name: str, _obj: object, _opts: object, lines: list[str]
) -> None:
    """Convert the formulas and keys of a docstring; paragraphs with doctests stay as they are."""
    paragraphs = re.split(r"(\n\s*\n)", "\n".join(lines))
    lines[:] = "".join(text if ">>> " in text else to_roles(text) for text in paragraphs).split("\n")


def to_page_with_measurements(_app: Sphinx, name: str, source: list[str]) -> None:
    """Put the stored results of benchmarks into their page."""
    if name == "measured":
        source[0] = with_measurements(source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", to_page_with_measurements)
    # Before napoleon (priority 500), which moves the sections around.
    app.connect("autodoc-process-docstring", to_restructured_text, priority=400)
