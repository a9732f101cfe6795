"""The exploration of early and late phases: the largest l2 margin and then the largest l1 margin."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import Axes, Curve, Picture, Role
from implicitbias.explorer._setting import Setting

# The largest n and d. Flows are simulated with arrays of this shape, so that no size compiles again.
_ROWS, _COLUMNS = 40, 120
_RULE, _TESTED = 3, 2000
# The last lam (t - T), and the number of times.
_AFTER, _TIMES = 3.0, 240
_RTOL = 1e-3


class SignData(NamedTuple):
    """Rows of random signs; the label is the sign of the sum of the first three."""

    X: Float64[ndarray, "n d"]
    y: Float64[ndarray, " n"]
    X_test: Float64[ndarray, "m d"]
    y_test: Float64[ndarray, " m"]

    def accuracy(self, w: Float64[ndarray, "k d"]) -> Float64[ndarray, " k"]:
        """Return the share of test rows that each w classifies correctly; ties count one half."""
        return np.asarray(np.mean((1.0 + self.y_test[:, None] * np.sign(self.X_test @ w.T)) / 2.0, axis=0))


def sign_data(n: int, d: int, seed: int) -> SignData:
    """Return data whose draws do not depend on n and d, so that moving a size adds or removes rows and columns."""
    rng = np.random.default_rng(seed)
    X = rng.choice([-1.0, 1.0], (_ROWS, _COLUMNS))[:n, :d]
    X_test = rng.choice([-1.0, 1.0], (_TESTED, _COLUMNS))[:, :d]
    labels, test_labels = (np.sign(np.sum(one[:, :_RULE], axis=1)) for one in (X, X_test))
    return SignData(X, labels, X_test, test_labels)


def transition(alpha: float, weight_decay: float, l2_point: Float64[ndarray, " d"]) -> float:
    r"""Return the predicted time T of the transition.

    T is ln(|theta_0| / (M |h_0|)) / (2 lam), with the margin M = ln(1/lam) of the early phase. In the kernel regime of
    u = v = 1, w moves by 2 (h_u - h_v), so that the least norm |h_0| is that of w / 4 and -w / 4 for the w of the
    largest l2 margin.
    """
    reach = 4.0 * math.sqrt(len(l2_point)) / float(np.linalg.norm(l2_point))
    return math.log(reach * alpha**2 / math.log(1.0 / weight_decay)) / (2.0 * weight_decay)


def phases(*, alpha: float, weight_decay: float, n: int, d: int, seed: int) -> Picture:
    """Return the direction of the flow of u^2 - v^2 from u = v = alpha, and the predicted one."""
    from implicitbias.limits import max_margin
    from implicitbias.problems import Classification

    data = sign_data(n, d, seed)
    problem = Classification(data.X, data.y)
    ends = [max_margin(problem, norm).point for norm in ("l2", "l1")]
    turn = max(transition(alpha, weight_decay, ends[0]), 0.0)
    # At the time 0 there is no direction, because w = 0.
    slow = np.linspace(0.0, weight_decay * turn + _AFTER, _TIMES + 1)[1:]
    w, steps, note = _flow(data, alpha, weight_decay, slow)
    slow = slow[: len(w)]
    names = ("largest ℓ2 margin", "largest ℓ1 margin")
    units = np.stack([end / np.linalg.norm(end) for end in ends])
    cosines = w @ units.T / np.maximum(np.linalg.norm(w, axis=1), 1e-300)[:, None]
    corners = np.array([0.0, weight_decay * turn, weight_decay * turn, weight_decay * turn + _AFTER])
    # The predicted direction is that of the first end, and then that of the second one.
    predicted = (units @ units.T)[[0, 0, 1, 1]]
    scores = data.accuracy(units)[[0, 0, 1, 1]]
    directions = [
        Curve(f"cosine to the {name}", x, values[:, place], role, place)
        for x, values, role in ((slow, cosines, Role.FLOW), (corners, predicted, Role.PREDICTION))
        for place, name in enumerate(names)
    ]
    accuracies = (
        Curve("test accuracy", slow, data.accuracy(w), Role.FLOW, 0),
        Curve("test accuracy", corners, scores, Role.PREDICTION, 0),
    )
    later = cosines[:, 1] > cosines[:, 0]
    facts = (
        ("predicted transition λT", f"{weight_decay * turn:.3g}"),
        ("the flow turns at λt", f"{slow[int(np.argmax(later))]:.3g}" if np.any(later) else "never"),
        ("cosine to ℓ1 at the end", f"{cosines[-1, 1]:.4f}"),
        ("steps of the solver", str(steps)),
    )
    if turn == 0.0:
        note = "The start is too small for an early phase: the predicted transition is before the beginning. Move α up."
    return Picture((tuple(directions), accuracies), facts, note)


def _flow(
    data: SignData, alpha: float, weight_decay: float, slow: Float64[ndarray, " m"]
) -> tuple[Float64[ndarray, "k d"], int, str]:
    """Return w at the slow times lam t that the simulation reaches, its steps, and a sentence if it ends early.

    Rows of zeros are added. They change the mean over the rows, and make its gradient smaller by n / _ROWS; with a
    weight decay that is smaller by the same factor, the flow is the same in another unit of time. Columns of zeros
    keep u = v.
    """
    from implicitbias.flows import GradientFlow, simulate
    from implicitbias.parametrizations import SquareDifference
    from implicitbias.problems import Classification

    n, d = data.X.shape
    X, y = np.zeros((_ROWS, _COLUMNS)), np.where(np.arange(_ROWS) % 2 == 0, 1.0, -1.0)
    X[:n, :d], y[:n] = data.X, data.y
    padded, decay = Classification(X, y).reparametrize(SquareDifference()), weight_decay * n / _ROWS
    start = np.full(_COLUMNS, alpha), np.full(_COLUMNS, alpha)
    run = simulate(GradientFlow(padded, decay), start, t1=float(slow[-1]) / decay, rtol=_RTOL)
    last = float(run.times[-1])
    reached = slow[slow <= last * decay * (1.0 + 1e-12)]
    u, v = (np.asarray(leaf) for leaf in run.state(np.minimum(reached / decay, last)))
    note = "" if run.status.ok else f"The simulation stopped early: {run.status.value}."
    return ((u - v) * (u + v))[:, :d], run.stats.steps, note


EARLY_LATE = Exploration(
    "early-late-sparse",
    "From the largest ℓ2 margin to the largest ℓ1 margin",
    "A diagonal network w = u² − v² from a large start u = v = α is a kernel machine at first, and has the largest ℓ2 "
    "margin. Weight decay λ makes its parameters small, and near a predicted time T it turns to the largest ℓ1 margin. "
    "The labels depend on three of d signs, so that the late classifier predicts better. Both margins and T are "
    "computed without training.",
    (
        Setting("alpha", "initialisation α", 0.0, 3.0, 0.1, 1.5, powers=True),
        Setting("weight_decay", "weight decay λ", -7.0, -2.0, 0.1, -4.0, powers=True),
        Setting("n", "samples n", 6, _ROWS, 1, 30),
        Setting("d", "features d", 10, _COLUMNS, 1, 100),
        Setting("seed", "seed of the data", 0, 99, 1, 0),
    ),
    (
        Axes("Direction of w", "slow time λt", "cosine"),
        Axes("Test accuracy", "slow time λt", "share of correct labels"),
    ),
    phases,
)
