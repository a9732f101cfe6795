"""Grokking of an equinox MLP: it fits its training data early and generalises much later, at t = 5e5.

Usage: python examples/grok_your_mlp.py [--out DIR]

The labels are the product of two of many signs. The network is `eqx.nn.MLP` with its weights multiplied by 6. It fits
the training rows early with its random features, and its accuracy on new rows is then that of a random guess. Weight
decay shrinks the parameters along the set of networks that fit. At times of the order of 1 / weight_decay the features
change, and the test accuracy rises. The flow takes fewer than two hundred steps for this. Gradient descent, which
diverges at a learning rate of 0.05, would take a hundred million steps at 0.01.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from matplotlib.figure import Figure

import implicitbias as ib

BLUE, RED, GREY = "#0072B2", "#D55E00", "#8A9499"


class Setting(NamedTuple):
    """The data, the network, and the length of the training."""

    rows: int = 100
    inputs: int = 30
    test_rows: int = 2000
    width: int = 64
    scale: float = 6.0
    weight_decay: float = 1e-5
    slow_time: float = 10.0
    learning_rate: float = 0.01
    descent_steps: int = 10_000
    seed: int = 1


class Result(NamedTuple):
    """The flow, the same flow without weight decay, and a stretch of gradient descent."""

    setting: Setting
    flow: ib.Trajectory
    without_decay: ib.Trajectory
    descent: ib.Trajectory
    observe: dict[str, Callable[[float, Any], Any]]


def model(net: Any, X: Any) -> Any:
    """Return the predictions of a network for all rows."""
    return jax.vmap(net)(X)


def problems(setting: Setting) -> tuple[ib.Problem, ib.Problem]:
    """Return the training and the test problem: the label is the product of the first two of many random signs."""
    rng = np.random.default_rng(setting.seed)
    X = rng.choice([-1.0, 1.0], (setting.rows + setting.test_rows, setting.inputs))
    y = X[:, 0] * X[:, 1]
    n = setting.rows
    return ib.Problem(model, X[:n], y[:n]), ib.Problem(model, X[n:], y[n:])


def network(setting: Setting) -> Any:
    """Return a network with one hidden layer, whose weights are larger than usual."""
    key = jax.random.key(setting.seed)
    net = eqx.nn.MLP(setting.inputs, "scalar", setting.width, 1, activation=jax.nn.softplus, key=key)
    return jax.tree.map(lambda leaf: setting.scale * leaf if eqx.is_array(leaf) else leaf, net)


def accuracy(problem: ib.Problem, net: Any) -> float:
    """Return the fraction of rows whose sign is right."""
    return float(np.mean(problem.predict(net) * problem.y > 0))


def norm(net: Any) -> float:
    """Return the Euclidean norm of all parameters."""
    return float(np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(eqx.filter(net, eqx.is_array)))))


def run(setting: Setting) -> Result:
    """Integrate the flow, with and without weight decay, and a stretch of gradient descent."""
    train, test = problems(setting)
    start, lam, eta = network(setting), setting.weight_decay, setting.learning_rate
    observe = {
        "train accuracy": lambda t, net: accuracy(train, net),
        "test accuracy": lambda t, net: accuracy(test, net),
        "train loss": lambda t, net: train.loss(net),
        "test loss": lambda t, net: test.loss(net),
        "norm": lambda t, net: norm(net),
    }
    end = setting.slow_time / lam
    flow = ib.simulate(ib.GradientFlow(train, lam), start, t1=end, observe=observe)
    without = ib.simulate(ib.GradientFlow(train), start, t1=end, observe=observe)
    descent = ib.simulate(
        ib.GradientDescent(train, eta, lam), start, t1=eta * setting.descent_steps, observe=observe
    )
    return Result(setting, flow, without, descent, observe)


def apart(result: Result) -> float:
    """Return the distance of gradient descent from the flow at one time, relative to the distance from the start."""
    here, there = result.descent.flat_states[-1], result.flow.dense.state(result.descent.times[-1:])[0]
    return float(np.linalg.norm(here - there) / np.linalg.norm(there - result.flow.flat_states[0]))


def table(result: Result) -> str:
    """Return a table of the observables at log-spaced times."""
    setting, flow = result.setting, result.flow
    lines = ["       t    lam t  descent steps   train acc.  test acc.   train loss  test loss    norm"]
    for t in np.geomspace(1.0, flow.times[-1], 2 * round(np.log10(flow.times[-1])) + 1):
        net = flow.state(t)
        seen = {name: f(t, net) for name, f in result.observe.items()}
        lines.append(
            f"{t:8.2g} {setting.weight_decay * t:8.2g} {t / setting.learning_rate:14.2g}"
            f" {seen['train accuracy']:12.2f} {seen['test accuracy']:10.3f}"
            f" {seen['train loss']:12.1e} {seen['test loss']:10.1e} {seen['norm']:7.2f}"
        )
    return "\n".join(lines)


def summary(result: Result) -> str:
    """Return the cost of the flow, and the cost of gradient descent to the same time."""
    setting, flow, descent = result.setting, result.flow, result.descent
    steps = flow.times[-1] / setting.learning_rate
    return (
        f"flow: {flow.stats.steps} steps to t = {flow.times[-1]:.3g}, {flow.stats.seconds:.1f} s with compilation\n"
        f"gradient descent with learning rate {setting.learning_rate:g} needs {steps:.2g} steps for this time\n"
        f"its first {descent.stats.steps} steps, to t = {descent.times[-1]:g}, end {100 * apart(result):.2g} % "
        "away from the flow, relative to their distance from the start"
    )


def picture(result: Result) -> Figure:
    """Return a figure of accuracy, loss and norm over log time; lines are the flow, dots are gradient descent."""
    setting, figure = result.setting, Figure(figsize=(8.0, 8.4), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.axvline(1 / setting.weight_decay, color=GREY, linewidth=0.8, linestyle=":")
    rows = (
        (axes[0], (("train accuracy", BLUE, "train"), ("test accuracy", RED, "test"))),
        (axes[1], (("train loss", BLUE, "train"), ("test loss", RED, "test"))),
        (axes[2], (("norm", "black", "with weight decay"),)),
    )
    for axis, lines in rows:
        for name, colour, label in lines:
            for trajectory, style in (
                (result.without_decay, {"color": colour, "alpha": 0.5, "linewidth": 1.2, "linestyle": "--"}),
                (result.flow, {"color": colour, "linewidth": 2.0, "label": label}),
                (result.descent, {"color": colour, "marker": "o", "markersize": 3.5, "linestyle": "none"}),
            ):
                if name != "train accuracy" or trajectory is not result.without_decay:
                    axis.plot(trajectory.times[1:], trajectory.observables[name][1:], **style)
    eta = setting.learning_rate
    axes[0].set_xscale("log")
    axes[0].set_xlim(eta, result.flow.times[-1])
    axes[0].set_ylabel("accuracy")
    axes[1].set_ylabel("mean squared error / 2")
    axes[1].set_yscale("log")
    axes[1].set_ylim(1e-10, 100)
    axes[2].set_ylabel("norm of the parameters")
    axes[2].set_ylim(0, None)
    axes[2].set_xlabel("flow time  $t$")
    axes[0].text(0.9 / setting.weight_decay, 0.95, r"$t = 1/\lambda$", color=GREY, ha="right", va="top")
    axes[0].plot([], [], color=GREY, linestyle="--", linewidth=1.2, label="without weight decay")
    axes[0].plot([], [], color=GREY, marker="o", markersize=3.5, linestyle="none", label="gradient descent")
    axes[0].legend(frameon=False, loc=(0.5, 0.3))
    above = axes[0].secondary_xaxis("top", functions=(lambda t: t / eta, lambda steps: steps * eta))
    above.set_xlabel(f"steps of gradient descent with learning rate {eta:g}")
    return figure


def main(setting: Setting, out: Path) -> Result:
    """Run, print the table, save the figure."""
    result = run(setting)
    print(table(result), summary(result), sep="\n\n")
    out.mkdir(parents=True, exist_ok=True)
    file = out / "grok_your_mlp.png"
    picture(result).savefig(file, dpi=150)
    print(f"figure: {file}")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(), help="folder of the figure (default: this one)")
    main(Setting(), parser.parse_args().out)
