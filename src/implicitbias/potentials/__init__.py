"""Potentials: Legendre functions phi that make the geometry of a mirror flow.

To add one, write `_name.py` with a subclass of `Potential` (four formulas), list it here, in the public names and
in `tests/laws/registry.py`: the laws (mirror then inverse mirror is the identity, mirror is the gradient of the
value, divergences are non-negative) test it from then on.
"""

from implicitbias.potentials._hyperbolic_entropy import HyperbolicEntropy as HyperbolicEntropy
from implicitbias.potentials._potential import Potential as Potential
from implicitbias.potentials._squared_norm import SquaredNorm as SquaredNorm
