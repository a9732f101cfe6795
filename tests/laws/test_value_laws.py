"""Laws of every value that a user constructs: frozen, read-only, fingerprinted."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

import implicitbias as ib
from implicitbias._core.fingerprints import fingerprint
from tests.laws.registry import GAUGES, PARAMETRIZATIONS, POTENTIALS, SPECTRAL_POTENTIALS

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((4, 3)), RNG.standard_normal(4)
LABELS = np.array([1.0, -1.0, 1.0, -1.0])


def model(params: Any, inputs: Any) -> Any:
    return jnp.tanh(inputs @ params)


# Each makes the same value from arrays of its own, and another value where `change` is not 0.
MAKERS: dict[str, Callable[[float], Any]] = {
    "LeastSquares": lambda change: ib.LeastSquares(X.copy(), Y + change),
    "LeastSquares, sparse": lambda change: ib.LeastSquares(sparse.csr_array(X * (change < X)), Y.copy()),
    "LeastSquares, names": lambda change: ib.LeastSquares(
        X.copy(), Y.copy(), feature_names=["a", "b", f"c{change}"]
    ),
    "LeastSquares.entries": lambda change: ib.LeastSquares.entries(
        [0, 1], [1, 0], [1.0, 2.0 + change], (2, 2)
    ),
    "Classification": lambda change: ib.Classification(X + change, LABELS.copy()),
    "Classification, loss": lambda change: ib.Classification(
        X.copy(), LABELS.copy(), loss="exponential" if change else "logistic"
    ),
    "Problem": lambda change: ib.Problem(model, X.copy(), Y + change),
    "Problem, loss": lambda change: ib.Problem(
        model, X.copy(), LABELS.copy(), loss="logistic" if change else "squared"
    ),
    "reparametrized": lambda change: ib.LeastSquares(X.copy(), Y + change).reparametrize(
        ib.HadamardProduct()
    ),
    "GradientFlow": lambda change: ib.GradientFlow(
        ib.LeastSquares(X.copy(), Y.copy()), weight_decay=0.1 + change
    ),
    "GradientDescent": lambda change: ib.GradientDescent(
        ib.LeastSquares(X.copy(), Y.copy()), learning_rate=0.1 + change
    ),
    "MirrorFlow": lambda change: ib.MirrorFlow(
        ib.LeastSquares(X.copy(), Y.copy()), ib.HyperbolicEntropy(np.full(3, 0.5 + change))
    ),
    "design_regularizer": lambda change: ib.design_regularizer("l1", 3, 0.5 + change),
    "Schatten": lambda change: ib.gauges.Schatten(3 + change),
    "MinL1": lambda change: ib.MinL1(start=np.array([0.0, 1.0, change])),
    "MinL1, growth times": lambda change: ib.MinL1(growth_times=(np.array([1.0, 2.0, 3.0 + change]), 2.0)),
    "MinNorm": lambda change: ib.MinNorm(ib.gauges.WeightedL1(np.array([1.0, 2.0 + change]))),
    "MaxMargin": lambda change: ib.MaxMargin(ib.gauges.WeightedL1(np.array([1.0, 2.0 + change]))),
    "WeightedL1": lambda change: ib.gauges.WeightedL1(np.array([1.0, np.inf, 2.0 + change])),
    "TwoSidedL1": lambda change: ib.gauges.TwoSidedL1(np.ones(3), np.array([0.0, 1.0, 2.0 + change])),
    "Weighted": lambda change: ib.gauges.Weighted(ib.gauges.Lp(3 + change), np.ones(3)),
    "Ellipsoid": lambda change: ib.gauges.Ellipsoid(np.eye(3) * (1.0 + change)),
    "Polar": lambda change: ib.gauges.Polar(ib.gauges.WeightedL1(1.0 + change)),
    "Face": lambda change: ib.gauges.L1().face(np.array([1.0, 0.5 + change])),
    "Certificate": lambda change: ib.Certificate("it is so", 0.0, {"residual": change}, 1e-9),
}
every_value = pytest.mark.parametrize("make", list(MAKERS.values()), ids=list(MAKERS))
GEOMETRY = {**POTENTIALS, **{name: G for name, (G, _) in PARAMETRIZATIONS.items()}}
GEOMETRY |= {f"spectral: {name}": phi for name, phi in SPECTRAL_POTENTIALS.items()}
GEOMETRY |= {f"gauge: {name}": case.gauge for name, case in GAUGES.items()}


def fields(value: Any) -> list[str]:
    """The names of what a value holds."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(vars(value)["_settled"])


def arrays(value: Any) -> list[np.ndarray]:
    """The NumPy arrays that a value holds, at any depth."""
    if isinstance(value, np.ndarray):
        return [value]
    if sparse.issparse(value):
        return [value.data, value.indices, value.indptr]
    if isinstance(value, (tuple, list)):
        return [array for item in value for array in arrays(item)]
    if hasattr(value, "_settled") or dataclasses.is_dataclass(value):
        return [array for name in fields(value) for array in arrays(getattr(value, name))]
    return []


def assert_frozen(value: Any) -> None:
    for name in (*fields(value), "a_new_name"):
        with pytest.raises(AttributeError):  # dataclasses.FrozenInstanceError is one
            setattr(value, name, None)
    for array in arrays(value):
        assert not array.flags.writeable


@every_value
def test_a_value_is_frozen(make: Callable[[float], Any]) -> None:
    assert_frozen(make(0.0))


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_is_frozen(name: str) -> None:
    assert_frozen(GEOMETRY[name])


@every_value
def test_equal_values_have_equal_fingerprints(make: Callable[[float], Any]) -> None:
    value = make(0.0)
    assert value.fingerprint() == make(0.0).fingerprint() == fingerprint(value)
    assert make(0.25).fingerprint() != value.fingerprint()


@every_value
def test_a_pickled_copy_is_the_same_frozen_value(make: Callable[[float], Any]) -> None:
    value = make(0.0)
    twin = pickle.loads(pickle.dumps(value))
    assert twin.fingerprint() == value.fingerprint()
    assert_frozen(twin)


def test_use_changes_nothing() -> None:
    problem = ib.LeastSquares(X, Y)
    before = problem.fingerprint(), copy.copy(vars(problem))
    ib.saddle_path(problem)
    ib.certify(problem, np.zeros(3), ib.MinL1())
    ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), np.zeros(3), t1=1.0)
    assert problem.fingerprint() == before[0]
    assert all(vars(problem)[name] is item for name, item in before[1].items())


def test_the_callers_arrays_stay_the_callers() -> None:
    scales, start = np.ones(3), np.zeros(3)
    phi, criterion = ib.HyperbolicEntropy(scales), ib.MinL1(start=start)
    prints = phi.fingerprint(), criterion.fingerprint()
    scales[0], start[0] = 5.0, 5.0
    assert (phi.fingerprint(), criterion.fingerprint()) == prints


def test_the_message_says_what_to_type() -> None:
    flow = ib.GradientFlow(ib.LeastSquares(X, Y), weight_decay=0.1)
    with pytest.raises(
        dataclasses.FrozenInstanceError, match=r"type ib\.GradientFlow\(\.\.\., weight_decay=\.\.\.\)"
    ):
        flow.weight_decay = -3
    with pytest.raises(dataclasses.FrozenInstanceError, match="LeastSquares is a frozen value"):
        flow.problem.y = Y
