"""Measurements on real data: diabetes with products of features, and a table of counts from images of digits."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, MirrorFlow, simulate
from implicitbias.limits import interpolant
from implicitbias.parametrizations import (
    Coordinatewise,
    HadamardProduct,
    Parametrization,
    SquareDifference,
    induced_potential,
)
from implicitbias.potentials import HyperbolicEntropy
from implicitbias.problems import Classification, LeastSquares
from implicitbias.studies._commuting_maps import minimiser
from implicitbias.studies._data import classified, diabetes
from implicitbias.studies._seeds import generator

_PATIENTS = 12
# The scales a of the start, and the times at which training has arrived: its slowest rate grows with a.
_SCALES = {10.0: 20.0, 1.0: 100.0, 0.01: 5000.0}
# The columns of the classifier: sex, body mass index, blood pressure and the logarithm of the triglycerides. The other
# ones depend on each other almost linearly, so that a flow needs very long.
_COLUMNS = ("sex", "bmi", "bp", "s5")
_LATE_MARGINS, _LATE_TABLE, _RTOL = 600.0, 300.0, 1e-10
_ROUNDS = 500


def diabetes_dataset(progress: Progress) -> Any:
    """Return the ends of training on few patients, and the flows of a classifier of all patients."""
    X, y = _few_patients()
    problem = LeastSquares(X, y)
    G = SquareDifference()
    reparametrised = problem.reparametrize(Parametrization.from_function(G.formula))
    rows = []
    for scale, late in _SCALES.items():
        alpha = np.full(X.shape[1], np.sqrt(scale / 2.0))
        run = simulate(GradientFlow(reparametrised), (alpha, alpha), late, times=[late], rtol=_RTOL)
        limit = interpolant(problem, HyperbolicEntropy(scale))
        rows.append((np.asarray(G(run.final)), limit.point, limit.certificate.gap, run.status.name))
        progress(0.7 * len(rows) / len(_SCALES), f"scale {scale:g}")
    trained, predicted, gaps, statuses = zip(*rows, strict=True)
    left = [np.linalg.norm(X @ w - y) / np.linalg.norm(y) for w in trained]
    variables, more = _classifier()
    return dataset(
        {
            "scale": (("scale",), np.array(list(_SCALES))),
            "trained": (("scale", "feature"), np.array(trained)),
            "predicted": (("scale", "feature"), np.array(predicted)),
            "gap": (("scale",), np.array(gaps, dtype=float)),
            "left": (("scale",), np.array(left)),
            "simulation_status": (("simulation",), np.array([*statuses, *more])),
        }
        | variables,
        {},
        {"rtol": _RTOL},
    )


def _standardised(X: ndarray) -> ndarray:
    return np.asarray((X - X.mean(axis=0)) / X.std(axis=0))


def _few_patients() -> tuple[Float64[ndarray, "n d"], Float64[ndarray, " n"]]:
    """Return 12 patients with 10 features and their 55 products, so that there are more unknowns than patients."""
    X, y, _ = diabetes()
    chosen = generator(0).permutation(len(y))[:_PATIENTS]
    base = _standardised(X)
    one, other = np.triu_indices(base.shape[1])
    wide = _standardised(np.hstack([base, base[:, one] * base[:, other]]))
    return wide[chosen], _standardised(y)[chosen]


def _classifier() -> tuple[dict[str, Any], list[str]]:
    """Return the flows of theta and of w for the logistic loss of all patients: progress above or below the median."""
    X, y, names = diabetes()
    X = X[:, [names.index(name) for name in _COLUMNS]]
    problem = Classification(_standardised(X), np.where(y > np.median(y), 1, -1))
    u0, G = np.ones(X.shape[1]), HadamardProduct()
    theta0, times = (u0, 0.0 * u0), np.concatenate([[0.0], np.geomspace(0.5, _LATE_MARGINS, 41)])
    flow = GradientFlow(problem.reparametrize(Parametrization.from_function(G.formula)))
    theta = simulate(flow, theta0, times=times, rtol=_RTOL)
    R = G.potential(theta0)
    mirror = simulate(MirrorFlow(problem, R), 0.0 * u0, times=times, rtol=_RTOL)
    best = minimiser(problem)
    w = np.array([G(theta.state(float(t))) for t in times])
    return {
        "classifier_time": (("time",), times),
        "classifier_w": (("time", "column"), w),
        "classifier_mirror": (("time", "column"), np.asarray(mirror.state(times))),
        "classifier_best": (("column",), best),
        "classifier_divergence": (("time",), np.array([R.divergence(best, point) for point in w])),
    }, [theta.status.name, mirror.status.name]


def digits_dataset(progress: Progress) -> Any:
    r"""Return the ends of training of $w = u \odot u$ on the sums of a table of counts.

    Rows are the ten digits, and columns the eight rows of the images. Training sees the sums of the second half of the
    images only. It starts from the constant table, and from the table of the first half.
    """
    old, new = _tables()
    A = _sums(*new.shape)
    problem = LeastSquares(A, A @ new.ravel())
    G = Coordinatewise(jnp.square)
    rows = []
    for start in (np.ones_like(new), old):
        u0 = np.sqrt(start).ravel()
        run = simulate(
            GradientFlow(problem.reparametrize(Parametrization.from_function(G.formula))),
            u0, _LATE_TABLE, times=[_LATE_TABLE], rtol=_RTOL,
        )  # fmt: skip
        limit = interpolant(problem, induced_potential(G, u0), u0 * u0)
        w = np.asarray(G(run.final))
        least = fitted_to_sums(start, new.sum(axis=1), new.sum(axis=0))
        rows.append((w, limit.point, least.ravel(), limit.certificate.gap, run.status.name))
        progress(0.5 * len(rows), "table trained")
    trained, predicted, raked, gaps, statuses = zip(*rows, strict=True)
    independent = np.outer(new.sum(axis=1), new.sum(axis=0)) / new.sum()
    return dataset(
        {
            "table": (("digit", "image_row"), new),
            "trained": (("start", "cell"), np.array(trained)),
            "predicted": (("start", "cell"), np.array(predicted)),
            "raked": (("start", "cell"), np.array(raked)),
            "independent": (("cell",), independent.ravel()),
            "gap": (("start",), np.array(gaps, dtype=float)),
            "simulation_status": (("start",), np.array(statuses)),
        },
        {},
        {"rtol": _RTOL},
    )


def _tables() -> tuple[Float64[ndarray, "10 8"], Float64[ndarray, "10 8"]]:
    """Return the pixel counts of both halves of the images by digit and row of the image, with the mean 1."""
    X, labels = classified("digits")
    counts = X.reshape(len(X), 8, 8).sum(axis=2)
    half = len(X) // 2
    found = []
    for part in (slice(half), slice(half, None)):
        table = np.array([counts[part][labels[part] == digit].sum(axis=0) for digit in range(10)])
        found.append(table / table.mean())
    return found[0], found[1]


def _sums(rows: int, columns: int) -> Float64[ndarray, "n cells"]:
    """Return the matrix that maps the cells of a table to its sums over rows and over columns."""
    return np.vstack([np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))])


def fitted_to_sums(
    start: Float64[ndarray, "r c"], rows: Float64[ndarray, " r"], columns: Float64[ndarray, " c"]
) -> Float64[ndarray, "r c"]:
    """Return the table with these sums whose cells are those of the start times a factor of each row and column.

    It is the table of least relative entropy, found by iterative proportional fitting.
    """
    table = start.astype(float)
    for _ in range(_ROUNDS):
        table = table * (rows / table.sum(axis=1))[:, None]
        table = table * (columns / table.sum(axis=0))[None]
    return table
