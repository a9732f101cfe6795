"""When will your own network generalise? Forecasts for a module of equinox, and of flax and PyTorch where installed.

Usage: python examples/forecast_your_model.py [--out DIR]
or:    implicitbias forecast examples/forecast_your_model.py:equinox_case [--out DIR]

Put your own module, data, weight decay and learning rate into `equinox_case`, `flax_case` or `torch_case`. The data
here are random, and the label is the sign of the first input. A network with a large start memorises them first and
generalises later.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib

ROWS, TEST_ROWS, INPUTS, WIDTH, SCALE = 40, 1000, 12, 24, 4.0


def data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the training rows and the test rows, each as (X, y)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS + TEST_ROWS, INPUTS))
    y = np.sign(X[:, 0])
    return (X[:ROWS], y[:ROWS]), (X[ROWS:], y[ROWS:])


def equinox_case() -> dict[str, Any]:
    """Return the arguments of a forecast for an equinox module: the module itself holds the parameters."""
    net = eqx.nn.MLP(INPUTS, "scalar", WIDTH, 1, activation=jnp.tanh, key=jax.random.key(0))
    net = jax.tree.map(lambda leaf: SCALE * leaf if eqx.is_array(leaf) else leaf, net)
    train, test = data()
    problem = ib.Problem(lambda module, X: jax.vmap(module)(X), *train)
    return {"problem": problem, "params": net, "weight_decay": 1e-3, "test": test, "learning_rate": 0.05}


def flax_case() -> dict[str, Any]:
    """Return the arguments of a forecast for a flax module: `init` makes the parameters, `apply` is the model."""
    from flax import linen

    net = linen.Sequential([linen.Dense(WIDTH), jnp.tanh, linen.Dense(1)])
    train, test = data()
    params = net.init(jax.random.key(0), train[0])
    params = jax.tree.map(lambda leaf: SCALE * leaf, params)
    problem = ib.Problem(lambda variables, X: net.apply(variables, X)[:, 0], *train)
    return {"problem": problem, "params": params, "weight_decay": 1e-3, "test": test, "learning_rate": 0.05}


def torch_case() -> dict[str, Any]:
    """Return the arguments of a forecast for a PyTorch module: `ib.from_torch` returns the model and the parameters."""
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, 1), torch.nn.Flatten(0)
    )
    train, test = data()
    model, params = ib.from_torch(net, train[0])
    params = {name: SCALE * array for name, array in params.items()}
    problem = ib.Problem(model, *train)
    # For torch.nn.MSELoss, which is 2 L, take twice its learning rate and half its weight decay.
    return {"problem": problem, "params": params, "weight_decay": 1e-3, "test": test, "learning_rate": 0.05}


def main(out: Path) -> dict[str, ib.Forecast]:
    """Forecast each case, print it, and save its picture."""
    others = {"flax": flax_case, "torch": torch_case}
    cases = {"equinox": equinox_case} | {name: case for name, case in others.items() if find_spec(name)}
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, case in cases.items():
        found[name] = ib.forecast_grokking(**case())
        file = out / f"forecast_{name}.png"
        ib.plot(found[name]).savefig(file, dpi=150)
        print(f"{name}: {found[name]}\nfigure: {file}\n")
    for name in others.keys() - cases.keys():
        print(f"{name} is not installed; type pip install {name} to forecast its modules")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the figures (default: this one)")
    main(parser.parse_args().out)
