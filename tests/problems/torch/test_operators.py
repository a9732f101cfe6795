"""Each operator of the table agrees with PyTorch, also in its derivative and at kinks."""

import functools

import jax
import numpy as np
import pytest

import implicitbias as ib
from implicitbias.problems._torch_export import exported
from implicitbias.problems._torch_inputs import checked_batch
from implicitbias.problems._torch_operators import OPERATORS
from implicitbias.problems._torch_translation import translated
from tests.problems.torch._agreement import Function, assert_agrees, numbers, torch

nn, F = torch.nn, torch.nn.functional


class Sum(nn.Module):
    """Several modules that are applied to the same inputs; their outputs stand beside each other."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return torch.cat([part(x) for part in self.parts], 1)


class Tokens(nn.Module):
    """Embeddings with a padding token, positions in a buffer, and an output that shares the table of the input."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 3, padding_idx=0)
        self.out = nn.Linear(3, 4, bias=False)
        self.out.weight = self.table.weight
        self.register_buffer("positions", numbers(3, 3))

    def forward(self, x):
        return self.out((self.table(x) + self.positions).tanh().mean(1))


def fitted(norm):
    """Return a batch norm in evaluation mode with other statistics than those of its start."""
    norm.running_mean += torch.linspace(0, 1, norm.num_features)
    norm.running_var += torch.linspace(0, 1, norm.num_features)
    return norm.eval()


def each(functions):
    """Return f(x, w) = the results of all functions of x w[i], beside each other; row i of w belongs to function i."""
    return lambda x, w: torch.cat([f(x * w[i]).flatten(1) for i, f in enumerate(functions)], 1)


SMOOTH = [
    torch.acos, torch.asin, torch.atan, torch.tanh, torch.sin, torch.cos, torch.tan, torch.sinh, torch.cosh,
    torch.asinh, torch.atanh, torch.exp, torch.expm1, torch.erf, torch.log, torch.log1p, torch.log2, torch.log10,
    torch.sqrt, torch.rsqrt, torch.reciprocal, torch.sigmoid, torch.neg, nn.GELU(), nn.GELU("tanh"),
    nn.Softplus(2.0), nn.ELU(0.7), nn.SELU(), nn.CELU(0.7), nn.SiLU(), nn.Mish(),
    nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(), lambda z: torch.acosh(1 + z),
    lambda z: z**3, lambda z: z**0.5, lambda z: z**-1.5, lambda z: 2.0**z, lambda z: z ** (1 + z),
    lambda z: torch.atan2(z, 2 - z), lambda z: 3 / z, lambda z: z / 4, lambda z: 5 - z,
    lambda z: torch.add(z, z, alpha=3),
    lambda z: torch.sub(z, z * z, alpha=2), lambda z: torch.softmax(z, -1), lambda z: torch.log_softmax(z, 1),
    lambda z: torch.logsumexp(z, 1, keepdim=True), lambda z: torch.cumsum(z, 1), lambda z: z.prod(1, keepdim=True),
    lambda z: z.var(1, keepdim=True), lambda z: z.std(1, correction=0, keepdim=True), lambda z: z.mean() + 0 * z,
    lambda z: z.sum() * z, lambda z: z.prod() * z, lambda z: z.norm(dim=1, keepdim=True),
    lambda z: F.normalize(z, dim=1),
]  # fmt: skip
# Their inputs are whole multiples of a quarter, many of which lie exactly on a kink or on a jump.
KINKED = [
    torch.abs, torch.relu, torch.sign, torch.floor, torch.ceil, torch.round, torch.trunc, nn.ReLU6(),
    nn.Hardtanh(-0.5, 0.25), nn.LeakyReLU(0.2), nn.ELU(), nn.Hardshrink(),
    nn.Softshrink(),
    nn.Hardswish(), nn.Threshold(0.25, 2.0), lambda z: z.clamp(-0.5, 0.25),
    lambda z: z.clamp(min=0.25), lambda z: z.clamp(max=z.flip(1)), lambda z: torch.maximum(z, -z),
    lambda z: torch.minimum(z, 0.5 * z), lambda z: z.amax(1, keepdim=True), lambda z: z.amin(1, keepdim=True),
    lambda z: z.max(1, keepdim=True).values, lambda z: z.min(1).values[:, None], lambda z: z.max() * z,
    lambda z: z.min() * z, lambda z: torch.remainder(z, 0.75), lambda z: torch.fmod(z, 0.75),
    lambda z: torch.remainder(z, 1 + z * z), lambda z: torch.fmod(z, 1 + z * z),
    lambda z: torch.div(z, 0.75, rounding_mode="floor"), lambda z: torch.div(z, 0.75, rounding_mode="trunc") + z,
    lambda z: torch.where((z > 0) & ~(z >= 0.5) | (z == -0.25), z, z * z),
    lambda z: torch.where(torch.logical_xor(z < 0, z.flip(1) <= z), z, 2 * z),
    lambda z: torch.where(torch.logical_or(z != 0.25, torch.logical_and(z > 1, z < 2)), z, 2 * z),
    lambda z: torch.where((z > z.flip(1)) | (z >= z.flip(1)), z, z * z * (z < z.flip(1)) + (z != z.flip(1))),
    lambda z: z.masked_fill(torch.isnan(z / z), 3.0), lambda z: z.masked_fill(torch.isinf(1 / z), 3.0),
    lambda z: z * z.argmax(1, keepdim=True) + z.argmin(1, keepdim=True), lambda z: z * (z > 1).any(),
    lambda z: z * (z > 1).any((0, 1)),
    lambda z: z * (z > 1).any(1, keepdim=True), lambda z: z * torch.logical_not(z > 0), lambda z: z * (z == z.flip(1)),
]  # fmt: skip


def far(x, w):
    """Compute where PyTorch has derivatives that the plain formulas lack: far from 0, and at 0."""
    z, zero = 1e3 * x * w[0], x * w[1]
    norms = [zero.norm(p, 1, keepdim=True) for p in (1, 2)]
    return torch.cat(
        [F.softplus(z), F.softplus(z, 2.0, 5.0), F.normalize(zero, dim=1), *norms, z + zero.norm()], 1
    )


def one_hot(x, w):
    """Look up rows of w by one-hot vectors."""
    return F.one_hot(x, 4).to(w.dtype).flatten(1) @ w


def indexed(x, w):
    """Select, write and join entries in the ways of indexing."""
    z = x * w  # (n, 6)
    out = torch.zeros_like(z)
    out[:, 1] = z[:, 0]
    out[:, 3:5] = z[:, :2]
    out[:, ::2] += z.flip(1)[:, ::2]
    places = torch.tensor([4, 0, 4])
    return torch.cat(
        [
            out,
            z[:, -3:],
            z[:, places],
            z.index_select(1, places),
            z.gather(1, (x[:, :2] > 0).long() + 3),
            torch.stack([z, 2 * z], 1).select(1, 1),
            z.t().index_put((places,), z.t()[:3], accumulate=True).t(),
            z.t().index_put((places[:2],), z.t()[:2]).t(),
            z.select_scatter(z[:, 1], 1, 2),
            z.slice_scatter(z[:, :2], 1, 1, 5, 2),
        ],
        1,
    )


def reshaped(x, w):
    """Reorder, repeat, pad and cut entries, with sizes computed from the number of rows."""
    z = x * w  # (n, 6)
    n = z.shape[0]
    first, second, third = z.view(n, 2, 3).transpose(1, 2).split([1, 1, 1], 1)
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    square = (z.reshape(n * 2, 3).unsqueeze(1) * z.reshape(n * 2, 3).unsqueeze(2)).masked_fill(~mask, 0.5)
    return torch.cat(
        [
            z.expand(2, n, 6).permute(1, 0, 2).reshape(n, -1),
            z.repeat(1, 2),
            torch.repeat_interleave(z, 2, 1),
            F.pad(z, (1, 2), value=0.5),
            F.pad(z, (-1, -2)),
            F.pad(z[None], (0, 1), mode="replicate")[0],
            torch.roll(z, 2, 1) * x.detach(),
            first.squeeze() + 2 * second.squeeze(1) * third[:, 0],
            square.view(n, -1),
            z.double() + torch.arange(6) + torch.arange(0, 3, 0.5) + n,
            z + torch.full((6,), 2) + torch.linspace(0, 1, 6, dtype=torch.float64) + torch.ones_like(z),
            z.new_zeros(n, 1) + z.detach().shape[0] // 2 + n % 3 - (2 * n - 1) + (n + 1),
        ],
        1,
    )


def products(x, w):
    """Multiply matrices: x (n, 2, 3) and w (3, 3)."""
    rows = x.flatten(1)
    return torch.cat(
        [
            (x @ w).flatten(1),
            rows[:, :3] @ w,
            torch.addmm(w[0], rows[:, :3], w, beta=0.5, alpha=2.0),
            torch.bmm(x, x.transpose(1, 2) * w[0, 0]).flatten(1),
            torch.einsum("nij,jk->nik", x, w).flatten(1),
            F.scaled_dot_product_attention(x[:, None], x[:, None] @ w, x[:, None]).flatten(1),
            F.bilinear(rows[:, :3], rows[:, 3:], w[None]),
        ],
        1,
    )


def bits(x, w):
    """Compute with integers (n, 3) and a table w."""
    small = torch.bitwise_and(x, 3)
    other = torch.bitwise_not(x) & 1 | small
    masked = torch.bitwise_or(x % 2, 2).clamp(0, 3)
    return w[small].sum(2) + w[other].mean(2) * w[masked].amax(2) + (x // 2) + (x + 1) / 2


CASES = {
    "smooth": (Function(each(SMOOTH), numbers(len(SMOOTH), 3, low=0.2, high=0.9)), numbers(4, 3, low=0.2, high=0.9)),
    "kinked": (
        Function(each(KINKED), numbers(len(KINKED), 3, low=-2, high=2).mul(4).round().div(4)),
        torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 0.0], [0.5, -1.0, 1.0], [1.0, 0.5, -1.0]]),
    ),
    "kinked at 0": (
        Function(each(KINKED), torch.zeros(len(KINKED), 3)),
        torch.tensor([[1.0, 2.0, 3.0], [-1.0, 1.0, 0.5], [0.5, -1.0, 1.0]]),
    ),
    "far": (Function(far, torch.stack([numbers(3), torch.zeros(3)])), numbers(4, 3)),
    "one-hot": (Function(one_hot, numbers(12, 2)), torch.tensor([[0, 1, 3], [2, 2, 0]])),
    "indexed": (Function(indexed, numbers(6)), numbers(4, 6)),
    "reshaped": (Function(reshaped, numbers(6)), numbers(4, 6)),
    "products": (Function(products, numbers(3, 3)), numbers(4, 2, 3)),
    "bits": (Function(bits, numbers(4, 2)), torch.tensor([[0, 1, 2], [5, 6, 7], [3, 2, 1]])),
}  # fmt: skip


# The derivative in a bias below a normalisation is 0, and its rounding errors are as large as the weights above it are
# small: without a seed, a rare draw of the weights gave 5e-11 in PyTorch.
torch.manual_seed(0)
LAYERS = {
    "convolutions": (
        Sum(
            nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.Flatten()),
            nn.Sequential(nn.Conv2d(2, 1, 2, dilation=(2, 1), padding="same", bias=False), nn.Flatten()),
            nn.Sequential(
                nn.Flatten(2), nn.Conv1d(2, 3, 3, padding=2, padding_mode="circular"), nn.Flatten()
            ),
            nn.Sequential(nn.Unflatten(2, (2, 3)), nn.Conv3d(2, 2, (1, 2, 2)), nn.Flatten()),
            nn.Sequential(
                nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2),
                nn.Flatten(),
            ),
            nn.Sequential(nn.Flatten(2), nn.ConvTranspose1d(2, 1, 3), nn.Flatten()),
        ),
        numbers(3, 2, 6, 5),
    ),
    "pooling": (
        Sum(
            *(
                nn.Sequential(nn.Conv2d(2, 2, 1), pool, nn.Flatten())
                for pool in (
                    nn.MaxPool2d(2),
                    nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
                    nn.AvgPool2d((3, 2), stride=(2, 1), padding=1),
                    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
                    nn.AvgPool2d(2, ceil_mode=True, divisor_override=3),
                    nn.AvgPool2d(4, stride=3, padding=2, ceil_mode=True),
                    nn.AdaptiveAvgPool2d(1),
                    nn.AdaptiveAvgPool2d((4, 2)),
                )
            ),
            *(
                nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 2, 1), pool, nn.Flatten())
                for pool in (nn.MaxPool1d(4, 3), nn.AvgPool1d(4, 3, padding=1), nn.AdaptiveAvgPool1d(7))
            ),
        ),
        numbers(3, 2, 6, 5),
    ),
    "normalisation": (
        Sum(
            nn.Sequential(nn.Conv2d(2, 4, 1), fitted(nn.BatchNorm2d(4)), nn.Flatten()),
            nn.Sequential(nn.Conv2d(2, 4, 1), fitted(nn.BatchNorm2d(4, affine=False)), nn.Flatten()),
            nn.Sequential(nn.Conv2d(2, 4, 1), nn.GroupNorm(2, 4, eps=1e-3), nn.Flatten()),
            nn.Sequential(nn.Conv2d(2, 4, 1), nn.InstanceNorm2d(4, affine=True), nn.Flatten()),
            nn.Sequential(nn.LayerNorm((6, 5)), nn.Flatten()),
            nn.Sequential(nn.LayerNorm(5, elementwise_affine=False), nn.Conv2d(2, 1, 1), nn.Flatten()),
            nn.Sequential(nn.RMSNorm(5, eps=1e-3), nn.Flatten()),
        ),
        numbers(3, 2, 6, 5),
    ),
    "embedding": (Tokens(), torch.tensor([[0, 1, 3], [2, 2, 0]])),
}


@functools.cache
def converted(name):
    module, X = (CASES | LAYERS)[name]
    return assert_agrees(module, X, X.repeat(2, *[1] * (X.ndim - 1))[1:])


@pytest.mark.parametrize("name", CASES | LAYERS)
def test_operators_agree_with_pytorch(name):
    model, _ = converted(name)
    assert not model.rows.single


def test_every_operator_of_the_table_is_compared():
    used = set()
    for module, X in (CASES | LAYERS).values():
        program = exported(module.double(), checked_batch(X, module))
        used |= {call.operator for call in translated(program, module)[0].calls}
    assert set(OPERATORS) - used == set()


def test_rows_are_mapped_where_pytorch_fixes_their_number():
    module = Function(
        lambda x, w: torch.einsum("nij,jk,nik->n", x, w, x) + x.view(len(x), -1).sum(1), numbers(3, 3)
    )
    model, _ = assert_agrees(module, numbers(4, 2, 3), numbers(5, 2, 3))
    assert model.rows.single


def test_a_module_that_changes_its_input_leaves_the_example_alone():
    module = Function(lambda x, w: x.add_(1.0) * w, numbers(3).float())
    example = numbers(4, 3).float()
    before = example.clone()
    model, params = ib.from_torch(module, example)
    assert torch.equal(example, before)
    np.testing.assert_allclose(model(params, np.zeros((2, 3))), [params["w"]] * 2, rtol=1e-6)


def test_casts_to_another_precision_are_made_in_float64():
    module = Function(lambda x, w: (x * w).float().half().to(torch.float64), numbers(3))
    model, params = ib.from_torch(module, numbers(4, 3))
    X = numbers(5, 3, seed=2).numpy()
    with jax.enable_x64(True):
        np.testing.assert_allclose(model(params, X), X * params["w"], rtol=1e-15)


def test_hard_sigmoid_has_the_exact_derivative():
    # PyTorch rounds 1/6 to float32 in the derivative.
    module = nn.Sequential(nn.Linear(3, 4), nn.Hardsigmoid())
    assert_agrees(module, numbers(4, 3), tolerance=1e-7)
