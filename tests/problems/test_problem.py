"""Tests of `Problem` with different models and pytrees against NumPy."""

import pickle
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import implicitbias as ib

RNG = np.random.default_rng(2)
X = RNG.standard_normal((6, 3))
Y = RNG.standard_normal(6)
W, B, A = RNG.standard_normal((3, 4)), RNG.standard_normal(4), RNG.standard_normal((4, 2))


def two_layers(params: Any, X: Any) -> Any:
    W, b, A = params
    return jnp.tanh(X @ W + b) @ A


def one_output(params: Any, X: Any) -> Any:
    return two_layers(params, X)[:, 0]


def numpy_outputs() -> np.ndarray:
    return np.tanh(X @ W + B) @ A


# Oracle: NumPy's formulas; the mean over rows, the sum over outputs.
def test_squared_loss_of_one_and_of_two_outputs() -> None:
    targets = RNG.standard_normal((6, 2))
    f = numpy_outputs()
    wide = ib.Problem(two_layers, X, targets)
    assert wide.loss((W, B, A)) == pytest.approx(((f - targets) ** 2).sum() / 12, rel=1e-14)
    np.testing.assert_allclose(wide.predict((W, B, A)), f, rtol=1e-13)
    narrow = ib.Problem(one_output, X, Y)
    assert narrow.loss((W, B, A)) == pytest.approx(((f[:, 0] - Y) ** 2).sum() / 12, rel=1e-14)
    assert narrow.predict((W, B, A)).shape == (6,)


# Oracle: NumPy's formulas.
def test_losses_of_labels() -> None:
    f, params = numpy_outputs(), (W, B, A)
    signs = np.where(Y > 0, 1.0, -1.0)
    words = np.where(Y > 0, "yes", "no")
    logistic = ib.Problem(one_output, X, words, loss="logistic")
    assert logistic.classes == ("no", "yes")
    assert logistic.loss(params) == pytest.approx(np.log1p(np.exp(-signs * f[:, 0])).mean(), rel=1e-14)
    exponential = ib.Problem(one_output, X, words, loss="exponential")
    assert exponential.loss(params) == pytest.approx(np.exp(-signs * f[:, 0]).mean(), rel=1e-14)
    classes = (Y > 0).astype(int)
    entropy = ib.Problem(two_layers, X, classes.astype(float), loss="cross_entropy")
    logs = np.log(np.exp(f).sum(axis=1)) - f[np.arange(6), classes]
    assert entropy.loss(params) == pytest.approx(logs.mean(), rel=1e-13)
    assert entropy.y.dtype == np.int64


# Oracle: central differences of the loss.
@pytest.mark.parametrize("loss", ["squared", "logistic", "exponential", "cross_entropy"])
def test_gradients_are_slopes(loss: str) -> None:
    many = loss == "cross_entropy"
    y = Y if loss == "squared" else (Y > 0).astype(int)
    problem = ib.Problem(two_layers if many else one_output, X, y, loss=loss)
    gradient, step = problem.gradient((W, B, A)), 1e-5
    for i, leaf in enumerate((W, B, A)):
        for at in np.ndindex(leaf.shape):
            sides = []
            for sign in (1, -1):
                moved = [part.copy() for part in (W, B, A)]
                moved[i][at] += sign * step
                sides.append(problem.loss(tuple(moved)))
            assert gradient[i][at] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-9)


# Oracle: the linear problem with the same data.
def test_a_linear_model_is_least_squares_or_classification() -> None:
    w = RNG.standard_normal(3)
    model = ib.Problem(lambda w, X: X @ w, X, Y)
    np.testing.assert_allclose(model.gradient(w), ib.LeastSquares(X, Y).gradient(w), rtol=1e-12)
    logistic = ib.Problem(lambda w, X: X @ w, X, Y > 0, loss="logistic")
    np.testing.assert_allclose(logistic.gradient(w), ib.Classification(X, Y > 0).gradient(w), rtol=1e-12)


def nested(params: Any, X: Any) -> Any:
    layer = params["params"]
    return jnp.tanh(X @ layer["dense_0"]["kernel"] + layer["dense_0"]["bias"]) @ layer["dense_1"]["kernel"]


# Oracle: the same numbers in a tuple. Variables of a flax module are such a dict of dicts.
@pytest.mark.parametrize("shape", ["dict of dicts", "list", "tuple of lists", "jax arrays", "None beside"])
def test_any_pytree(shape: str) -> None:
    flax_like = {"params": {"dense_0": {"kernel": W, "bias": B}, "dense_1": {"kernel": A}}}
    forms: dict[str, tuple[Any, Any]] = {
        "dict of dicts": (flax_like, nested),
        "list": ([W, B, A], two_layers),
        "tuple of lists": (([W, B], [A]), lambda p, X: two_layers((*p[0], *p[1]), X)),
        "jax arrays": (tuple(jnp.asarray(part, dtype=jnp.float32) for part in (W, B, A)), two_layers),
        "None beside": ({"net": (W, B, A), "state": None}, lambda p, X: two_layers(p["net"], X)),
    }
    params, model = forms[shape]
    targets = np.zeros((6, 2))
    gradient = ib.Problem(model, X, targets).gradient(params)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)
    expected = ib.Problem(two_layers, X, targets).gradient((W, B, A))
    tolerance = 1e-5 if shape == "jax arrays" else 1e-12
    order = {"dict of dicts": (1, 0, 2)}.get(shape, (0, 1, 2))  # dicts are sorted by key
    for leaf, i in zip(jax.tree.leaves(gradient), order, strict=True):
        assert type(leaf) is np.ndarray
        assert leaf.dtype == np.float64
        assert not leaf.flags.writeable
        np.testing.assert_allclose(leaf, expected[i], rtol=tolerance, atol=tolerance)


# Oracle: equinox's own gradient.
def test_an_equinox_module_with_its_functions() -> None:
    net = eqx.nn.MLP(3, "scalar", 5, 2, activation=jnp.tanh, key=jax.random.key(0))
    model = lambda net, X: jax.vmap(net)(X)  # noqa: E731
    gradient = ib.Problem(model, X, Y).gradient(net)
    right = eqx.filter_grad(lambda net: jnp.mean((jax.vmap(net)(jnp.asarray(X)) - Y) ** 2) / 2)(net)
    assert isinstance(gradient, eqx.nn.MLP)
    assert gradient.activation is net.activation or callable(gradient.activation)
    for got, expected in zip(gradient.layers, right.layers, strict=True):
        assert got.weight.dtype == np.float64
        np.testing.assert_allclose(got.weight, expected.weight, atol=1e-6)
        np.testing.assert_allclose(got.bias, expected.bias, atol=1e-6)


class Masked(eqx.Module):
    """A module with a weight, a mask that is not trained, and a number that is a constant."""

    weight: Any
    mask: Any
    slope: float

    def __call__(self, X: Any) -> Any:
        return X @ (self.slope * self.weight * self.mask)


# Oracle: the chain rule.
def test_boolean_masks_and_numbers_of_modules_stay() -> None:
    mask, w = np.array([True, False, True]), RNG.standard_normal(3)
    gradient = ib.Problem(lambda net, X: net(X), X, Y).gradient(Masked(w, mask, 2.0))
    expected = 2.0 * mask * ib.LeastSquares(X, Y).gradient(2.0 * w * mask)
    np.testing.assert_allclose(gradient.weight, expected, rtol=1e-12)
    assert gradient.mask.tolist() == mask.tolist()
    assert gradient.slope == 2.0


# Oracle: a table looked up by hand.
def test_integer_tokens_stay_integers() -> None:
    tokens = np.array([[0, 2], [1, 1], [2, 0]], dtype=np.int32)
    table = RNG.standard_normal((3, 4))
    problem = ib.Problem(lambda E, X: E[X].sum(axis=1), tokens, [0, 1, 2], loss="cross_entropy")
    np.testing.assert_allclose(problem.predict(table), table[tokens].sum(axis=1), rtol=1e-15)
    assert problem.X.dtype == np.int32


def test_what_inputs_are_taken() -> None:
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abc"))
    for inputs in (frame, X.astype(np.float32), jnp.asarray(X), X.astype(np.float32).tolist()):
        problem = ib.Problem(one_output, inputs, pd.Series(Y))
        assert problem.X.dtype == problem.y.dtype == np.float64
    images = RNG.standard_normal((6, 2, 3))
    assert ib.Problem(lambda w, X: (X * w).sum((1, 2)), images, Y).loss(np.ones((2, 3))) > 0


class Absolute(ib.Loss):
    """A smoothed distance."""

    def value(self, prediction: Any, target: Any) -> Any:
        return jnp.sqrt(1 + jnp.sum((prediction - target) ** 2))


# Oracle: NumPy.
def test_an_own_loss() -> None:
    problem = ib.Problem(two_layers, X, np.zeros((6, 2)), loss=Absolute())
    f = numpy_outputs()
    assert problem.loss((W, B, A)) == pytest.approx(np.sqrt(1 + (f**2).sum(axis=1)).mean(), rel=1e-14)
    assert repr(problem) == "Problem(two_layers, n=6, loss=Absolute())"
    assert repr(ib.Problem(two_layers, X, np.zeros((6, 2)))) == "Problem(two_layers, n=6, loss='squared')"


def test_a_named_loss_given_as_a_value_checks_its_labels() -> None:
    from implicitbias.problems._loss import Logistic

    problem = ib.Problem(one_output, X, (Y > 0).astype(int), loss=Logistic())
    assert problem.loss_function == "logistic"
    assert set(problem.y.tolist()) == {-1.0, 1.0}


def test_arrays_are_copied_read_only_and_stay_so_when_pickled() -> None:
    mine = X.copy()
    problem = ib.Problem(one_output, mine, Y)
    mine[:] = 0
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.loss((W, B, A)) == problem.loss((W, B, A))
    for array in (problem.X, problem.y, copy.X, copy.y, problem.predict((W, B, A))):
        assert not array.flags.writeable


# Oracle: the results must be equal bit for bit, for any precision setting of the caller.
def test_the_same_bits_with_double_precision_on_and_off() -> None:
    def numbers() -> list[bytes]:
        problem = ib.Problem(one_output, X, Y > 0, loss="logistic")
        linear = ib.Classification(X, Y > 0)
        entries = ib.LeastSquares.entries([0, 1], [1, 0], [1.0, 2.0], (2, 2))
        values = [
            problem.loss((W, B, A)),
            *problem.gradient((W, B, A)),
            linear.gradient(X[0]),
            linear.loss(X[0]),
        ]
        return [np.asarray(value).tobytes() for value in [*values, entries.gradient(np.eye(2) / 3)]]

    with jax.enable_x64(False):
        off = numbers()
        assert jnp.ones(1).dtype == jnp.float32
    with jax.enable_x64(True):
        assert numbers() == off
        assert jnp.ones(1).dtype == jnp.float64


LIGHT = """
import sys, numpy as np, implicitbias as ib, implicitbias.problems
problem = ib.LeastSquares(np.eye(3), [1.0, 2.0, 3.0])
ib.saddle_path(problem)
problem.loss([1.0, 1.0, 1.0]), problem.gradient([1.0, 1.0, 1.0]), problem.predict([1.0, 1.0, 1.0])
ib.Classification(np.eye(2), [0, 1]).margins([1.0, 1.0])
ib.LeastSquares.entries([0], [0], [1.0], (2, 2))
ib.Problem(len, np.eye(2), [0, 1])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"jax", "equinox", "diffrax"}))
"""


def test_stating_a_problem_and_walking_its_path_load_no_jax() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
