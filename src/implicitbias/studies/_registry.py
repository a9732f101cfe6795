"""The list of studies. Reading it imports no study."""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from implicitbias._core.errors import InputError

if TYPE_CHECKING:
    from implicitbias.studies._study import Study


class Card(NamedTuple):
    """The name of a study, its paper, its main statement and its module."""

    name: str
    paper: str
    shows: str
    module: str


_CARDS = (
    Card(
        "saddle-to-saddle",
        "Pesme & Flammarion 2023, arXiv 2304.00488",
        "diagonal networks of vanishing initialisation jump from saddle to saddle along an exactly known path",
        "implicitbias.studies.saddle_to_saddle",
    ),
    Card(
        "deep-diagonal",
        "Zhao et al. 2026, arXiv 2607.12332",
        "deep and general diagonal networks follow the path that their growth times predict, to a modified l1 norm",
        "implicitbias.studies.deep_diagonal",
    ),
    Card(
        "separable",
        "Pesme, Dragomir & Flammarion 2024, arXiv 2406.12763",
        "on separable data, mirror flow converges to the classifier of largest margin in the horizon of its potential",
        "implicitbias.studies.separable",
    ),
    Card(
        "grokking-linear",
        "Boursier, Pesme & Dragomir 2025, arXiv 2505.20172",
        "linear regression with weight decay interpolates first, and generalises at a fixed lam t, in closed form",
        "implicitbias.studies.grokking_linear",
    ),
    Card(
        "grokking-diagonal",
        "Boursier, Pesme & Dragomir 2025, arXiv 2505.20172",
        "diagonal networks with weight decay interpolate first, and then follow the slow flow to the least l1 norm",
        "implicitbias.studies.grokking_diagonal",
    ),
    Card(
        "grokking-completion",
        "Boursier, Pesme & Dragomir 2025, arXiv 2505.20172",
        "factored matrices with weight decay first fit the observed entries, and then find the least nuclear norm",
        "implicitbias.studies.grokking_completion",
    ),
    Card(
        "grokking-relu",
        "Boursier, Pesme & Dragomir 2025, arXiv 2505.20172",
        "ReLU networks with weight decay first fit their data, and then find the function of least parameter norm",
        "implicitbias.studies.grokking_relu",
    ),
    Card(
        "grokking-modular",
        "Kumar et al. 2024, arXiv 2310.06110",
        "a quadratic network learns addition mod p late without weight decay, by the flow as by gradient descent",
        "implicitbias.studies.grokking_modular",
    ),
    Card(
        "grokking-digits",
        "Boursier, Pesme & Dragomir 2025, arXiv 2505.20172",
        "on images of digits, forecasts written down before training agree with the gradient descent that follows",
        "implicitbias.studies.grokking_digits",
    ),
    Card(
        "early-late-sparse",
        "Lyu et al. 2024, arXiv 2311.18817",
        "diagonal networks from a large start turn from the largest l2 to the largest l1 margin, at a predicted time",
        "implicitbias.studies.early_late_sparse",
    ),
    Card(
        "early-late-margin",
        "Lyu et al. 2024, arXiv 2311.18817",
        "on data of a large margin the same networks predict well early, and badly late: they misgrok",
        "implicitbias.studies.early_late_margin",
    ),
    Card(
        "early-late-regression",
        "Lyu et al. 2024, arXiv 2311.18817",
        "with squared loss they turn from the least l2 norm to the least l1 norm, and grok or misgrok with the target",
        "implicitbias.studies.early_late_regression",
    ),
    Card(
        "early-late-completion",
        "Lyu et al. 2024, arXiv 2311.18817",
        "from a large start a multiplication table is fitted early, and completed late by the least nuclear norm",
        "implicitbias.studies.early_late_completion",
    ),
    Card(
        "early-late-modular",
        "Lyu et al. 2024, arXiv 2311.18817",
        "from a large start a network learns the training sums mod p early like a kernel machine, and the others late",
        "implicitbias.studies.early_late_modular",
    ),
    Card(
        "commuting",
        "Li, Wang, Lee & Arora 2022, arXiv 2207.04036",
        "a map whose entries have commuting gradients trains as a mirror flow, whose potential says where it ends",
        "implicitbias.studies.commuting",
    ),
    Card(
        "conservation-laws",
        "Marcotte, Gribonval & Peyre 2023, arXiv 2307.00144",
        "brackets of gradients count what training conserves; gradient descent changes it in proportion to its rate",
        "implicitbias.studies.conservation_laws",
    ),
)


def list_cards() -> tuple[Card, ...]:
    """Return all studies, as cards with `name`, `paper` and `shows`."""
    return _CARDS


def find(name: str) -> Card:
    """Return the card of a study by its name.

    Raises:
        InputError: there is no such study. The message lists all studies.
    """
    for card in _CARDS:
        if card.name == name:
            return card
    names = ", ".join(card.name for card in _CARDS)
    raise InputError(
        f"there is no study {name!r}, one of {names} is expected; to list them, type implicitbias list"
    )


def load(name: str) -> "Study":
    """Return a study by its name.

    Raises:
        InputError: there is no such study.
    """
    study: Study = import_module(find(name).module).STUDY
    return study
