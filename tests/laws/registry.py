"""What the laws hold for. A new object is tested by being listed here."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from implicitbias.parametrizations import Diagonal

# Three coordinates each, so that potentials with a scale for each coordinate fit in.
DIMENSION = 3

POTENTIALS: dict[str, ib.Potential] = {
    "squared norm": ib.SquaredNorm(),
    "hyperbolic entropy, a = 1": ib.HyperbolicEntropy(1.0),
    "hyperbolic entropy, a = 1e-6": ib.HyperbolicEntropy(1e-6),
    "hyperbolic entropy, three scales": ib.HyperbolicEntropy([0.1, 1.0, 20.0]),
    "hyperbolic entropy, alpha = 1e-1000": ib.HyperbolicEntropy(log_scale=2 * np.log(10) * -1000),
    "3 times the squared norm": 3 * ib.SquaredNorm(),
    "half a hyperbolic entropy, three scales": 0.5 * ib.HyperbolicEntropy([0.1, 1.0, 20.0]),
    "half a hyperbolic entropy, alpha = 1e-100": 0.5 * ib.HyperbolicEntropy(log_scale=2 * np.log(10) * -100),
    "quadratic form": ib.QuadraticForm([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]]),
    "3 times a quadratic form": 3 * ib.QuadraticForm(np.diag([1.0, 0.1, 10.0]) + 0.05),
}

_u, _v = np.array([1.0, -0.5, 2.0]), np.array([0.3, 0.1, -1.0])
_many = np.random.default_rng(5).standard_normal((4, 3, 2))

# k(0) = 0, grad k(0) = 0; three rows of two parameters, two of them with one function.
FUNCTIONS = [lambda p: jnp.sinh(p[0]) ** 2 - p[1] ** 2, lambda p: 3 * jnp.tanh(p[0] * p[1])]
FUNCTIONS.append(FUNCTIONS[0])

# Each with parameters at which everything exists.
PARAMETRIZATIONS: dict[str, tuple[ib.Parametrization, Any]] = {
    "u * v": (ib.HadamardProduct(), (_u, _v)),
    "u * v, matrices": (ib.HadamardProduct(), (_many[0], _many[1])),
    "u^2 - v^2": (ib.SquareDifference(), (_u, _v)),
    "u^2 - v^2, matrices": (ib.SquareDifference(), (_many[0], _many[1])),
    "depth 2": (ib.DeepDiagonal(2), (_u, _v)),
    "depth 4": (ib.DeepDiagonal(4), tuple(_many.reshape(4, 6))),
    "depth 3, zeros": (ib.DeepDiagonal(3), (_u, np.zeros(3), np.array([0.0, 1.0, 2.0]))),
    "U V^T": (ib.MatrixProduct(), (_many[0], _many[1, :2])),
    "U V^T, wide": (ib.MatrixProduct(), (_many[0].T[:1], _many[1].T)),
    "U U^T - V V^T": (ib.MatrixDifference(), (_many[0], _many[1])),
    "U U^T - V V^T, two ranks": (ib.MatrixDifference(), (_many[0], _many[1][:, :1])),
    "sinh": (ib.Coordinatewise(jnp.sinh), _u),
    "cubes, a matrix": (ib.Coordinatewise(lambda x: x**3), _many[2]),
    "u sinh v, by rows": (ib.Featurewise(lambda p: p[0] * jnp.sinh(p[1])), _many[0]),
    "a function for each row": (ib.Featurewise(FUNCTIONS), _many[3]),
}

# Those whose flow is the mirror flow of a potential, with a start of (d,) arrays.
MIRRORED = ("u * v", "u^2 - v^2", "depth 2")

# Those with growth times: a direction and the order D of w in theta at 0.
GROWING: dict[str, tuple[Diagonal, Any, int]] = {
    "u * v": (ib.HadamardProduct(), (_u, _v), 2),
    "u * v, one sign each": (ib.HadamardProduct(), (_u, np.array([1.0, 0.5, 2.0])), 2),
    "u^2 - v^2": (ib.SquareDifference(), (_u, _v), 2),
    "depth 2": (ib.DeepDiagonal(2), (_u, _v), 2),
    "depth 3": (ib.DeepDiagonal(3), (_u, _v, np.array([0.5, 0.7, -0.6])), 3),
    "depth 3, zeros and ties": (
        ib.DeepDiagonal(3),
        (np.ones(3), np.array([0.0, 1.0, -1.0]), np.array([2.0, 1.0, 3.0])),
        3,
    ),
    "depth 4": (ib.DeepDiagonal(4), tuple(_many[:, :, 0]), 4),
    "depth 5": (ib.DeepDiagonal(5), tuple(np.random.default_rng(6).uniform(-1.5, 1.5, (5, 3))), 5),
    "u sinh v, by rows": (ib.Featurewise(lambda p: p[0] * jnp.sinh(p[1])), _many[0], 2),
    "a function for each row": (ib.Featurewise(FUNCTIONS), _many[3], 2),
}
