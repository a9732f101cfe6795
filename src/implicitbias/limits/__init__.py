"""Limits: end points and paths of saddles of flows, predicted without training and certified.

To add a predicted limit, write a module with one function whose result has a `Certificate`. To add a property that
points can be certified for, derive a class from `Criterion`. No module of this folder may import `flows`.

The modules that import JAX are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from implicitbias.limits._conic_programs import least_gauge as least_gauge
from implicitbias.limits._criterion import Criterion as Criterion
from implicitbias.limits._criterion import certify as certify
from implicitbias.limits._limit import Limit as Limit
from implicitbias.limits._linear_programs import least_l1_dual as least_l1_dual
from implicitbias.limits._max_margin import MaxMargin as MaxMargin
from implicitbias.limits._max_margin import max_margin as max_margin
from implicitbias.limits._min_bregman import MinBregman as MinBregman
from implicitbias.limits._min_l1 import MinL1 as MinL1
from implicitbias.limits._min_norm import MinNorm as MinNorm
from implicitbias.limits._min_parameter_norm import MinParameterNorm as MinParameterNorm
from implicitbias.limits._min_tangent_norm import MinTangentNorm as MinTangentNorm
from implicitbias.limits._predict_path import Jump as Jump
from implicitbias.limits._predict_path import saddle_path as saddle_path
from implicitbias.limits._saddle import Saddle as Saddle
from implicitbias.limits._saddle_path import SaddlePath as SaddlePath
from implicitbias.limits._soft_margin import soft_margin as soft_margin

if TYPE_CHECKING:
    from implicitbias.limits._interpolant import interpolant as interpolant
    from implicitbias.limits._kernel_regime import kernel_regime as kernel_regime
    from implicitbias.limits._norm_minimizer import norm_minimizer as norm_minimizer

_LATE = {
    "interpolant": "_interpolant",
    "kernel_regime": "_kernel_regime",
    "norm_minimizer": "_norm_minimizer",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
