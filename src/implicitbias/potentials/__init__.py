"""Potentials: Legendre functions phi that make the geometry of a mirror flow.

To add one, write `_name.py` with a subclass of `SeparablePotential` (four formulas on single coordinates) or of
`Potential` (three formulas), list it here, in the public names and in `tests/laws/registry.py`: the laws (the inverse
mirror map undoes the mirror map, the mirror map is the gradient of the value, divergences are not negative) test it
from then on.
"""

from implicitbias.potentials._hyperbolic_entropy import HyperbolicEntropy as HyperbolicEntropy
from implicitbias.potentials._potential import Potential as Potential
from implicitbias.potentials._quadratic_form import QuadraticForm as QuadraticForm
from implicitbias.potentials._separable import SeparablePotential as SeparablePotential
from implicitbias.potentials._squared_norm import SquaredNorm as SquaredNorm
