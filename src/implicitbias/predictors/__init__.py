"""Predictors: a problem seen through its map, with its predictions, their Jacobian and their tangent kernel.

`of(problem)` gives the predictor of any problem. To add a kind, give `ReadoutListener` in `_core/readouts.py` one more
method, and `_traced.py` the class that answers it.
"""

from implicitbias.predictors._jacobian import Jacobian as Jacobian
from implicitbias.predictors._jacobian import LayerFactors as LayerFactors
from implicitbias.predictors._predictor import Predictor as Predictor
from implicitbias.predictors._predictor import of as of
from implicitbias.predictors._traced import TracedPredictor as TracedPredictor
from implicitbias.predictors._traced import traced as traced
from implicitbias.predictors._traced_jacobian import TracedJacobian as TracedJacobian
