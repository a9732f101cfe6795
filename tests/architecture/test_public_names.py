"""Compare the public names with a snapshot, so that none appears or disappears unnoticed."""

import ast

import pytest

import implicitbias
from tests.architecture._source import SOURCE, tree

PUBLIC_NAMES = [
    "Certificate",
    "Classification",
    "Commutation",
    "ConservedQuantities",
    "Coordinatewise",
    "Cosh",
    "Criterion",
    "DeepDiagonal",
    "Featurewise",
    "Forecast",
    "GaussNewtonRosenbrock",
    "GradientDescent",
    "GradientFlow",
    "Growth",
    "HadamardProduct",
    "HyperbolicEntropy",
    "ImplicitBiasError",
    "InfeasibleError",
    "InputError",
    "IntrinsicMetric",
    "Jump",
    "LeastSquares",
    "Limit",
    "Loss",
    "MatrixDifference",
    "MatrixProduct",
    "MaxMargin",
    "MaxMarginClassifier",
    "MinBregman",
    "MinL1",
    "MinNorm",
    "MinParameterNorm",
    "MinTangentNorm",
    "MirrorFlow",
    "NormDrift",
    "PNorm",
    "Parametrization",
    "Potential",
    "Problem",
    "QuadraticForm",
    "RegularizerDesign",
    "Saddle",
    "SaddlePath",
    "SaddlePathRegressor",
    "SaddlePathRegressorCV",
    "SeparablePotential",
    "SmoothedPNorm",
    "Spectral",
    "SquareDifference",
    "SquaredNorm",
    "Status",
    "SteepestDescent",
    "Trajectory",
    "certify",
    "commutes",
    "conserved_quantities",
    "decayed_potential",
    "design_regularizer",
    "diagnostics",
    "forecast_grokking",
    "from_torch",
    "gauges",
    "grokking",
    "induced_potential",
    "interpolant",
    "interpolation_limit",
    "intrinsic_metric",
    "kernel_regime",
    "max_margin",
    "norm_minimizer",
    "parametrization_for",
    "plot",
    "predictors",
    "saddle_path",
    "simulate",
    "studies",
]


def listed_for_type_checkers() -> set[str]:
    """Return the names that a type checker sees: those of the stub, else of the TYPE_CHECKING block of the package."""
    stub = SOURCE / "__init__.pyi"
    if stub.is_file():
        body = tree(stub).body
    else:
        guards = [
            node
            for node in tree(SOURCE / "__init__.py").body
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        ]
        body = [statement for guard in guards for statement in guard.body]
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def test_snapshot() -> None:
    assert sorted(implicitbias.__all__) == PUBLIC_NAMES
    assert len(set(implicitbias.__all__)) == len(implicitbias.__all__)


def test_type_checkers_see_the_same_names() -> None:
    assert listed_for_type_checkers() >= set(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_name_resolves_and_is_listed(name: str) -> None:
    assert name in dir(implicitbias)
    assert getattr(implicitbias, name) is getattr(implicitbias, name)


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [("sadle_path", "saddle_path"), ("LeastSquare", "LeastSquares"), ("Hadamard", "HadamardProduct")],
)
def test_a_misspelt_name_is_answered_with_the_nearest(misspelt: str, nearest: str) -> None:
    with pytest.raises(AttributeError, match=rf"\b{nearest}\b") as caught:
        getattr(implicitbias, misspelt)
    assert misspelt in str(caught.value)


def test_a_name_that_resembles_nothing_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="qqqqqq"):
        implicitbias.qqqqqq  # noqa: B018
    assert not hasattr(implicitbias, "__wrapped__")
