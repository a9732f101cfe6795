"""Tests of `Classification`: margins, losses, labels with any two values, and rejected input."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import implicitbias as ib

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3))
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
W = np.array([0.5, -1.0, 2.0])


# Oracle: NumPy's closed forms.
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_loss_gradient_and_predictions(loss: str) -> None:
    problem = ib.Classification(X, SIGNS, loss=loss)
    margins = SIGNS * (X @ W)
    losses = np.exp(-margins) if loss == "exponential" else np.log1p(np.exp(-margins))
    weights = np.exp(-margins) if loss == "exponential" else 1 / (1 + np.exp(margins))
    np.testing.assert_allclose(problem.loss(W), losses.mean(), rtol=1e-14)
    np.testing.assert_allclose(problem.gradient(W), -(SIGNS * weights) @ X / len(X), rtol=1e-13)
    np.testing.assert_allclose(problem.margins(W), margins, rtol=1e-14)
    np.testing.assert_allclose(problem.predict(W), X @ W, rtol=1e-14)
    assert problem.shape == (6, 3)
    assert problem.predictor_shape == (3,)
    assert problem.loss_name == loss
    assert repr(problem) == f"Classification(n=6, d=3, loss={loss!r})"


# Oracle: by hand. At w = 0 the mean loss is log 2 or 1 for all data.
def test_losses_are_means_over_rows() -> None:
    assert ib.Classification(X, SIGNS).loss(np.zeros(3)) == pytest.approx(np.log(2), rel=1e-15)
    assert ib.Classification(X, SIGNS, loss="exponential").loss(np.zeros(3)) == 1.0


# Oracle: at large margins, a misclassified row has the loss |margin| and every other row has the loss 0.
def test_extreme_margins_neither_overflow_nor_vanish() -> None:
    problem = ib.Classification([[800.0], [800.0]], [1, -1])
    assert problem.loss([1.0]) == 400.0
    assert problem.gradient([1.0]).tolist() == [400.0]
    easy = ib.Classification([[700.0], [-700.0]], [1, -1])
    np.testing.assert_allclose(easy.loss([1.0]), np.exp(-700.0), rtol=1e-13)
    np.testing.assert_allclose(easy.gradient([1.0]), [-700 * np.exp(-700.0)], rtol=1e-13)


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1, 1), (0, 1), (3, 7), (False, True), ("no", "yes"), (-0.5, 2.25)],
    ids=str,
)
@pytest.mark.parametrize("container", ["list", "array", "series", "objects"])
def test_labels_of_any_two_values(low: object, high: object, container: str) -> None:
    y: object = [high if sign > 0 else low for sign in SIGNS]
    y = {"list": y, "array": np.array(y), "series": pd.Series(y), "objects": np.array(y, dtype=object)}[
        container
    ]
    problem = ib.Classification(X, y)
    assert problem.y.tolist() == SIGNS.tolist()
    assert problem.classes == (low, high)
    assert [type(label) for label in problem.classes] == [type(low), type(high)]


def test_data_frames_and_narrow_types() -> None:
    frame = pd.DataFrame(X.astype(np.float32), columns=["a", "b", "c"])
    problem = ib.Classification(frame, pd.Series(["u", "v", "u", "u", "v", "v"], dtype="category"))
    assert problem.feature_names == ("a", "b", "c")
    assert problem.X.dtype == np.float64
    assert problem.y.tolist() == (-SIGNS).tolist()


def test_arrays_are_copied_read_only_and_stay_so_when_pickled() -> None:
    mine = X.copy()
    problem = ib.Classification(mine, SIGNS)
    mine[:] = 0
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.loss(W) == problem.loss(W)
    for array in (
        problem.X,
        problem.y,
        problem.gradient(W),
        problem.margins(W),
        problem.predict(W),
        copy.X,
        copy.y,
    ):
        assert type(array) is np.ndarray
        assert not array.flags.writeable


BAD = {
    "one class": (X, np.ones(6), "logistic", r"y holds 1 different label\(s\) \(1\.0\), two are expected"),
    "three classes": (X, [0, 1, 2, 0, 1, 2], "logistic", r"3 different.*\(0, 1, 2\).*loss='cross_entropy'"),
    "many classes": (X, list("abcdef"), "logistic", r"6 different.*\.\.\."),
    "NaN label": (X, [1, -1, np.nan, 1, -1, 1], "logistic", r"y holds 1 NaN.*\[2\].*drop"),
    "infinite label": (X, [1, -1, np.inf, 1, -1, 1], "logistic", r"y holds 1 NaN or infinite"),
    "None": (X, [1, -1, None, 1, -1, 1], "logistic", r"objects of type NoneType, int.*without missing"),
    "missing text": (X, pd.Series(["a", None, "b", "a", "b", "a"]), "logistic", r"y holds"),
    "mixed": (X, np.array(["a", 1, "a", 1, "a", 1], dtype=object), "logistic", r"type int, str"),
    "objects": (X, [object()] * 6, "logistic", r"objects of type object"),
    "complex labels": (X, SIGNS * 1j, "logistic", r"complex128"),
    "column": (X, SIGNS[:, None], "logistic", r"\(6, 1\).*numpy\.ravel\(y\)"),
    "one-hot": (X, np.eye(2)[[0, 1, 0, 1, 0, 1]], "logistic", r"\(6, 2\).*argmax"),
    "no labels": (X, [], "logistic", r"y has shape \(0,\)"),
    "scalar": (X, 1, "logistic", r"y has shape \(\)"),
    "masked": (X, np.ma.masked_equal(SIGNS, 1), "logistic", r"y is a masked array"),
    "sparse labels": (X, sparse.csr_matrix(SIGNS), "logistic", r"scipy\.sparse.*toarray"),
    "ragged labels": (X, [[1], [1, 2]], "logistic", r"y is not an array of labels"),
    "rows": (X[:4], SIGNS, "logistic", r"X has 4 rows and y has 6"),
    "transposed": (X.T, SIGNS, "logistic", r"X = X\.T"),
    "one row": (X[:1], SIGNS[:1], "logistic", r"y holds 1 different"),
    "masked X": (np.ma.masked_greater(X, 1), SIGNS, "logistic", r"X is a masked"),
    "NaN in X": (np.where(X > 1, np.nan, X), SIGNS, "logistic", r"X holds \d+ NaN"),
    "extreme X": (X * 1e200, SIGNS, "logistic", r"X holds magnitudes"),
    "1-D X": (SIGNS, SIGNS, "logistic", r"reshape\(-1, 1\)"),
    "unknown loss": (
        X,
        SIGNS,
        "hinge",
        r"'hinge', 'logistic', 'exponential' or 'cross_entropy' is expected$",
    ),
    "misspelt loss": (X, SIGNS, "Logstic", r"did you mean 'logistic'\?"),
    "squared": (X, SIGNS, "squared", r"'logistic', 'exponential' or 'cross_entropy' is expected"),
    "no name": (X, SIGNS, 3, r"loss is 3, .*type ib\.Problem\(lambda w, X: X @ w"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_refused_in_words_that_help(case: str) -> None:
    bad_X, bad_y, loss, words = BAD[case]
    with pytest.raises(ib.InputError, match=words):
        ib.Classification(bad_X, bad_y, loss=loss)


@pytest.mark.parametrize("method", ["loss", "gradient", "predict", "margins"])
@pytest.mark.parametrize(
    ("w", "words"),
    [([1.0], "1 entries.*3 columns"), (W[:, None], "ravel"), ([1, 2, np.nan], "NaN"), ("abc", "numbers")],
)
def test_bad_points_are_refused(method: str, w: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        getattr(ib.Classification(X, SIGNS), method)(w)


@pytest.mark.parametrize("method", ["loss", "gradient"])
def test_a_loss_that_overflows_is_refused_and_located(method: str) -> None:
    problem = ib.Classification([[1.0], [-800.0], [-900.0]], [1, 1, -1], loss="exponential")
    with pytest.raises(
        ib.InputError, match=r"loss is inf in 1 of 3 rows, the first is row 1.*\[-800\.0\].*smaller"
    ):
        getattr(problem, method)([1.0])
    assert problem.predict([1.0]).tolist() == [1.0, -800.0, -900.0]


# Oracle: the formula of the cross-entropy in NumPy, and its chain rule.
def test_a_reparametrised_problem_of_classes() -> None:
    theta = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
    own, w = np.array([0, 1, 2, 2, 1, 0]), theta[0] * theta[1]
    problem = ib.Classification(X, own, loss="cross_entropy").reparametrize(ib.HadamardProduct())
    scores = X @ w
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    slope = X.T @ (p - np.eye(3)[own]) / len(X)
    np.testing.assert_allclose(problem.loss(theta), -np.mean(np.log(p[np.arange(6), own])), rtol=1e-13)
    np.testing.assert_allclose(problem.predict(theta), scores, rtol=1e-13)
    for got, other in zip(problem.gradient(theta), theta[::-1], strict=True):
        np.testing.assert_allclose(got, slope * other, rtol=1e-12)
