"""Gauges: convex, positively homogeneous functions with their polars, faces and conic forms.

A gauge has `value(w)`, `polar()`, `subgradient(w)`, `face(z)` and `conic_form(shape)`. Weights may be 0 (the entry
costs nothing) or infinite (the entry stays 0). To add one, write `_name.py` with a class derived from `Gauge`, list it
here and in `tests/laws/registry.py`: the laws and the comparison with cvxpy test it from then on.

Reference:
    rockafellar1970convex, section 15.

Examples:
    >>> import implicitbias as ib
    >>> nuclear = ib.gauges.Nuclear()
    >>> nuclear.value([[3.0, 0.0], [0.0, 4.0]]), nuclear.polar()
    (7.0, Spectral())
    >>> ib.gauges.TwoSidedL1([1.0, 1.0], [2.0, 2.0]).value([1.0, -1.0])
    3.0
"""

from implicitbias.gauges._conic_form import Cone as Cone
from implicitbias.gauges._conic_form import ConeKind as ConeKind
from implicitbias.gauges._conic_form import ConicForm as ConicForm
from implicitbias.gauges._ellipsoid import Ellipsoid as Ellipsoid
from implicitbias.gauges._entrywise import EntrywiseGauge as EntrywiseGauge
from implicitbias.gauges._entrywise import conjugate as conjugate
from implicitbias.gauges._faces import EntrywiseFace as EntrywiseFace
from implicitbias.gauges._faces import KnownPoint as KnownPoint
from implicitbias.gauges._faces import NuclearFace as NuclearFace
from implicitbias.gauges._faces import SpectralFace as SpectralFace
from implicitbias.gauges._gauge import Face as Face
from implicitbias.gauges._gauge import Gauge as Gauge
from implicitbias.gauges._matrices import Nuclear as Nuclear
from implicitbias.gauges._matrices import Spectral as Spectral
from implicitbias.gauges._norms import L1 as L1
from implicitbias.gauges._norms import L2 as L2
from implicitbias.gauges._norms import LInf as LInf
from implicitbias.gauges._norms import Lp as Lp
from implicitbias.gauges._oracle import FromOracle as FromOracle
from implicitbias.gauges._polar import Polar as Polar
from implicitbias.gauges._schatten import Schatten as Schatten
from implicitbias.gauges._schatten import of_singular_values as of_singular_values
from implicitbias.gauges._weighted import TwoSidedL1 as TwoSidedL1
from implicitbias.gauges._weighted import Weighted as Weighted
from implicitbias.gauges._weighted import WeightedL1 as WeightedL1

__all__ = [
    "L1",
    "L2",
    "Cone",
    "ConeKind",
    "ConicForm",
    "Ellipsoid",
    "Face",
    "FromOracle",
    "Gauge",
    "LInf",
    "Lp",
    "Nuclear",
    "Polar",
    "Schatten",
    "Spectral",
    "TwoSidedL1",
    "Weighted",
    "WeightedL1",
]
