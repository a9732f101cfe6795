"""What the laws hold for. A new object is tested by being listed here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse
from scipy.linalg import sqrtm

import implicitbias as ib
from implicitbias.gauges import Gauge
from implicitbias.parametrizations import Diagonal
from implicitbias.problems._loss import NAMED

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
    "p-norm, p = 1.5": ib.PNorm(1.5),
    "smoothed p-norm, p = 1.5": ib.SmoothedPNorm(1.5, 1e-3),
    "3 times a quadratic form": 3 * ib.QuadraticForm(np.diag([1.0, 0.1, 10.0]) + 0.05),
}

# Potentials of matrices of any shape.
SPECTRAL_POTENTIALS: dict[str, ib.Potential] = {
    "squared norm": ib.Spectral(ib.SquaredNorm()),
    "p-norm, p = 3": ib.Spectral(ib.PNorm(3)),
    "p-norm, p = 1.5": ib.Spectral(ib.PNorm(1.5)),
    "hyperbolic entropy, a = 1": ib.Spectral(ib.HyperbolicEntropy(1.0)),
    "hyperbolic entropy, a = 1e-6": ib.Spectral(ib.HyperbolicEntropy(1e-6)),
    "cosh": ib.Spectral(ib.Cosh()),
    "twice a sum": 2.0 * (ib.Spectral(ib.Cosh()) + ib.Spectral(ib.SquaredNorm())),
}


class LogCosh(ib.Loss):
    """A loss of a user's own, given by its value alone."""

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(jnp.log(jnp.cosh(prediction - target)))


# Each with the number of outputs and the targets of one row that it may have.
LOSSES: dict[str, tuple[ib.Loss, int, list[Any]]] = {
    "squared": (NAMED["squared"](), 3, [np.array([0.5, -1.0, 2.0]), np.zeros(3)]),
    "logistic": (NAMED["logistic"](), 1, [np.array([-1.0]), np.array([1.0])]),
    "exponential": (NAMED["exponential"](), 1, [np.array([-1.0]), np.array([1.0])]),
    "cross_entropy": (NAMED["cross_entropy"](), 3, [0, 1, 2]),
    "log cosh, by its value": (LogCosh(), 2, [np.array([0.5, -1.0])]),
}

_u, _v = np.array([1.0, -0.5, 2.0]), np.array([0.3, 0.1, -1.0])
_many = np.random.default_rng(5).standard_normal((4, 3, 2))

# k(0) = 0, grad k(0) = 0; three rows of two parameters, two of them with one function.
FUNCTIONS = [lambda p: jnp.sinh(p[0]) ** 2 - p[1] ** 2, lambda p: 3 * jnp.tanh(p[0] * p[1])]
FUNCTIONS.append(FUNCTIONS[0])

# Made for potentials, with their starts.
_for_entropy = ib.parametrization_for(ib.HyperbolicEntropy([0.1, 1.0, 2.0]), _u)
_for_cosh = ib.parametrization_for(ib.Cosh(), _u)
_for_quadratic_form = ib.parametrization_for(
    ib.QuadraticForm([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]]), _u
)
_for_two_entries = ib.parametrization_for(
    ib.Potential.from_function(lambda w: jnp.sum(jnp.cosh(w)) + 0.5 * jnp.sum(w) ** 2), _u[:2] / 2, largest=1
)

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
    "cubes": (ib.Coordinatewise(lambda x: x**3), _u),
    "cubes, a matrix": (ib.Coordinatewise(lambda x: x**3), _many[2]),
    "u sinh v, by rows": (ib.Featurewise(lambda p: p[0] * jnp.sinh(p[1])), _many[0]),
    "a function for each row": (ib.Featurewise(FUNCTIONS), _many[3]),
    "a function of matrices": (
        ib.Parametrization.from_function(lambda theta: jnp.tanh(theta[0]) @ theta[1].T),
        (_many[0], _many[1]),
    ),
    "for a hyperbolic entropy": (_for_entropy, _for_entropy.start),
    "for cosh": (_for_cosh, _for_cosh.start),
    "for a quadratic form": (_for_quadratic_form, _for_quadratic_form.start),
    "for two entries that mix": (_for_two_entries, _for_two_entries.start),
}

# Those that take seconds to compile.
SLOW = ("for two entries that mix",)

# Those whose flow is the mirror flow of a potential, with a start of (d,) arrays.
MIRRORED = ("u * v", "u^2 - v^2", "depth 2", "for a hyperbolic entropy", "for cosh")

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


@dataclass(frozen=True)
class GaugeCase:
    """A gauge, the shape of its points, the same function in cvxpy, and what it is invariant under.

    Attributes:
        gauge: the gauge.
        shape: of w.
        formula: (cvxpy, variable w) -> expression; where it is called, w satisfies the constraints.
        constraints: (cvxpy, variable w) -> constraints of the points at which the gauge is finite.
        permutes: whether it is invariant under permutations of entries.
        flips: whether it is invariant under changes of sign of single entries.
        rotates: whether it is invariant under orthogonal maps, from both sides for matrices.
    """

    gauge: Gauge
    shape: tuple[int, ...]
    formula: Callable[[Any, Any], Any]
    constraints: Callable[[Any, Any], list[Any]] = lambda cp, w: []
    permutes: bool = False
    flips: bool = False
    rotates: bool = False


_inf = np.inf
_c = np.array([1.0, 0.5, 3.0])
_ellipsoid = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 4.0]])
_root = np.linalg.cholesky(_ellipsoid).T


def _sided(cp: Any, w: Any, plus: list[float], minus: list[float]) -> Any:
    """The weighted lengths of w, finite weights only: infinite ones are constraints."""
    up, down = np.where(np.isinf(plus), 0.0, plus), np.where(np.isinf(minus), 0.0, minus)
    return cp.multiply(up, cp.pos(w)) + cp.multiply(down, cp.neg(w))


GAUGES: dict[str, GaugeCase] = {
    "l1": GaugeCase(ib.gauges.L1(), (4,), lambda cp, w: cp.norm1(w), permutes=True, flips=True),
    "l2": GaugeCase(ib.gauges.L2(), (4,), lambda cp, w: cp.norm2(w), permutes=True, flips=True, rotates=True),
    "linf": GaugeCase(ib.gauges.LInf(), (4,), lambda cp, w: cp.norm_inf(w), permutes=True, flips=True),
    "l1 of a matrix": GaugeCase(
        ib.gauges.L1(), (2, 3), lambda cp, w: cp.sum(cp.abs(w)), permutes=True, flips=True
    ),
    "l1.5": GaugeCase(ib.gauges.Lp(1.5), (4,), lambda cp, w: cp.pnorm(w, 1.5), permutes=True, flips=True),
    "l3": GaugeCase(ib.gauges.Lp(3), (4,), lambda cp, w: cp.pnorm(w, 3), permutes=True, flips=True),
    "l_p, p = 1": GaugeCase(ib.gauges.Lp(1), (3,), lambda cp, w: cp.norm1(w), permutes=True, flips=True),
    "l_p, p = infinity": GaugeCase(
        ib.gauges.Lp(_inf), (3,), lambda cp, w: cp.norm_inf(w), permutes=True, flips=True
    ),
    "weighted l1": GaugeCase(
        ib.gauges.WeightedL1(_c), (3,), lambda cp, w: cp.norm1(cp.multiply(_c, w)), flips=True
    ),
    "weighted l1, weights 0 and infinity": GaugeCase(
        ib.gauges.WeightedL1([0.0, 2.0, _inf, 0.5]),
        (4,),
        lambda cp, w: cp.norm1(cp.multiply(np.array([0.0, 2.0, 0.0, 0.5]), w)),
        lambda cp, w: [w[2] == 0],
        flips=True,
    ),
    "two-sided l1": GaugeCase(
        ib.gauges.TwoSidedL1([1.0, 2.0, 0.5], [3.0, 2.0, 1.0]),
        (3,),
        lambda cp, w: cp.sum(_sided(cp, w, [1.0, 2.0, 0.5], [3.0, 2.0, 1.0])),
    ),
    "two-sided l1, weights 0 and infinity": GaugeCase(
        ib.gauges.TwoSidedL1([0.0, 2.0, _inf, 1.0, _inf], [2.0, 0.0, 1.0, _inf, _inf]),
        (5,),
        lambda cp, w: cp.sum(_sided(cp, w, [0.0, 2.0, _inf, 1.0, _inf], [2.0, 0.0, 1.0, _inf, _inf])),
        lambda cp, w: [w[2] <= 0, w[3] >= 0, w[4] == 0],
    ),
    "weighted l2": GaugeCase(
        ib.gauges.Weighted(ib.gauges.L2(), _c), (3,), lambda cp, w: cp.norm2(cp.multiply(_c, w)), flips=True
    ),
    "two-sided l2, weights 0 and infinity": GaugeCase(
        ib.gauges.Weighted(ib.gauges.L2(), [0.0, 2.0, _inf], [1.0, 3.0, 0.5]),
        (3,),
        lambda cp, w: cp.norm2(_sided(cp, w, [0.0, 2.0, _inf], [1.0, 3.0, 0.5])),
        lambda cp, w: [w[2] <= 0],
    ),
    "two-sided linf, weights 0 and infinity": GaugeCase(
        ib.gauges.Weighted(ib.gauges.LInf(), [0.0, 2.0, _inf, 1.0], [1.0, 3.0, 0.5, _inf]),
        (4,),
        lambda cp, w: cp.max(_sided(cp, w, [0.0, 2.0, _inf, 1.0], [1.0, 3.0, 0.5, _inf])),
        lambda cp, w: [w[2] <= 0, w[3] >= 0],
    ),
    "two-sided l3": GaugeCase(
        ib.gauges.Weighted(ib.gauges.Lp(3), [1.0, 2.0, 0.0], [3.0, 2.0, 1.0]),
        (3,),
        lambda cp, w: cp.pnorm(_sided(cp, w, [1.0, 2.0, 0.0], [3.0, 2.0, 1.0]), 3),
    ),
    "nuclear": GaugeCase(ib.gauges.Nuclear(), (2, 3), lambda cp, w: cp.normNuc(w), rotates=True),
    "spectral": GaugeCase(ib.gauges.Spectral(), (3, 2), lambda cp, w: cp.sigma_max(w), rotates=True),
    "polar of a two-sided l1": GaugeCase(
        ib.gauges.Polar(ib.gauges.TwoSidedL1([1.0, 2.0, 0.5], [3.0, 2.0, 1.0])),
        (3,),
        lambda cp, w: cp.max(_sided(cp, w, [1.0, 0.5, 2.0], [1 / 3, 0.5, 1.0])),
    ),
    "ellipsoid": GaugeCase(
        ib.gauges.Ellipsoid(_ellipsoid),
        (3,),
        lambda cp, w: cp.norm2(np.real(sqrtm(_ellipsoid)) @ w),
    ),
    "ellipsoid, by oracle": GaugeCase(
        ib.gauges.FromOracle(
            lambda w: np.linalg.norm(_root @ w),
            lambda w: _ellipsoid @ w / (np.linalg.norm(_root @ w) or 1.0),
            lambda z: np.linalg.solve(_ellipsoid, z) / (np.sqrt(z @ np.linalg.solve(_ellipsoid, z)) or 1.0),
            lambda shape: ib.gauges.ConicForm(
                sparse.csc_array(np.vstack([np.zeros(3), _root])),
                np.array([1.0, 0.0, 0.0, 0.0]),
                sparse.csc_array((4, 0)),
                (ib.gauges.Cone(ib.gauges.ConeKind.SECOND_ORDER, 4),),
            ),
        ),
        (3,),
        lambda cp, w: cp.norm2(_root @ w),
    ),
}


def _no_atom(cp: Any, w: Any) -> Any:
    raise AssertionError("cvxpy has no expression for this gauge")


# Gauges that the laws hold for and that cvxpy cannot express.
WITHOUT_CVXPY: dict[str, GaugeCase] = {
    "schatten 3": GaugeCase(ib.gauges.Schatten(3), (2, 3), _no_atom, rotates=True),
    "schatten 1.5": GaugeCase(ib.gauges.Schatten(1.5), (3, 2), _no_atom, rotates=True),
    "singular values of a sum": GaugeCase(
        (ib.Spectral(ib.PNorm(3)) + ib.Spectral(ib.PNorm(2))).horizon(), (2, 2), _no_atom, rotates=True
    ),
}
