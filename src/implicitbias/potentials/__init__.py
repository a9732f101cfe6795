"""Potentials: Legendre functions phi that define the geometry of a mirror flow.

To add a potential, write `_name.py` with a subclass of `SeparablePotential` (four formulas for single coordinates) or
of `Potential` (three formulas). List it here, in the public names and in `tests/laws/registry.py`. The law tests then
check it: the inverse mirror map inverts the mirror map, the mirror map is the gradient of the value, and Bregman
divergences are not negative.
"""

from implicitbias.potentials._combinations import added as added
from implicitbias.potentials._combinations import composed as composed
from implicitbias.potentials._cosh import Cosh as Cosh
from implicitbias.potentials._from_function import FunctionPotential as FunctionPotential
from implicitbias.potentials._hyperbolic_entropy import HyperbolicEntropy as HyperbolicEntropy
from implicitbias.potentials._one_sided import OneSided as OneSided
from implicitbias.potentials._p_norm import PNorm as PNorm
from implicitbias.potentials._potential import Potential as Potential
from implicitbias.potentials._quadratic_form import QuadraticForm as QuadraticForm
from implicitbias.potentials._ray_lengths import ray_lengths as ray_lengths
from implicitbias.potentials._separable import SeparablePotential as SeparablePotential
from implicitbias.potentials._separable import SteepPotential as SteepPotential
from implicitbias.potentials._shapes import refuse_shape as refuse_shape
from implicitbias.potentials._smoothed_p_norm import SmoothedPNorm as SmoothedPNorm
from implicitbias.potentials._spectral import Spectral as Spectral
from implicitbias.potentials._squared_norm import SquaredNorm as SquaredNorm
from implicitbias.potentials._sublevel_gauge import LEVEL_SHARES as LEVEL_SHARES
from implicitbias.potentials._sublevel_gauge import LEVEL_TOPS as LEVEL_TOPS
from implicitbias.potentials._sublevel_gauge import SublevelGauge as SublevelGauge
from implicitbias.potentials._sublevel_gauge import extrapolated as extrapolated
from implicitbias.potentials._tilted import tilted as tilted
