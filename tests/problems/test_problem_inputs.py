"""Tests of wrong input to `Problem`: error messages of the constructor and of methods that take parameters."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

import implicitbias as ib

X = np.arange(12.0).reshape(4, 3) / 10
Y = np.array([1.0, -1.0, 2.0, 0.5])
W = np.ones(3)


def linear(w: Any, X: Any) -> Any:
    return X @ w


class Own(ib.Loss):
    """A valid loss."""

    def value(self, prediction: Any, target: Any) -> Any:
        return jnp.sum((prediction - target) ** 4)


class PerOutput(ib.Loss):
    """A loss without the sum over outputs."""

    def value(self, prediction: Any, target: Any) -> Any:
        return (prediction - target) ** 2


class WrongSlope(Own):
    """A loss whose derivative has a wrong shape."""

    def derivative(self, prediction: Any, target: Any) -> Any:
        return jnp.sum(prediction)


class Fails(ib.Loss):
    """A loss that raises an error."""

    def value(self, prediction: Any, target: Any) -> Any:
        raise KeyError("tail")


NET = eqx.nn.MLP(3, "scalar", 4, 1, key=jax.random.key(0))

STATED = {
    # name: (model, X, y, loss, what the message must say)
    "no function": (3, X, Y, "squared", r"model is a int, a function model\(params, X\)"),
    "rows": (linear, X[:3], Y, "squared", r"X has 3 rows and y has 4, they must agree"),
    "no rows": (linear, X[:0], Y, "squared", r"X has shape \(0, 3\)"),
    "scalar X": (linear, 1.0, Y, "squared", r"X has shape \(\)"),
    "NaN in X": (linear, np.where(X > 1, np.nan, X), Y, "squared", r"X holds 1 NaN.*\[3, 2\]"),
    "sparse X": (linear, sparse.csr_array(X), Y, "squared", r"X is a scipy\.sparse.*toarray"),
    "masked X": (linear, np.ma.masked_greater(X, 1), Y, "squared", r"X is a masked array"),
    "masked tokens": (linear, np.ma.masked_equal([[0, 1]] * 4, 1), Y, "squared", r"X is a masked array"),
    "text X": (linear, [["a"]] * 4, Y, "squared", r"X holds values that are not numbers"),
    "ragged X": (linear, [[1.0], [1.0, 2.0]], Y, "squared", r"X is not an array of numbers"),
    "complex X": (linear, X + 1j, Y, "squared", r"X is complex"),
    "NaN in y": (linear, X, [1.0, np.nan, 1.0, 1.0], "squared", r"y holds 1 NaN"),
    "3-D y": (
        linear,
        X,
        np.ones((4, 1, 1)),
        "squared",
        r"y has shape \(4, 1, 1\), targets \(n,\) or \(n, k\)",
    ),
    "scalar y": (linear, X, 1.0, "squared", r"y has shape \(\)"),
    "scalar y, own": (linear, X, 1.0, Own(), r"y has shape \(\), targets \(n, \.\.\.\)"),
    "text y": (linear, X, ["a", "b", "a", "b"], "squared", r"y holds values that are not numbers"),
    "one class": (linear, X, [1, 1, 1, 1], "logistic", r"1 different label"),
    "three classes": (linear, X, [0, 1, 2, 0], "exponential", r"3 different.*cross_entropy"),
    "one class of many": (linear, X, [1, 1, 1, 1], "cross_entropy", r"one class only \(1\)"),
    "negative class": (linear, X, [0, -1, 1, 0], "cross_entropy", r"labels such as -1, .*return_inverse"),
    "half class": (linear, X, [0, 0.5, 1, 0], "cross_entropy", r"labels such as 0\.0, 0\.5"),
    "text classes": (linear, X, list("abca"), "cross_entropy", r"labels such as 'a'.*numpy\.unique"),
    "NaN class": (linear, X, [0, np.nan, 1, 0], "cross_entropy", r"1 NaN"),
    "huge class": (linear, X, [0, 2**40, 1, 0], "cross_entropy", r"whole numbers 0"),
    "one-hot": (linear, X, np.eye(4), "cross_entropy", r"argmax"),
    "unknown loss": (
        linear,
        X,
        Y,
        "hinge",
        r"'hinge', 'squared', .* or 'cross_entropy' or an ib\.Loss is expected$",
    ),
    "misspelt loss": (linear, X, Y, "Cross-Entropy", r"did you mean 'cross_entropy'\?"),
    "loss class": (linear, X, Y, Own, r"loss is the class Own, .*type Own\(\)"),
    "loss function": (linear, X, Y, lambda f, y: f, r"class MyLoss\(ib\.Loss\)"),
    "no loss": (linear, X, Y, None, r"loss is None"),
}


@pytest.mark.parametrize("case", list(STATED))
def test_a_bad_statement_is_refused_in_words_that_help(case: str) -> None:
    model, bad_X, bad_y, loss, words = STATED[case]
    with pytest.raises(ib.InputError, match=words) as caught:
        ib.Problem(model, bad_X, bad_y, loss=loss)
    assert isinstance(caught.value, ValueError)


CLASSES = [0, 1, 2, 0]
SEEN = {
    # name: (model, y, loss, params, what the message must say)
    "a column": (
        lambda w, X: (X @ w)[:, None],
        Y,
        "squared",
        W,
        r"shape \(4, 1\).*\(4,\), the shape of y.*\[:, 0\]",
    ),
    "a column of margins": (lambda w, X: (X @ w)[:, None], Y > 0, "logistic", W, r"\(4, 1\).*\[:, 0\]"),
    "y as a column": (linear, Y[:, None], "squared", W, r"type y = numpy\.ravel\(y\)"),
    "one row only": (
        lambda w, X: X[0] @ w,
        Y,
        "squared",
        W,
        r"shape \(\).*jax\.vmap\(model, in_axes=\(None, 0\)\)",
    ),
    "half the rows": (
        lambda w, X: X[:2] @ w,
        Y,
        "squared",
        W,
        r"predictions of shape \(2,\) for X of shape \(4, 3\)",
    ),
    "flat logits": (linear, CLASSES, "cross_entropy", W, r"\(4, k\) with one column for each class"),
    "one logit": (lambda w, X: (X @ w)[:, None], CLASSES, "cross_entropy", W, r"one output.*loss='logistic'"),
    "too few logits": (
        lambda w, X: X[:, :2] * w[:2],
        CLASSES,
        "cross_entropy",
        W,
        r"class 2.*classes 0 \.\.\. 1",
    ),
    "3-D, own loss": (lambda w, X: (X * w)[:, :, None], Y, Own(), W, r"\(4,\) or \(4, k\)"),
    "tuple": (lambda w, X: (X @ w, 0), Y, "squared", W, r"returns a tuple of 2, .*first member"),
    "trailing comma": (lambda w, X: (X @ w,), Y, "squared", W, r"a tuple of 1.*trailing comma"),
    "None": (lambda w, X: None, Y, "squared", W, r"returns None.*return"),
    "text": (lambda w, X: "yes", Y, "squared", W, r"returns a str"),
    "integers": (
        lambda w, X: jnp.argmax(X, axis=1),
        Y,
        "squared",
        W,
        r"an array of int64, an array of floats",
    ),
    "complex": (lambda w, X: X @ w + 1j, Y, "squared", W, r"an array of complex128"),
    "booleans": (lambda w, X: X @ w > 0, Y, "squared", W, r"an array of bool"),
    "shapes": (linear, Y, "squared", np.ones(5), r"model failed on parameters of shapes \(5,\).*TypeError"),
    "raises": (
        lambda w, X: {}["tail"],
        Y,
        "squared",
        W,
        r"KeyError: 'tail'; check that model takes \(params, X\)",
    ),
    "wrong arguments": (lambda w: w, Y, "squared", W, r"TypeError.*takes \(params, X\)"),
    "NumPy": (lambda w, X: np.dot(X, w), Y, "squared", W, r"jax\.numpy in place of numpy"),
    "if": (lambda w, X: X @ w if w[0] > 0 else -X @ w, Y, "squared", W, r"jax\.numpy\.where in place of if"),
    "module as model": (NET, Y, "squared", W, r"model=lambda net, X: jax\.vmap\(net\)\(X\)"),
    "loss per output": (
        linear,
        Y,
        PerOutput(),
        W,
        r"PerOutput\.value returns float64 of shape \(1,\).*numpy\.sum",
    ),
    "loss slope": (
        linear,
        Y,
        WrongSlope(),
        W,
        r"WrongSlope\.derivative returns float64 of shape \(\).*\(1,\)",
    ),
    "loss raises": (linear, Y, Fails(), W, r"Fails\.value failed .* target of shape \(\): KeyError"),
    "integer parameters": (
        linear,
        Y,
        "squared",
        np.ones(3, int),
        r"params is an array of int64.*dtype=float",
    ),
    "integer leaf": (
        linear,
        Y,
        "squared",
        {"w": np.ones(3), "n": np.ones(2, int)},
        r"params\['n'\] is an array of int",
    ),
    "complex leaf": (linear, Y, "squared", [W + 1j], r"params\[0\] is an array of complex128"),
    "number in a dict": (
        linear,
        Y,
        "squared",
        {"w": W, "b": 0.5},
        r"params\['b'\] is the Python number 0\.5.*asarray",
    ),
    "list of numbers": (linear, Y, "squared", [1.0, 2.0], r"params\[0\] is the Python number.*whole list"),
    "a number": (linear, Y, "squared", 1.0, r"params is the Python number 1\.0"),
    "nothing": (linear, Y, "squared", {}, r"params is a dict without a floating-point array"),
    "None as parameters": (linear, Y, "squared", None, r"params is a NoneType without"),
    "empty arrays": (linear, Y, "squared", [np.ones(0)], r"params is a list whose arrays are empty"),
    "NaN": (linear, Y, "squared", {"w": np.array([1.0, np.nan, 1.0])}, r"params\['w'\] holds 1 NaN .* \[1\]"),
    "text parameters": (linear, Y, "squared", np.array(["a"]), r"params is an array of <U1"),
    "masked parameters": (
        linear,
        Y,
        "squared",
        np.ma.masked_equal([1.0, 2.0, 3.0], 2.0),
        r"params is a masked array",
    ),
    "sparse parameters": (
        linear,
        Y,
        "squared",
        [W, sparse.csr_array(X)],
        r"params\[1\] is a scipy csr_array",
    ),
    "bytes array": (
        linear,
        Y,
        "squared",
        [W, bytearray(b"a")],
        r"params\[1\] is a bytearray, which cannot be hashed",
    ),
}


@pytest.mark.parametrize("method", ["loss", "checked_params"])
@pytest.mark.parametrize("case", list(SEEN))
def test_bad_models_and_parameters_are_refused_in_words_that_help(case: str, method: str) -> None:
    model, y, loss, params, words = SEEN[case]
    problem = ib.Problem(model, X, y, loss=loss)
    with pytest.raises(ib.InputError, match=words):
        getattr(problem, method)(params)


# Oracle: the rows where log is NaN or -inf, by hand.
@pytest.mark.parametrize("method", ["loss", "gradient", "predict"])
def test_predictions_that_are_not_finite_are_counted_and_located(method: str) -> None:
    problem = ib.Problem(lambda w, X: jnp.log(X[:, 0] * w[0]), [[1.0], [0.0], [-1.0], [2.0]], Y)
    with pytest.raises(
        ib.InputError, match=r"2 of 4 predictions are NaN or infinite, the first is -inf for row 1"
    ):
        getattr(problem, method)(np.ones(1))


def test_infinite_predictions_are_refused_though_their_loss_is_finite() -> None:
    problem = ib.Problem(lambda w, X: X @ w / 0.0, [[1.0], [-1.0]], [0, 1][::-1], loss="logistic")
    with pytest.raises(ib.InputError, match="2 of 2 predictions"):
        problem.loss(np.ones(1))


def root_at_zero(params: Any, X: Any) -> Any:
    return X @ params["w"] + jnp.sqrt(jnp.sum(params["v"] ** 2))


def test_derivatives_that_are_not_finite_name_their_leaf() -> None:
    problem = ib.Problem(root_at_zero, X, Y)
    params = {"v": np.zeros(2), "w": W}
    assert np.isfinite(problem.loss(params))
    words = r"gradient is NaN or infinite in 2 of 5 entries, the first in leaf \['v'\].*square root"
    with pytest.raises(ib.InputError, match=words):
        problem.gradient(params)
    with pytest.raises(ib.InputError, match=words):
        problem.refuse_non_finite(*problem.checked_params(params))


class ThreeHalves(ib.Loss):
    """The loss |f - y|^1.5, whose second derivative is infinite at 0."""

    def value(self, prediction: Any, target: Any) -> Any:
        return jnp.sum(jnp.abs(prediction - target) ** 1.5)


def test_a_flow_is_refused_where_its_curvature_is_infinite() -> None:
    problem = ib.Problem(linear, np.eye(3), [0.0, 1.0, 1.0], loss=ThreeHalves())
    shape, flat = problem.checked_params(np.zeros(3))
    with pytest.raises(
        ib.InputError, match=r"second derivative of the loss is not finite in 1 of 3 rows, .* row 0"
    ):
        problem.refuse_non_finite(shape, flat)
    problem.refuse_non_finite(shape, flat + 0.5)


@pytest.mark.parametrize(
    "problem",
    [
        ib.LeastSquares(X, Y),
        ib.Classification(X, Y > 0),
        ib.LeastSquares(X, Y).reparametrize(ib.Coordinatewise(jnp.sinh)),
        ib.Problem(linear, X, Y),
    ],
    ids=repr,
)
def test_what_is_finite_passes(problem: Any) -> None:
    problem.refuse_non_finite(*problem.checked_params(W))
