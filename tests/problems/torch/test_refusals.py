"""What cannot be converted is refused in words that name the cause and the line to type."""

import re
import sys

import numpy as np
import pytest

import implicitbias as ib
from tests.problems.torch._agreement import Function, numbers, torch

nn = torch.nn
X = numbers(6, 3).float()
LAYER = nn.Linear(3, 2)


def function(f):
    return Function(f, torch.ones(3))


def changed_in_place(x, w):
    h = (x * w).exp()
    h[:, 0] = 1.0
    return h


def without_values():
    return nn.Linear(3, 2, device="meta")


def not_finite():
    layer = nn.Linear(3, 2)
    layer.weight.data[1, 1:] = torch.tensor([np.nan, np.inf])
    return layer


REFUSED = {
    "a number": (3.0, X, "module is a float, a torch.nn.Module is expected"),
    "a class": (nn.Linear, X, "make an instance first, module = Net()"),
    "complex": (nn.Linear(3, 2, dtype=torch.complex64), X, "'weight' of the module is complex"),
    "lazy": (nn.LazyLinear(2), X, r"'weight' .* no shape yet.* type module\(example\) once"),
    "no values": (without_values(), X, "'weight' of the module has no values.* load its weights"),
    "not finite": (not_finite(), X, "'weight' of the module is NaN or infinite in 2 of 6 entries"),
    "dropout": (nn.Sequential(LAYER, nn.Dropout(0.1)), X, r"the part '1' .* Dropout in training.* module.eval\(\)"),
    "batch norm": (nn.Sequential(LAYER, nn.BatchNorm1d(2)), X, r"'1' .* BatchNorm1d in training.* module.eval\(\)"),
    "batch statistics": (nn.BatchNorm1d(3, track_running_stats=False).eval(), X, "without running statistics"),
    "function of dropout": (
        function(lambda x, w: nn.functional.dropout(x * w, 0.5)),
        X,
        r"draws random numbers by aten.native_dropout.* module.eval\(\)",
    ),
    "changed buffer": (
        nn.Sequential(nn.InstanceNorm1d(2, affine=True, track_running_stats=True), nn.Flatten()),
        numbers(4, 2, 3).float(),
        r"changes its buffer '0.running_mean'.* module.eval\(\)",
    ),
    "unknown operator": (
        function(lambda x, w: torch.fft.rfft(x * w).abs() + torch.sort(x)[0][:, :2]),
        X,
        r"aten._fft_r2c.default \(_agreement.py, line \d+: return self.function\(.*which ib.from_torch does not know; "
        "it also uses aten.sort.default",
    ),
    "branch on values": (function(lambda x, w: x * w if x.sum() > 0 else x), X, r"type torch.where\(...\) there"),
    "numpy": (function(lambda x, w: torch.from_numpy(np.sin(x.numpy())) * w), X, r"as in .*\.numpy\(\)"),
    "item": (function(lambda x, w: x * w * x.max().item()), X, r"reads a value out .* leave .item\(\) away"),
    "detach": (function(lambda x, w: x * w * (x * w).detach()), X, r"gradient .* not that of PyTorch.* .detach\(\)"),
    "small detach": (
        function(lambda x, w: 1e3 * x * w + 1e-2 * (x * w).detach() * w), X, r"gradient .* not that of PyTorch"
    ),
    "detach in bfloat16": (
        function(lambda x, w: (x * w) * (1 + 0.05 * w.detach())).bfloat16(), X, r"gradient .* not that of PyTorch"
    ),
    "fixed rows": (function(lambda x, w: (x * w).reshape(6, 3)), X, r"but not for 1.* type x.flatten\(1\)"),
    "rows that depend on others": (
        function(lambda x, w: torch.einsum("ni,nj,ij->n", x - x.mean(0), x * w, torch.ones(3, 3))),
        X,
        "prediction for a row depends on other rows",
    ),
    "two outputs": (nn.GRU(3, 2), numbers(4, 5, 3).float(), r"returns 2 values.*return self.module\(x\)\[0\]"),
    "classes": (function(lambda x, w: (x * w).argmax(1)), X, "tensor of torch.int64.* return the logits"),
    "frozen": (nn.Linear(3, 2).requires_grad_(False), X, r"type module.requires_grad_\(True\)"),
    "compiled": (torch.compile(nn.Linear(3, 2)), X, r"compiled by torch.compile.* module._orig_mod"),
    "in place": (function(changed_in_place), X, r"no gradient of the module: RuntimeError.* type h = h.clone\(\)"),
    "whole numbers": (LAYER, np.eye(3, dtype=int), r"fails on the example .*int64.*type X.astype\(float\)"),
    "no derivative": (function(lambda x, w: (x * w - x).abs().sqrt()), X, r"gradient of .* is NaN .* root at 0"),
    "overflow": (function(lambda x, w: (1e30 * x * w) ** 2), X, "returns NaN or infinity on the example"),
    "two inputs": (nn.Bilinear(3, 3, 2), X, "fails on the example.* missing 1 required.* another one whose forward"),
    "wrong shape": (LAYER, X[:, :2], r"fails on the example of shape \(6, 2\).* check that the example is a batch"),
    "tuple": (LAYER, (X,), "example is a tuple, one batch is expected"),
    "text": (LAYER, np.array(["a"]), "not numeric"),
    "number": (LAYER, 3.0, r"example has shape \(\)"),
    "no rows": (LAYER, X[:0], r"example has shape \(0, 3\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_cause(name, capfd):
    module, example, words = REFUSED[name]
    with pytest.raises(ib.InputError) as caught:
        ib.from_torch(module, example)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_module_on_another_device_is_refused(monkeypatch):
    # No second device is needed: the check reads the device of the tensor only.
    layer = nn.Linear(3, 2)
    monkeypatch.setattr(torch.nn.Parameter, "device", torch.device("cuda", 0))
    with pytest.raises(
        ib.InputError, match=r"'weight' .* on the device cuda:0.* type module = module.cpu\(\)"
    ):
        ib.from_torch(layer, X)


def test_later_inputs_are_checked():
    model, params = ib.from_torch(
        nn.Sequential(nn.Embedding(4, 2), nn.Flatten()), torch.tensor([[0, 1], [2, 3]])
    )
    with pytest.raises(ib.InputError, match="floating-point numbers, int64 is expected"):
        model(params, np.zeros((3, 2)))
    with pytest.raises(ib.InputError, match=r"X has shape \(3, 5\), rows of shape \(2,\) are expected"):
        model(params, np.zeros((3, 5), dtype=int))
    with pytest.raises(ib.InputError, match=r"params has no array '0.weight'"):
        model({}, np.zeros((3, 2), dtype=int))
    problem = ib.Problem(model, np.array([[0, 1], [2, 4]]), np.zeros((2, 4)))
    with pytest.raises(ib.InputError, match="NaN"):  # There is no token 4.
        problem.predict(params)


@pytest.mark.parametrize(
    "look_up",
    [
        lambda t, w: w[t],
        lambda t, w: w.index_select(0, t.flatten()).view(t.shape),
        lambda t, w: w.expand(len(t), 3).gather(1, t),
        lambda t, w: torch.nn.functional.one_hot(t, 3).to(w.dtype) @ w,
        lambda t, w: torch.nn.functional.embedding(t, w[:, None]).flatten(1),
    ],
)
@pytest.mark.parametrize("token", [3, -4])
def test_a_token_that_does_not_exist_gives_nan(look_up, token):
    model, params = ib.from_torch(function(look_up), torch.tensor([[0, 1], [2, 0]]))
    assert np.all(np.isfinite(model(params, np.array([[2, 1]]))))
    assert np.any(np.isnan(model(params, np.array([[2, token]]))))


def test_later_inputs_have_the_type_of_the_example():
    bits = np.array([[True, False, True], [False, False, True]])
    model, params = ib.from_torch(function(lambda x, w: (~x).float() * w), bits)
    np.testing.assert_array_equal(model(params, bits.astype(int)), ~bits)
    shades = np.array([[3, 200, 7], [90, 130, 255]], dtype=np.uint8)
    model, params = ib.from_torch(function(lambda x, w: (x - 128).float() * w), shades)
    np.testing.assert_array_equal(model(params, shades.astype(int)), shades - np.uint8(128))


def test_a_forward_that_treats_few_rows_in_another_way_says_so():
    model, params = ib.from_torch(function(lambda x, w: x * w if x.shape[0] > 4 else 2 * x * w), X)
    with pytest.raises(ib.InputError, match="X has 4 rows, at least 5 are expected"):
        model(params, X[:4].numpy())


def test_a_module_that_is_converted_is_not_changed():
    module = nn.Sequential(LAYER, nn.Flatten(0))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    ib.from_torch(module, X[:1])
    assert module.training
    assert all(tensor.dtype == torch.float32 and tensor.grad is None for tensor in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()
    assert "torch" in sys.modules
