"""Predictors: the predictions of a problem as a function of its parameters, their Jacobian and their tangent kernel.

`of(problem)` returns the predictor of any problem. To add a kind of predictor, add a method to `ReadoutListener` in
`_core/readouts.py` and a class to `_traced.py` that this method returns.

Reference:
    jacot2018ntk, for the tangent kernel.

Examples:
    >>> import implicitbias as ib
    >>> problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [1.0, 1.0])
    >>> ib.predictors.of(problem).tangent_kernel([0.0, 0.0]).tolist()  # X X^T
    [[5.0, 2.0], [2.0, 1.0]]
"""

from implicitbias.predictors._conserved import ConservedQuantities as ConservedQuantities
from implicitbias.predictors._conserved import conserved_quantities as conserved_quantities
from implicitbias.predictors._gated import GatedPredictor as GatedPredictor
from implicitbias.predictors._gated import gated as gated
from implicitbias.predictors._gated import pre_activations as pre_activations
from implicitbias.predictors._intrinsic import IntrinsicMetric as IntrinsicMetric
from implicitbias.predictors._intrinsic import intrinsic_metric as intrinsic_metric
from implicitbias.predictors._jacobian import Jacobian as Jacobian
from implicitbias.predictors._jacobian import LayerFactors as LayerFactors
from implicitbias.predictors._predictor import Predictor as Predictor
from implicitbias.predictors._predictor import of as of
from implicitbias.predictors._rounded import rounded as rounded
from implicitbias.predictors._traced import TracedPredictor as TracedPredictor
from implicitbias.predictors._traced import traced as traced
from implicitbias.predictors._traced_jacobian import TracedJacobian as TracedJacobian
from implicitbias.predictors._traced_jacobian import from_products as from_products
