"""Models of the studies of grokking whose predictions are linear in w: linear regression and diagonal networks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations import HadamardProduct
from implicitbias.problems import LeastSquares, TrainingProblem
from implicitbias.studies._seeds import generator


@dataclass(frozen=True)
class Sweep:
    """What is simulated.

    Attributes:
        decays: the weight decays, from the largest to the smallest one.
        window: (e, T), the slow times between which runs are compared with the drift.
        fast: the end of the fast phase, in the time t.
        end: the slow time at which drifts end.
        rest: the slow time at which runs end.
        scales: factors of the start, in ascending order.
        test_level: the test error that counts as generalisation, as a share of the error of w = 0.
        rtol: the tolerance of all simulations.
    """

    decays: tuple[float, ...]
    window: tuple[float, float]
    fast: float
    end: float
    rest: float
    scales: tuple[float, ...]
    test_level: float
    rtol: float


@dataclass(frozen=True, eq=False)
class Model(ABC):
    """Data, a teacher w*, the start of training and a sweep.

    Attributes:
        X: (n, d) the inputs.
        teacher: (d,) w*, so that y = X w*.
        covariance: (d, d) the covariance of test inputs.
        start: the parameters at the start of training.
        sweep: what is simulated.
    """

    X: Float64[ndarray, "n d"]
    teacher: Float64[ndarray, " d"]
    covariance: Float64[ndarray, "d d"]
    start: Any
    sweep: Sweep

    @property
    def y(self) -> Float64[ndarray, " n"]:
        """The targets, which have no noise."""
        targets: ndarray = self.X @ self.teacher
        return targets

    def train(self, w: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
        """Return the training loss of each w."""
        return np.asarray(np.mean((w @ self.X.T - self.y) ** 2, axis=1) / 2)

    def test(self, w: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
        """Return the mean loss over the distribution of test inputs of each w."""
        apart = w - self.teacher
        return np.asarray(np.sum((apart @ self.covariance) * apart, axis=1) / 2)

    def gradient(self, w: Float64[ndarray, "m d"]) -> Float64[ndarray, "m d"]:
        """Return the gradient of the training loss in w."""
        return np.asarray((w @ self.X.T - self.y) @ self.X / len(self.X))

    def speed(self, states: Any) -> Float64[ndarray, " m"]:
        """Return the norm of the gradient of the loss in the parameters."""
        slopes = self.gradient(self.in_w(states))
        return np.asarray(np.sqrt(np.sum(slopes**2 * self.metric(states), axis=1)))

    def scaled(self, scale: float) -> Any:
        """Return the start times a number."""
        return (
            tuple(scale * leaf for leaf in self.start)
            if isinstance(self.start, tuple)
            else scale * self.start
        )

    @abstractmethod
    def problem(self) -> TrainingProblem:
        """Return the problem in the parameters."""

    @abstractmethod
    def in_w(self, states: Any) -> Float64[ndarray, "m d"]:
        """Return the w of states."""

    @abstractmethod
    def metric(self, states: Any) -> Float64[ndarray, "m d"]:
        """Return the diagonal of G' G'^T for the map G of parameters to w, so that J J^T = X diag(metric) X^T."""

    @abstractmethod
    def growth(self, first: Any, second: Any) -> tuple[float, float]:
        """Return a c >= 0 such that no eigenvalue of the Hessian is below -c between each pair of states.

        The second number is the c of the junction, which is at least the first one, and above 0.
        """


class Linear(Model):
    """Linear regression, whose loss is convex."""

    def problem(self) -> TrainingProblem:
        return LeastSquares(self.X, self.y)

    def in_w(self, states: Any) -> Float64[ndarray, "m d"]:
        return np.asarray(states)

    def metric(self, states: Any) -> Float64[ndarray, "m d"]:
        return np.ones_like(states)

    def growth(self, first: Any, second: Any) -> tuple[float, float]:
        # The junction has the Lipschitz constant of the gradient: with c = 0, -ln(lam) / (2c) would be infinite.
        return 0.0, float(np.linalg.norm(self.X, 2) ** 2 / len(self.X))


class Product(Model):
    """Diagonal networks w = u v."""

    def problem(self) -> TrainingProblem:
        problem: TrainingProblem = LeastSquares(self.X, self.y).reparametrize(HadamardProduct())
        return problem

    def in_w(self, states: Any) -> Float64[ndarray, "m d"]:
        return np.asarray(states[0] * states[1])

    def metric(self, states: Any) -> Float64[ndarray, "m d"]:
        return np.asarray(states[0] ** 2 + states[1] ** 2)

    def growth(self, first: Any, second: Any) -> tuple[float, float]:
        # The Hessian is J^T J / n plus the blocks ((0, g), (g, 0)) with the gradient g in w, which is a quadratic
        # polynomial along the line between two states. It differs from its chord by a quarter of its second-order
        # coefficient at most.
        ends = [np.abs(self.gradient(self.in_w(states))) for states in (first, second)]
        bend = (second[0] - first[0]) * (second[1] - first[1])
        bent = np.abs(bend @ self.X.T @ self.X / len(self.X)) / 4
        largest = float(np.max(np.maximum(*ends) + bent))
        return largest, largest


def linear_model() -> Model:
    """Return linear regression on three strong directions of inputs in 200 dimensions, seen through weak noise."""
    rng = generator(0)
    n, d, noise = 30, 200, 0.05
    strong = np.linalg.qr(rng.standard_normal((d, 3)))[0]
    X = rng.standard_normal((n, 3)) @ strong.T + np.sqrt(noise) * rng.standard_normal((n, d))
    teacher = strong @ np.array([1.5, -1.0, 0.5])
    sweep = Sweep(
        decays=(1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
        window=(1.0, 5.0),
        fast=10.0,
        end=40.0,
        rest=80.0,
        scales=(1.0, 3.0, 10.0, 30.0),
        test_level=0.2,
        rtol=1e-8,
    )
    return Linear(X, teacher, strong @ strong.T + noise * np.eye(d), rng.standard_normal(d), sweep)


def diagonal_model() -> Model:
    """Return a diagonal network of 100 Fourier features, a teacher of three of them, and a start of variance 0.1."""
    rng = generator(1)
    n, d = 30, 100
    place = (np.arange(n) + rng.uniform(0.0, 1.0, n)) / n
    angles = 2 * np.pi * np.outer(place, np.arange(1, d // 2 + 1))
    X = np.sqrt(2) * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    teacher, support = np.zeros(d), rng.choice(d, 3, replace=False)
    teacher[support] = rng.choice([-1.0, 1.0], 3) * rng.uniform(0.5, 1.5, 3)
    start = tuple(np.sqrt(0.1) * rng.standard_normal((2, d)))
    sweep = Sweep(
        decays=(4e-4, 1e-4, 2.5e-5, 6e-6, 1.5e-6),
        window=(0.5, 2.0),
        fast=4.5,
        end=20.0,
        rest=400.0,
        scales=(1.0, 2.0, 4.0, 8.0),
        test_level=0.1,
        rtol=1e-8,
    )
    # The features have mean 0 and variance 1 on the circle, and are orthogonal.
    return Product(X, teacher, np.eye(d), start, sweep)
