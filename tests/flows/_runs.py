"""Small flows of every engine, with many parts each, and an exact comparison of their results."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib

_RNG = np.random.default_rng(0)
_X, _Y = _RNG.standard_normal((10, 3)), _RNG.standard_normal(10)
_NET = {"W": _RNG.standard_normal((3, 6)), "a": _RNG.standard_normal(6)}
_LABELS = np.sign(_X @ [1.0, 2.0, 3.0])


def tanh_net(p: Any, X: Any) -> Any:
    return jnp.tanh(X @ p["W"]) @ p["a"]


def relu_net(p: Any, X: Any) -> Any:
    return jnp.maximum(X @ p["W"], 0.0) @ p["a"]


_SMOOTH = ib.GradientFlow(ib.Problem(tanh_net, _X, _Y), 1e-3)
_SQUARES, _CLASSES = ib.LeastSquares(_X, _Y), ib.Classification(_X, _LABELS)
_HADAMARD = ib.GradientFlow(_SQUARES.reparametrize(ib.HadamardProduct()), 1e-3)
_FITTED = ib.Problem(tanh_net, _X, np.tanh(_X @ _NET["W"]) @ _NET["a"])
_TWO_CLASSES = ib.Problem(tanh_net, _X, _LABELS, "logistic")
_ENTROPY = ib.MirrorFlow(_SQUARES, ib.HyperbolicEntropy(log_scale=-20.0))

# Name: flow, start, and the other arguments of `simulate`.
RUNS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "Gauss-Newton": (_SMOOTH, _NET, {"t1": 1e3}),
    "lagged": (_SMOOTH, _NET, {"t1": 30.0, "solver": "lagged"}),
    "nystrom": (_SMOOTH, _NET, {"t1": 30.0, "solver": "nystrom"}),
    "stabilised": (_SMOOTH, _NET, {"t1": 30.0, "rtol": 1e-6, "solver": "stabilised"}),
    "norm drift": (ib.NormDrift(_FITTED), _NET, {"t1": 20.0, "rtol": 1e-9}),
    "log time of a model": (ib.GradientFlow(_TWO_CLASSES), _NET, {"log_t1": 40.0, "rtol": 1e-4}),
    "explicit": (_SMOOTH, _NET, {"t1": 100.0, "solver": "explicit"}),
    "explicit, then factorised": (_SMOOTH, {name: 1e-3 * leaf for name, leaf in _NET.items()}, {"t1": 1e4}),
    "sliding": (ib.GradientFlow(ib.Problem(relu_net, _X, _Y), 1e-3), _NET, {"t1": 100.0}),
    "dual": (_HADAMARD, (np.full(3, 1e-3), np.zeros(3)), {"t1": 1e3, "rtol": 1e-10}),
    "mirror": (_ENTROPY, np.zeros(3), {"t1": 1e3, "rtol": 1e-10}),
    "log time": (ib.MirrorFlow(_CLASSES, ib.SquaredNorm()), np.zeros(3), {"log_t1": 50.0}),
    "gradient descent": (ib.GradientDescent(ib.Problem(tanh_net, _X, _Y), 0.01), _NET, {"t1": 30.0}),
    "steepest descent": (ib.SteepestDescent(_CLASSES, ib.gauges.LInf()), np.zeros(3), {"t1": 30.0}),
}


def size(t: float, state: Any) -> float:
    """Return the sum of the squared entries, as an observable."""
    return sum(float(np.sum(leaf**2)) for leaf in jax.tree.leaves(state))


def run(name: str, **more: Any) -> ib.Trajectory:
    """Simulate one of `RUNS`; `more` replaces its arguments."""
    flow, start, arguments = RUNS[name]
    return ib.simulate(flow, start, **{"rtol": 1e-6, "observe": {"size": size}, **arguments, **more})


def content(trajectory: ib.Trajectory) -> list[Any]:
    """Return everything in a trajectory but the seconds, in a form in which equality means equality to the last bit."""
    arrays = [trajectory.log_times, trajectory.flat_states, *jax.tree.leaves(trajectory.final)]
    if not trajectory.sampled:
        ends = trajectory.kept_readings
        arrays.append(trajectory.dense.state(ends[:-1] + 0.3 * np.diff(ends)))
    arrays += [trajectory.observables[name] for name in sorted(trajectory.observables)]
    exact = [(array.shape, array.tobytes()) for array in arrays]
    return [*exact, trajectory.status, trajectory.stats._replace(seconds=0.0), trajectory.notes]
