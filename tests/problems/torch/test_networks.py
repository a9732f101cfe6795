"""Whole networks agree with PyTorch, and are trained by the library."""

from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import Phase, given, settings

import implicitbias as ib
from tests.problems.torch._agreement import assert_agrees, numbers, torch

nn, F = torch.nn, torch.nn.functional

ACTIVATIONS = [
    nn.CELU, nn.ELU, nn.GELU, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU,
    nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Tanh, nn.Tanhshrink,
]  # fmt: skip


@given(st.data())
@settings(max_examples=5, phases=[Phase.generate])  # Each example is compiled, so that shrinking takes long.
def test_random_networks_agree(data):
    widths = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    layers = []
    for first, second in pairwise(widths):
        layers.append(nn.Linear(first, second, bias=data.draw(st.booleans())))
        layers.append(data.draw(st.sampled_from(ACTIVATIONS))())
        layers += [nn.LayerNorm(second)] * data.draw(st.integers(0, 1))
    module = nn.Sequential(*layers, nn.Linear(widths[-1], data.draw(st.integers(1, 3)))).eval()
    X = numbers(4, widths[0], seed=data.draw(st.integers(0, 99)))
    assert_agrees(module, X, X[:3])


class Attention(nn.Module):
    """A block with attention by `scaled_dot_product_attention`, causal or with a mask."""

    def __init__(self, causal):
        super().__init__()
        self.causal = causal
        self.join = nn.Linear(4, 12)
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        n, length, _ = x.shape
        heads = self.join(self.norm(x)).view(n, length, 3, 2, 2).permute(2, 0, 3, 1, 4)
        mask = None if self.causal else torch.eye(length, dtype=torch.bool) | (x[:, None, None, :, 0] > 0)
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask, is_causal=self.causal)
        return mixed.transpose(1, 2).reshape(n, length, 4).mean(1)


class SelfAttention(nn.Module):
    """`nn.MultiheadAttention` with a mask of numbers."""

    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True, dropout=0.2)

    def forward(self, x):
        mask = torch.linspace(-1, 1, 9, dtype=x.dtype).view(3, 3)
        return self.inner(x, x, x, attn_mask=mask)[0].flatten(1)


class LastState(nn.Module):
    """A recurrent network, of which the last state is read."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0][:, -1]


@pytest.mark.parametrize(
    "module",
    [
        Attention(causal=True),
        Attention(causal=False),
        SelfAttention().eval(),
        nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(1)).eval(),
        LastState(nn.LSTM(4, 3, batch_first=True)),
    ],
    ids=["causal", "masked", "multi-head", "transformer", "lstm"],
)
def test_sequences_agree(module):
    assert_agrees(module, numbers(5, 3, 4), numbers(3, 3, 4, seed=2))


def test_attention_that_is_partly_frozen_has_derivatives():
    # Without trained parameters in it, PyTorch would take a fast kernel that has no derivatives.
    attention = SelfAttention().eval().requires_grad_(False)
    module = nn.Sequential(attention, nn.Linear(12, 1))
    model, params = assert_agrees(module, numbers(5, 3, 4))
    assert set(params) == {"1.weight", "1.bias"}
    assert len(model.constants) == 4


def test_parameters_have_the_names_of_the_state_and_go_back():
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    _, params = ib.from_torch(module, np.eye(3))
    assert list(params) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(array.dtype == np.float64 and not array.flags.writeable for array in params.values())
    doubled = {name: torch.tensor(2 * array) for name, array in params.items()}
    assert module.load_state_dict(doubled, strict=False).unexpected_keys == []
    np.testing.assert_array_equal(module[2].weight.detach(), 2 * params["2.weight"].astype(np.float32))


def test_layers_are_found_in_a_converted_network():
    module = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    X = numbers(10, 3).numpy()
    model, params = ib.from_torch(module, X)
    flow = ib.GradientFlow(ib.Problem(model, X, np.sin(X[:, 0])), weight_decay=1e-3)
    trajectory = ib.simulate(flow, params, t1=1.0, solver="layers")
    assert trajectory.status.ok
    assert [name for name, _ in trajectory.stats.algebras] == ["layers"]
