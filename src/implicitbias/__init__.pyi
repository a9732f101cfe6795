"""The public names, listed once: `__init__.py` loads each on first use from the module that is named here."""

from . import gauges as gauges
from . import predictors as predictors
from . import studies as studies
from ._core.certificate import Certificate as Certificate
from ._core.errors import ImplicitBiasError as ImplicitBiasError
from ._core.errors import InfeasibleError as InfeasibleError
from ._core.errors import InputError as InputError
from ._core.status import Status as Status
from .estimators import SaddlePathRegressor as SaddlePathRegressor
from .estimators import SaddlePathRegressorCV as SaddlePathRegressorCV
from .flows import GaussNewtonRosenbrock as GaussNewtonRosenbrock
from .flows import GradientDescent as GradientDescent
from .flows import GradientFlow as GradientFlow
from .flows import MirrorFlow as MirrorFlow
from .flows import simulate as simulate
from .limits import Criterion as Criterion
from .limits import Jump as Jump
from .limits import Limit as Limit
from .limits import MinL1 as MinL1
from .limits import MinNorm as MinNorm
from .limits import Saddle as Saddle
from .limits import SaddlePath as SaddlePath
from .limits import certify as certify
from .limits import saddle_path as saddle_path
from .parametrizations import Coordinatewise as Coordinatewise
from .parametrizations import DeepDiagonal as DeepDiagonal
from .parametrizations import Featurewise as Featurewise
from .parametrizations import Growth as Growth
from .parametrizations import HadamardProduct as HadamardProduct
from .parametrizations import MatrixDifference as MatrixDifference
from .parametrizations import MatrixProduct as MatrixProduct
from .parametrizations import Parametrization as Parametrization
from .parametrizations import SquareDifference as SquareDifference
from .plotting import plot as plot
from .potentials import HyperbolicEntropy as HyperbolicEntropy
from .potentials import Potential as Potential
from .potentials import QuadraticForm as QuadraticForm
from .potentials import SeparablePotential as SeparablePotential
from .potentials import SquaredNorm as SquaredNorm
from .problems import Classification as Classification
from .problems import LeastSquares as LeastSquares
from .problems import Loss as Loss
from .problems import Problem as Problem
from .trajectories import Trajectory as Trajectory

__version__: str
