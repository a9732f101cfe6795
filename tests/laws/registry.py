"""What the laws hold for. A new object is tested by being listed here."""

import numpy as np
from numpy import ndarray

import implicitbias as ib

# Three coordinates each, so that potentials with a scale for each coordinate fit in.
DIMENSION = 3

POTENTIALS: dict[str, ib.Potential] = {
    "squared norm": ib.SquaredNorm(),
    "hyperbolic entropy, a = 1": ib.HyperbolicEntropy(1.0),
    "hyperbolic entropy, a = 1e-6": ib.HyperbolicEntropy(1e-6),
    "hyperbolic entropy, three scales": ib.HyperbolicEntropy([0.1, 1.0, 20.0]),
    "hyperbolic entropy, alpha = 1e-1000": ib.HyperbolicEntropy(log_scale=2 * np.log(10) * -1000),
}

# Each with a start at which `potential` exists.
PARAMETRIZATIONS: dict[str, tuple[ib.Parametrization, tuple[ndarray, ...]]] = {
    "u * v": (ib.HadamardProduct(), (np.array([1.0, -0.5, 2.0]), np.array([0.3, 0.1, -1.0]))),
}
