"""Each operator of the table agrees with PyTorch, also in its derivative and at kinks."""

import pytest

from tests.problems.torch._agreement import Function, assert_agrees, numbers, torch

F = torch.nn.functional


def each(functions):
    """Return f(x, w) = the results of all functions of x w[i], beside each other; row i of w belongs to function i."""
    return lambda x, w: torch.cat([f(x * w[i]).flatten(1) for i, f in enumerate(functions)], 1)


SMOOTH = [
    torch.acos, torch.asin, torch.atan, torch.tanh, torch.sin, torch.cos, torch.tan, torch.sinh, torch.cosh,
    torch.asinh, torch.atanh, torch.exp, torch.expm1, torch.erf, torch.log, torch.log1p, torch.log2, torch.log10,
    torch.sqrt, torch.rsqrt, torch.reciprocal, torch.sigmoid, torch.neg, torch.nn.GELU(), torch.nn.GELU("tanh"),
    torch.nn.Softplus(2.0), torch.nn.ELU(0.7), torch.nn.SELU(), torch.nn.CELU(0.7), torch.nn.SiLU(), torch.nn.Mish(),
    torch.nn.LogSigmoid(), torch.nn.Softsign(), torch.nn.Tanhshrink(), lambda z: torch.acosh(1 + z),
    lambda z: z**3, lambda z: z**0.5, lambda z: z**-1.5, lambda z: 2.0**z, lambda z: z ** (1 + z),
    lambda z: torch.atan2(z, 2 - z), lambda z: 3 / z, lambda z: z / 4, lambda z: 5 - z, lambda z: torch.add(z, z, alpha=3),
    lambda z: torch.sub(z, z * z, alpha=2), lambda z: torch.softmax(z, -1), lambda z: torch.log_softmax(z, 1),
    lambda z: torch.logsumexp(z, 1, keepdim=True), lambda z: torch.cumsum(z, 1), lambda z: z.prod(1, keepdim=True),
    lambda z: z.var(1, keepdim=True), lambda z: z.std(1, correction=0, keepdim=True), lambda z: z.mean() + 0 * z,
    lambda z: z.sum() * z, lambda z: z.prod() * z, lambda z: z.norm(dim=1, keepdim=True), lambda z: F.normalize(z, dim=1),
]  # fmt: skip
# Their inputs are whole multiples of a quarter, many of which lie exactly on a kink or on a jump.
KINKED = [
    torch.abs, torch.relu, torch.sign, torch.floor, torch.ceil, torch.round, torch.trunc, torch.nn.ReLU6(),
    torch.nn.Hardtanh(-0.5, 0.25), torch.nn.LeakyReLU(0.2), torch.nn.ELU(), torch.nn.Hardshrink(), torch.nn.Softshrink(),
    torch.nn.Hardswish(), torch.nn.Threshold(0.25, 2.0), lambda z: z.clamp(-0.5, 0.25),
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
    lambda z: z * (z > 1).any(1, keepdim=True), lambda z: z * torch.logical_not(z > 0), lambda z: z * (z == z.flip(1)),
]  # fmt: skip


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
            torch.roll(z, 2, 1),
            first.squeeze() + 2 * second.squeeze(1) * third[:, 0],
            square.view(n, -1),
            z.double().float().to(torch.float64) + torch.arange(6) + torch.arange(0, 3, 0.5) + n,
            z + torch.full((6,), 2) + torch.linspace(0, 1, 6, dtype=torch.float64) + torch.ones_like(z),
            z.new_zeros(n, 1) + z.detach().shape[0] // 2 + n % 3 - (2 * n - 1),
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
            torch.einsum("nij,jk,nik->n", x, w, x)[:, None],
            torch.einsum("nij,jk->nik", x, w).flatten(1),
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
        Function(each(KINKED), torch.arange(-2.0, 2.0, 4 / (3 * len(KINKED))).mul(4).round().div(4)[: 3 * len(KINKED)].view(-1, 3)),
        torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 0.0], [0.5, -1.0, 1.0], [1.0, 0.5, -1.0]]),
    ),
    "indexed": (Function(indexed, numbers(6)), numbers(4, 6)),
    "reshaped": (Function(reshaped, numbers(6)), numbers(4, 6)),
    "products": (Function(products, numbers(3, 3)), numbers(4, 2, 3)),
    "bits": (Function(bits, numbers(4, 2)), torch.tensor([[0, 1, 2], [5, 6, 7], [3, 2, 1]])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operators_agree_with_pytorch(name):
    module, X = CASES[name]
    model, _ = assert_agrees(module, X, X.repeat(2, *[1] * (X.ndim - 1))[1:])
    assert model.rows.single == (name == "products")
