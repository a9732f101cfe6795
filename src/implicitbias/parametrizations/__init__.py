"""Parametrizations: maps theta -> w and the geometry that they make.

To add one, write `_name.py` with a subclass of `Parametrization` and list it here, in the public names and in
`tests/laws/registry.py`.
"""

from implicitbias.parametrizations._hadamard import HadamardProduct as HadamardProduct
from implicitbias.parametrizations._parametrization import Parametrization as Parametrization
