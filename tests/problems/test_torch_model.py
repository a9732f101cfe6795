"""A model that came from PyTorch is evaluated without PyTorch, and a missing PyTorch is named."""

import importlib.util
import pickle

import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.fingerprints import fingerprint
from implicitbias.problems._torch_model import Call, Ref, Rows, TorchModel

W = np.array([[1.0, -2.0], [0.5, 3.0]])
X = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]])


def rectified_layer(rows):
    """Return the model relu(X W^T + b) with a constant b."""
    calls = (
        Call("turned", "aten.permute.default", (Ref("w"), (1, 0)), {}, ""),
        Call("z", "aten.addmm.default", (Ref("b"), Ref("x"), Ref("turned")), {}, ""),
        Call("out", "aten.relu.default", (Ref("z"),), {}, " (in 'act')"),
    )
    return TorchModel("Layer", rows, {"w": "layer.weight"}, {"b": np.array([0.5, -0.5])}, calls, "out")


@pytest.mark.parametrize("single", [False, True])
def test_the_calls_are_evaluated_in_float64(single):
    model = rectified_layer(Rows("x", (2,), "float", single))
    problem = ib.Problem(model, X, np.zeros((3, 2)))
    expected = np.maximum(X @ W.T + [0.5, -0.5], 0)
    np.testing.assert_allclose(problem.predict({"layer.weight": W}), expected, rtol=1e-15)
    assert repr(model) == "TorchModel(Layer, 1 arrays, 3 operators)"


def test_the_model_has_a_content_hash_and_can_be_sent_to_another_process():
    model = rectified_layer(Rows("x", (2,), "float", False))
    assert fingerprint(pickle.loads(pickle.dumps(model))) == fingerprint(model)
    assert fingerprint(model) != fingerprint(rectified_layer(Rows("x", (2,), "float", True)))


def test_numbers_of_rows_outside_the_limits_are_refused():
    model = rectified_layer(Rows("x", (2,), "float", False, 2, 3))
    assert model({"layer.weight": W}, X).shape == (3, 2)
    for rows in (1, 4):
        with pytest.raises(ib.InputError, match=f"X has {rows} rows, at least 2 and at most 3 are expected"):
            model({"layer.weight": W}, np.ones((rows, 2)))


def test_arguments_that_an_operator_does_not_take_are_named():
    calls = (Call("out", "aten.relu.default", (Ref("x"), 1, 2), {}, " (in 'act')"),)
    model = TorchModel("Layer", Rows("x", (2,), "float", False), {}, {}, calls, "out")
    with pytest.raises(ib.InputError, match=r"operator aten.relu.default \(in 'act'\) cannot be evaluated"):
        model({}, X)


def test_a_missing_pytorch_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(
        ib.InputError, match=r'PyTorch is not installed; type pip install "implicitbias\[torch\]"'
    ):
        ib.from_torch(lambda x: x, X)
