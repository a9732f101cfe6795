"""Potentials that are computed from flows, also where a closed form would be recognised."""

from typing import Any

from implicitbias.parametrizations._from_function import as_parametrization
from implicitbias.parametrizations._induced_potential import InducedPotential


def computed_potential(G: Any, theta0: Any) -> InducedPotential:
    """Return the potential of a commuting map, computed from its flows."""
    G = as_parametrization(G)
    theta0 = G.checked(theta0)
    return InducedPotential(G, theta0, G(theta0))
