"""Teachers, inputs and starts of the study of grokking in two-layer ReLU networks with one input."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.problems import Problem
from implicitbias.studies._grokking_flows import Case
from implicitbias.studies._seeds import generator

# The training error at which the data are fitted and the test error at which the model generalises, as shares of the
# mean square of the teacher, which is the error of the function 0.
_FITTED, _GENERAL = 0.01, 0.1
GRID = np.linspace(-2.0, 2.0, 201)
"""The inputs at which functions are compared."""


class ReluNetwork(NamedTuple):
    """A teacher of three ReLUs on [-2, 2], inputs, and the start of a wide network of the same form.

    Attributes:
        units: the number of hidden units.
        inputs: the number of inputs.
        seed: the seed of the inputs and the teacher, and of the start.
        decays: the weight decays of the sweep, from the largest to the smallest one.
        shown: the weight decays whose curves are drawn.
        scales: the scales of the start, in units of the standard deviation 2, from small to large.
        small: the scale of a start from which there is no delay.
        late: the slow time at which runs end.
        rtol: the tolerance of the runs.
    """

    units: int
    inputs: int
    seed: int
    decays: tuple[float, ...] = (1e-3, 3e-4, 1e-4, 3e-5)
    shown: tuple[float, ...] = (1e-3, 1e-4)
    scales: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    small: float = 0.1
    late: float = 60.0
    rtol: float = 1e-7

    def data(self) -> tuple[ndarray, tuple[ndarray, ndarray, ndarray]]:
        """Return the inputs (n,), uniform on [-2, 2], and the standard normal parameters (w, b, a) of the teacher."""
        rng = generator(self.seed)
        x = np.sort(rng.uniform(-2.0, 2.0, self.inputs))
        w, b, a = rng.standard_normal((3, 3))
        return x, (w, b, a)

    def teacher(self, x: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
        """Return the values of the teacher."""
        (values,) = functions(np.concatenate(self.data()[1])[None], x)
        return np.asarray(values)

    def start(self) -> tuple[ndarray, ndarray, ndarray]:
        """Return normal parameters (w, b, a) of the network with standard deviation 2."""
        w, b, a = 2.0 * generator([self.seed, 1]).standard_normal((3, self.units))
        return w, b, a

    def problem(self) -> Problem:
        """Return the training problem."""
        x = self.data()[0]
        return Problem(_network, x[:, None], self.teacher(x))

    def case(self) -> Case:
        """Return the training problem with its errors: mean squares over the inputs and over a grid of [-2, 2]."""
        x = self.data()[0]
        parts = [(points, self.teacher(points)) for points in (x, GRID)]

        def errors(states: Float64[ndarray, "k size"]) -> Float64[ndarray, "k 2"]:
            return np.stack([np.mean((functions(states, at) - f) ** 2, axis=1) for at, f in parts], axis=1)

        unit = float(np.mean(parts[1][1] ** 2))
        return Case(
            problem=self.problem(),
            start=self.start(),
            errors=errors,
            levels=(_FITTED * unit, _GENERAL * unit),
            decays=self.decays,
            slow=(0.1, 1.0),
            late=self.late,
            rtol=self.rtol,
        )


def functions(states: Float64[ndarray, "k size"], x: Float64[ndarray, " m"]) -> Float64[ndarray, "k m"]:
    """Return sum_j a_j max(w_j x + b_j, 0) for rows (w, b, a) of parameters."""
    w, b, a = np.split(states[:, :, None], 3, axis=1)
    return np.asarray(np.sum(a * np.maximum(w * x + b, 0.0), axis=1))


def _network(params: Any, X: Any) -> jax.Array:
    w, b, a = params
    return jax.nn.relu(X * w + b) @ a


SETTINGS = {
    "6-inputs": ReluNetwork(units=30, inputs=6, seed=7, decays=(1e-3, 5e-4, 2.5e-4, 1.25e-4), rtol=1e-6),
    "10-inputs": ReluNetwork(units=100, inputs=10, seed=0),
}
