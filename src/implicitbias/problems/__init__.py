"""Problems: a loss with its data, as a function of w or of the parameters of a model.

The modules that import JAX or SciPy's optimisers are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from implicitbias.problems._classification import Classification as Classification
from implicitbias.problems._in_w import ProblemInW as ProblemInW
from implicitbias.problems._in_w import ReparametrizedProblem as ReparametrizedProblem
from implicitbias.problems._least_squares import LeastSquares as LeastSquares
from implicitbias.problems._matrix_completion import MatrixCompletion as MatrixCompletion
from implicitbias.problems._problem import Problem as Problem
from implicitbias.problems._stored_maps import stored_map as stored_map
from implicitbias.problems._stored_maps import stored_map_arrays as stored_map_arrays
from implicitbias.problems._training import TrainingProblem as TrainingProblem

if TYPE_CHECKING:
    from implicitbias.problems._from_torch import from_torch as from_torch
    from implicitbias.problems._inseparable import refuse_inseparable_problem as refuse_inseparable_problem
    from implicitbias.problems._loss import Loss as Loss
    from implicitbias.problems._loss import MarginLoss as MarginLoss
    from implicitbias.problems._model_checks import ModelFlags as ModelFlags
    from implicitbias.problems._model_checks import model_flags as model_flags
    from implicitbias.problems._objective import MeanLoss as MeanLoss
    from implicitbias.problems._objective import Objective as Objective

_LATE = {
    "_from_torch": ("from_torch",),
    "_inseparable": ("refuse_inseparable_problem",),
    "_loss": ("Loss", "MarginLoss"),
    "_model_checks": ("ModelFlags", "model_flags"),
    "_objective": ("MeanLoss", "Objective"),
}
_HOME = {name: module for module, names in _LATE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
