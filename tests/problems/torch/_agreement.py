"""Comparison of a module with its conversion: PyTorch computes the outputs and the gradients, in float64."""

import jax
import numpy as np
import pytest

import implicitbias as ib

torch = pytest.importorskip("torch", reason='PyTorch is not installed; type pip install -e ".[torch]"')


class Function(torch.nn.Module):
    """A module that computes f(x, w) with one parameter w."""

    def __init__(self, function, weight):
        super().__init__()
        self.function = function
        self.w = torch.nn.Parameter(weight)

    def forward(self, x):
        return self.function(x, self.w)


def numbers(*shape, low=-1.0, high=1.0, seed=0):
    """Return random numbers between two bounds as a tensor in float64."""
    return torch.tensor(np.random.default_rng(seed).uniform(low, high, shape))


def of_pytorch(module, X, direction):
    """Return the outputs and the derivatives of direction * outputs in the parameters, by PyTorch."""
    out = module(X)
    weights = dict(module.named_parameters())
    trained = {name: tensor for name, tensor in weights.items() if tensor.requires_grad}
    slopes = torch.autograd.grad(
        out, list(trained.values()), direction(out), allow_unused=True, materialize_grads=True
    )
    return out.detach().numpy(), {name: s.numpy() for name, s in zip(trained, slopes, strict=True)}


def assert_agrees(module, example, X=None, tolerance=1e-12):
    """Convert a module in float64, compare outputs and gradients on other rows, and return the model and parameters."""
    module = module.double()
    model, params = ib.from_torch(module, example)
    X = example[:1].repeat(5, *[1] * (example.ndim - 1)) if X is None else X
    expected, slopes = of_pytorch(module, X, lambda out: numbers(*out.shape, seed=1))
    with jax.enable_x64(True):
        out, pull = jax.vjp(jax.jit(lambda theta: model(theta, X.numpy())), params)
        found = pull(numbers(*out.shape, seed=1).numpy())[0]
    np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
    for name, ours in found.items():
        scale = max(1.0, np.abs(slopes[name]).max(initial=0.0))
        np.testing.assert_allclose(ours, slopes[name], rtol=tolerance, atol=tolerance * scale, err_msg=name)
    return model, params
