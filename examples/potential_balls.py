"""The pictures of docs/howto/choose-a-potential.md: unit balls of horizons, and the classifiers that they give.

Usage: python examples/potential_balls.py [--out DIR]

Two clouds of points in the plane are separated by the classifier of largest margin in the horizon of three potentials.
The squared norm has a round ball, the hyperbolic entropy one with corners on the axes, and the hyperbolic cosine one
with corners on the diagonals.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy import ndarray

import implicitbias as ib

COLOURS = ("#0072B2", "#D55E00", "#009E73")
POTENTIALS = {
    "squared norm": ib.SquaredNorm(),
    "hyperbolic entropy": ib.HyperbolicEntropy(scale=1.0),
    "hyperbolic cosine": ib.Cosh(),
}


def clouds(rows: int = 40, seed: int = 3) -> tuple[ndarray, ndarray]:
    """Return points (rows, 2) and labels 0 and 1 of two clouds, which a line separates."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    centres = np.array([[-1.0, -0.4], [1.0, 0.4]])
    return centres[y] + rng.uniform(-0.8, 0.8, (rows, 2)) * np.array([0.9, 1.6]), y


def lines(X: ndarray, y: ndarray, limits: dict[str, ib.Limit]) -> Figure:
    """Return a figure of the points and of the separating line of each classifier, with its support vectors."""
    figure = Figure(figsize=(6.4, 5.0), layout="constrained")
    axis = figure.subplots()
    axis.scatter(X[:, 0], X[:, 1], c=np.where(y == 1, "#444444", "#BBBBBB"), s=26)
    height = np.array([-2.0, 2.0])
    for colour, (name, limit) in zip(COLOURS, limits.items(), strict=True):
        (a, b), c = limit.point, limit.bias
        axis.plot(-(b * height + c) / a, height, color=colour, linewidth=1.8, label=name)
        support = X[limit.support]
        axis.scatter(*support.T, s=70 + 60 * COLOURS.index(colour), facecolors="none", edgecolors=colour)
    axis.set_ylim(-1.9, 1.9)
    axis.set_aspect("equal")
    axis.set_xlabel("$x_0$")
    axis.set_ylabel("$x_1$")
    axis.set_title("Largest margin in three horizons, with support vectors", loc="left", fontsize=11)
    axis.legend(frameon=False, fontsize=9)
    return figure


def main(out: Path) -> dict[str, ib.Limit]:
    """Write the pictures and return the three classifiers."""
    out.mkdir(parents=True, exist_ok=True)
    ib.plot(POTENTIALS).savefig(out / "potential-balls.png", dpi=110)
    ib.plot(POTENTIALS["hyperbolic entropy"]).savefig(out / "potential-sublevel-sets.png", dpi=110)
    X, y = clouds()
    problem = ib.Classification(X, y)
    limits = {name: ib.max_margin(problem, potential, bias=True) for name, potential in POTENTIALS.items()}
    lines(X, y, limits).savefig(out / "potential-lines.png", dpi=110)
    return limits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path())
    for title, found in main(parser.parse_args().out).items():
        print(f"{title}: w = {found.point.round(3).tolist()}, margin {found.margin:.4g}")
