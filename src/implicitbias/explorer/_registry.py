"""The list of explorations."""

from implicitbias._core.errors import InputError
from implicitbias.explorer._early_late import EARLY_LATE
from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._grokking_errors import GROKKING_DIAGONAL
from implicitbias.explorer._saddle_paths import DEEP_DIAGONAL, SADDLE_TO_SADDLE
from implicitbias.explorer._separable_plane import SEPARABLE

EXPLORATIONS = (SADDLE_TO_SADDLE, DEEP_DIAGONAL, SEPARABLE, GROKKING_DIAGONAL, EARLY_LATE)


def find(name: str) -> Exploration:
    """Return an exploration by the name of its study.

    Raises:
        InputError: there is no such exploration. The message lists all of them.
    """
    for exploration in EXPLORATIONS:
        if exploration.name == name:
            return exploration
    names = ", ".join(exploration.name for exploration in EXPLORATIONS)
    raise InputError(
        f"there is no exploration of {name!r}, one of {names} is expected; type implicitbias explore to begin with the "
        "first one"
    )
