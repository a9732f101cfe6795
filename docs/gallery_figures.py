"""The pictures of the examples in `examples/gallery`, as sphinx-gallery asks for them."""

from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_DRAWN: WeakSet[Figure] = WeakSet()


def figures_of_a_block(_block: object, variables: dict[str, Any], gallery: dict[str, Any]) -> str:
    """Save the figures that a block of an example has made, and return the text that shows them.

    The scraper of sphinx-gallery sees figures of pyplot only, and those of `ib.plot` are not registered there. This one
    sees a figure if a variable holds it or if it is the value of the last line.
    """
    found = [value for value in variables["example_globals"].values() if isinstance(value, Figure)]
    paths = []
    for figure in dict.fromkeys(found):
        if figure not in _DRAWN:
            paths.append(next(variables["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=110)
            _DRAWN.add(figure)
    text: str = figure_rst(paths, gallery["src_dir"])
    return text
