"""Training in PyTorch and in the library agree, once the losses are converted."""

import copy

import numpy as np
import pytest

import implicitbias as ib
from tests.problems.torch._agreement import numbers, torch

nn = torch.nn
SIGNS = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0], dtype=torch.float64)
CLASSES = torch.tensor([0, 2, 1, 1, 0, 2])
# A loss of PyTorch, its targets, the number of outputs, the loss and the targets of the library, and the factor c such
# that the loss of PyTorch is c times that of the library.
LOSSES = {
    "MSELoss": (nn.MSELoss(), numbers(6, 3, seed=4), 3, "squared", numbers(6, 3, seed=4), 2 / 3),
    "MSELoss of one output": (nn.MSELoss(), numbers(6, 1, seed=4), 1, "squared", numbers(6, 1, seed=4), 2.0),
    "MSELoss, sum": (
        nn.MSELoss(reduction="sum"),
        numbers(6, 3, seed=4),
        3,
        "squared",
        numbers(6, 3, seed=4),
        12.0,
    ),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss(), (SIGNS + 1) / 2, 0, "logistic", (SIGNS + 1) / 2, 1.0),
    "SoftMarginLoss": (nn.SoftMarginLoss(), SIGNS, 0, "logistic", SIGNS, 1.0),
    "CrossEntropyLoss": (nn.CrossEntropyLoss(), CLASSES, 3, "cross_entropy", CLASSES, 1.0),
}
X = numbers(6, 2, seed=3)
RATE, DECAY, STEPS = 0.05, 0.02, 40


def network(outputs):
    """Return a network with this number of outputs, or with predictions (n,) for 0 outputs."""
    torch.manual_seed(0)
    last = [nn.Linear(5, outputs)] if outputs else [nn.Linear(5, 1), nn.Flatten(0)]
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), *last).double()


def trained(module, loss, targets):
    """Return the parameters after full-batch steps of `torch.optim.SGD`, and the loss at the start."""
    module = copy.deepcopy(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, weight_decay=DECAY)
    first = loss(module(X), targets).item()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(module(X), targets).backward()
        optimizer.step()
    return dict(module.named_parameters()), first


@pytest.mark.parametrize("name", LOSSES)
def test_steps_of_sgd_are_those_of_gradient_descent(name):
    loss, targets, outputs, ours, y, c = LOSSES[name]
    module = network(outputs)
    model, params = ib.from_torch(module, X)
    end, first = trained(module, loss, targets)

    problem = ib.Problem(model, X.numpy(), y.numpy(), loss=ours)
    assert first == pytest.approx(c * problem.loss(params), rel=1e-12)
    # c grad L + decay theta, times the rate, is (grad L + (decay / c) theta) times c rate.
    descent = ib.GradientDescent(problem, learning_rate=c * RATE, weight_decay=DECAY / c)
    final = ib.simulate(descent, params, t1=STEPS * c * RATE).final
    for key, tensor in end.items():
        np.testing.assert_allclose(final[key], tensor.detach(), rtol=1e-11, atol=1e-12)
        assert not np.allclose(final[key], params[key], rtol=1e-3, atol=1e-3)
