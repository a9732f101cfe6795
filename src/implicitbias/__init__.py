"""implicitbias: where does training end up, and how does it get there?

`import implicitbias as ib`. Public names are resolved on first use, so that importing costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from implicitbias import studies as studies
    from implicitbias._core.certificate import Certificate as Certificate
    from implicitbias._core.errors import ImplicitBiasError as ImplicitBiasError
    from implicitbias._core.errors import InfeasibleError as InfeasibleError
    from implicitbias._core.errors import InputError as InputError
    from implicitbias._core.status import Status as Status
    from implicitbias.estimators import SaddlePathRegressor as SaddlePathRegressor
    from implicitbias.estimators import SaddlePathRegressorCV as SaddlePathRegressorCV
    from implicitbias.flows import GaussNewtonRosenbrock as GaussNewtonRosenbrock
    from implicitbias.flows import GradientDescent as GradientDescent
    from implicitbias.flows import GradientFlow as GradientFlow
    from implicitbias.flows import MirrorFlow as MirrorFlow
    from implicitbias.flows import simulate as simulate
    from implicitbias.limits import Jump as Jump
    from implicitbias.limits import MinL1 as MinL1
    from implicitbias.limits import SaddlePath as SaddlePath
    from implicitbias.limits import certify as certify
    from implicitbias.limits import saddle_path as saddle_path
    from implicitbias.parametrizations import Coordinatewise as Coordinatewise
    from implicitbias.parametrizations import DeepDiagonal as DeepDiagonal
    from implicitbias.parametrizations import Featurewise as Featurewise
    from implicitbias.parametrizations import Growth as Growth
    from implicitbias.parametrizations import HadamardProduct as HadamardProduct
    from implicitbias.parametrizations import MatrixDifference as MatrixDifference
    from implicitbias.parametrizations import MatrixProduct as MatrixProduct
    from implicitbias.parametrizations import Parametrization as Parametrization
    from implicitbias.parametrizations import SquareDifference as SquareDifference
    from implicitbias.plotting import plot as plot
    from implicitbias.potentials import HyperbolicEntropy as HyperbolicEntropy
    from implicitbias.potentials import Potential as Potential
    from implicitbias.potentials import SquaredNorm as SquaredNorm
    from implicitbias.problems import Classification as Classification
    from implicitbias.problems import LeastSquares as LeastSquares
    from implicitbias.problems import Loss as Loss
    from implicitbias.problems import Problem as Problem
    from implicitbias.trajectories import Trajectory as Trajectory

__version__ = "0.1.0"

_ROOMS = {
    "_core.certificate": ("Certificate",),
    "_core.errors": ("ImplicitBiasError", "InfeasibleError", "InputError"),
    "_core.status": ("Status",),
    "estimators": ("SaddlePathRegressor", "SaddlePathRegressorCV"),
    "flows": ("GaussNewtonRosenbrock", "GradientDescent", "GradientFlow", "MirrorFlow", "simulate"),
    "limits": ("Jump", "MinL1", "SaddlePath", "certify", "saddle_path"),
    "parametrizations": (
        "Coordinatewise",
        "DeepDiagonal",
        "Featurewise",
        "Growth",
        "HadamardProduct",
        "MatrixDifference",
        "MatrixProduct",
        "Parametrization",
        "SquareDifference",
    ),
    "plotting": ("plot",),
    "potentials": ("HyperbolicEntropy", "Potential", "SquaredNorm"),
    "problems": ("Classification", "LeastSquares", "Loss", "Problem"),
    "trajectories": ("Trajectory",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Certificate",
    "Classification",
    "Coordinatewise",
    "DeepDiagonal",
    "Featurewise",
    "GaussNewtonRosenbrock",
    "GradientDescent",
    "GradientFlow",
    "Growth",
    "HadamardProduct",
    "HyperbolicEntropy",
    "ImplicitBiasError",
    "InfeasibleError",
    "InputError",
    "Jump",
    "LeastSquares",
    "Loss",
    "MatrixDifference",
    "MatrixProduct",
    "MinL1",
    "MirrorFlow",
    "Parametrization",
    "Potential",
    "Problem",
    "SaddlePath",
    "SaddlePathRegressor",
    "SaddlePathRegressorCV",
    "SquareDifference",
    "SquaredNorm",
    "Status",
    "Trajectory",
    "certify",
    "plot",
    "saddle_path",
    "simulate",
    "studies",
]


def __getattr__(name: str) -> Any:
    if name == "studies":
        return import_module("implicitbias.studies")
    if name in _HOME:
        value = getattr(import_module(f"implicitbias.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(__all__)}"
    raise AttributeError(f"module 'implicitbias' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
