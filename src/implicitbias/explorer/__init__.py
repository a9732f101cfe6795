"""The explorer: a local page with sliders that shows predictions and simulations side by side."""

from implicitbias.explorer._registry import EXPLORATIONS as EXPLORATIONS
from implicitbias.explorer._registry import find as find
from implicitbias.explorer._server import explorer_server as explorer_server
