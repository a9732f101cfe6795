"""Measurements of the way back: from a potential to a map, and from a wanted norm to a map that is trained."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import interpolant
from implicitbias.parametrizations import (
    Parametrization,
    design_regularizer,
    induced_potential,
    parametrization_for,
)
from implicitbias.potentials import Cosh, HyperbolicEntropy, Potential, QuadraticForm, SmoothedPNorm
from implicitbias.studies._commuting_settings import sparse_regression
from implicitbias.studies._seeds import generator

_W0 = np.array([0.2, -0.5, 1.0])
_POINTS = 12
# The norms that are wanted, each with the relative excess that is allowed.
_WANTED = ((1.0, 0.1), (1.5, 0.02), (1.5, 0.005), (2.0, 0.005))
_LATE, _RTOL = 3e4, 1e-9


def designs_dataset(progress: Progress) -> Any:
    """Return the errors of round trips, and the norms at the ends of training of designed maps."""
    rows = []
    for number, (name, potential) in enumerate(_potentials().items()):
        rows.append((name, *_round_trip(potential)))
        progress(0.5 * (number + 1) / len(_potentials()), f"round trip of {name}")
    names, mirror, value, error = zip(*rows, strict=True)
    designs = [_design(p, closeness) for p, closeness in _WANTED]
    columns = np.array([numbers for numbers, _ in designs]).T
    fields = ("norm", "least", "bound", "apart", "gap", "left", "euclidean")
    return dataset(
        {
            "potential": (("potential",), np.array(names)),
            "mirror_error": (("potential",), np.array(mirror)),
            "value_error": (("potential",), np.array(value)),
            "table_error": (("potential",), np.array(error)),
            "p": (("design",), np.array([p for p, _ in _WANTED])),
            "closeness": (("design",), np.array([closeness for _, closeness in _WANTED])),
            "simulation_status": (("design",), np.array([status for _, status in designs])),
        }
        | {f"design_{name}": (("design",), column) for name, column in zip(fields, columns, strict=True)},
        {},
        {"rtol": _RTOL},
    )


def _potentials() -> dict[str, Potential]:
    A = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]])
    return {
        "hyperbolic entropy": HyperbolicEntropy(0.3),
        "cosh": Cosh(),
        "smoothed 1.5-norm": SmoothedPNorm(1.5, 1e-2),
        "quadratic form": QuadraticForm(A),
    }


def _round_trip(potential: Potential) -> tuple[float, float, float]:
    """Return the relative errors of the mirror map and of the values of the induced potential, and that of the table.

    The induced potential has its minimum at w0, so that its values above this minimum are the divergence of the given
    potential from w0. The map is passed as a user's function, as which squares and linear maps are recognised too.
    """
    G = parametrization_for(potential, _W0)
    back = induced_potential(Parametrization.from_function(G.formula), G.start)
    points = _W0 + generator(5).standard_normal((_POINTS, 3))
    wanted = np.array([potential.mirror(w) - potential.mirror(_W0) for w in points])
    found = np.array([back.mirror(w) for w in points])
    least = back.value(_W0)
    values = np.array([[potential.divergence(w, _W0), back.value(w) - least] for w in points])
    return (
        float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted))),
        float(np.max(np.abs(values[:, 1] - values[:, 0])) / np.max(values[:, 0])),
        float(G.error),
    )


def _design(p: float, closeness: float) -> tuple[tuple[float, ...], str]:
    """Return the norm at the end of training, a lower bound of the least one, the bound of the design, and errors."""
    problem = sparse_regression()
    X, y = problem.linear_map.take(np.arange(10)), problem.targets
    # The lower bound of the least norm from the documentation.
    size = float(np.linalg.norm(y) / np.max(np.linalg.norm(X, axis=0)) * 10.0 ** (1.0 / p - 1.0))
    design = design_regularizer(f"l{p:g}", 10, closeness, size)
    G = Parametrization.from_function(design.parametrization.formula)
    run = simulate(GradientFlow(problem.reparametrize(G)), design.start, _LATE, times=[_LATE], rtol=_RTOL)
    w = np.asarray(design.parametrization(run.final))
    limit = interpolant(problem, design.potential)
    assert limit.multipliers is not None
    least = least_norm_bound(X, y, p, limit.multipliers)
    numbers = (
        float(np.linalg.norm(w, p)),
        least,
        design.excess(least),
        float(np.max(np.abs(w - limit.point)) / np.max(np.abs(limit.point))),
        float(limit.certificate.gap or 0.0),
        float(np.linalg.norm(X @ w - y) / np.linalg.norm(y)),
        float(np.linalg.norm(np.linalg.pinv(X) @ y, p)),
    )
    return numbers, run.status.name


def least_norm_bound(
    X: Float64[ndarray, "n d"], y: Float64[ndarray, " n"], p: float, nu: Float64[ndarray, " n"]
) -> float:
    r"""Return $\langle \nu, y \rangle / \lVert X^\top \nu \rVert_q$ with 1/p + 1/q = 1, at most the least l_p norm."""
    q = np.inf if p == 1.0 else p / (p - 1.0)
    return float(nu @ y / np.linalg.norm(X.T @ nu, q))
