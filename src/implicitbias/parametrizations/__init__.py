"""Parametrizations: maps theta -> w and their geometry. The modules that import JAX are loaded on first use.

To add a parametrization, write `_name.py` with a subclass of `Parametrization`, or of `Diagonal` if w_i depends only on
the i-th entries of theta, or of `FactoredMatrix` for products of matrices. List it here, in the public names and in
`tests/laws/registry.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from implicitbias.parametrizations._growth import Growth as Growth
from implicitbias.parametrizations._split_rules import EntropySplit as EntropySplit
from implicitbias.parametrizations._split_rules import PowerSplit as PowerSplit
from implicitbias.parametrizations._split_rules import SplitObjective as SplitObjective
from implicitbias.parametrizations._split_rules import SplitRule as SplitRule
from implicitbias.parametrizations._split_rules import split_of_record as split_of_record
from implicitbias.parametrizations._split_rules import split_record as split_record

if TYPE_CHECKING:
    from implicitbias.parametrizations._commutes import Commutation as Commutation
    from implicitbias.parametrizations._commutes import commutes as commutes
    from implicitbias.parametrizations._coordinatewise import Coordinatewise as Coordinatewise
    from implicitbias.parametrizations._decayed_potential import decayed_potential as decayed_potential
    from implicitbias.parametrizations._deep_diagonal import DeepDiagonal as DeepDiagonal
    from implicitbias.parametrizations._design_regularizer import RegularizerDesign as RegularizerDesign
    from implicitbias.parametrizations._design_regularizer import design_regularizer as design_regularizer
    from implicitbias.parametrizations._diagonal import Diagonal as Diagonal
    from implicitbias.parametrizations._diagonal import TwoLayerDiagonal as TwoLayerDiagonal
    from implicitbias.parametrizations._exponential_flow import ExponentialFlow as ExponentialFlow
    from implicitbias.parametrizations._factored_matrix import FactoredMatrix as FactoredMatrix
    from implicitbias.parametrizations._featurewise import Featurewise as Featurewise
    from implicitbias.parametrizations._fields import Outputs as Outputs
    from implicitbias.parametrizations._fields import bracket as bracket
    from implicitbias.parametrizations._fields import bracket_and_size as bracket_and_size
    from implicitbias.parametrizations._fields import outputs_of as outputs_of
    from implicitbias.parametrizations._from_function import (
        FunctionParametrization as FunctionParametrization,
    )
    from implicitbias.parametrizations._from_function import as_parametrization as as_parametrization
    from implicitbias.parametrizations._hadamard import HadamardProduct as HadamardProduct
    from implicitbias.parametrizations._induced_potential import induced_potential as induced_potential
    from implicitbias.parametrizations._matrix_difference import MatrixDifference as MatrixDifference
    from implicitbias.parametrizations._matrix_product import MatrixProduct as MatrixProduct
    from implicitbias.parametrizations._parametrization import Parametrization as Parametrization
    from implicitbias.parametrizations._parametrization_for import parametrization_for as parametrization_for
    from implicitbias.parametrizations._square_difference import SquareDifference as SquareDifference

_LATE = {
    "_commutes": ("Commutation", "commutes"),
    "_coordinatewise": ("Coordinatewise",),
    "_decayed_potential": ("decayed_potential",),
    "_deep_diagonal": ("DeepDiagonal",),
    "_design_regularizer": ("RegularizerDesign", "design_regularizer"),
    "_diagonal": ("Diagonal", "TwoLayerDiagonal"),
    "_exponential_flow": ("ExponentialFlow",),
    "_factored_matrix": ("FactoredMatrix",),
    "_featurewise": ("Featurewise",),
    "_fields": ("Outputs", "bracket", "bracket_and_size", "outputs_of"),
    "_from_function": ("FunctionParametrization", "as_parametrization"),
    "_hadamard": ("HadamardProduct",),
    "_induced_potential": ("induced_potential",),
    "_matrix_difference": ("MatrixDifference",),
    "_matrix_product": ("MatrixProduct",),
    "_parametrization": ("Parametrization",),
    "_parametrization_for": ("parametrization_for",),
    "_square_difference": ("SquareDifference",),
}
_HOME = {name: module for module, names in _LATE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
