"""`ib.interpolant` and `ib.MinBregman` against closed forms, mpmath, linear programs, and a constrained minimiser."""

from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse
from scipy.optimize import minimize

import implicitbias as ib
from tests.oracles.lp import least_l1
from tests.parametrizations._computed import computed_potential

N, D = 4, 9
_rng = np.random.default_rng(16)
X = _rng.standard_normal((N, D))
Y = _rng.standard_normal(N)
START = _rng.standard_normal(D)
PROBLEM = ib.LeastSquares(X, Y)
_A = _rng.standard_normal((D, D))
FORM = _A @ _A.T + 0.1 * np.eye(D)

# With the smooth ones a general constrained minimiser agrees to many digits.
POTENTIALS: dict[str, ib.Potential] = {
    "squared norm": ib.SquaredNorm(),
    "entropy, a = 1": ib.HyperbolicEntropy(1.0),
    "entropy, scales": ib.HyperbolicEntropy(np.logspace(-1, 1, D)),
    "l3": ib.PNorm(3),
    "l1.5": ib.PNorm(1.5),
    "cosh": ib.Cosh(),
    "twice a sum": 2.0 * (ib.Cosh() + ib.HyperbolicEntropy(0.1)),
    "quadratic form": ib.QuadraticForm(FORM),
    "composed": ib.HyperbolicEntropy(0.5).compose(_A),
    "function": ib.Potential.from_function(lambda w: jnp.sum(jnp.cosh(w)) + 0.5 * jnp.sum(w) ** 2),
}

COMPILED_LONG = ("twice a sum", "composed", "function")


class Entropy(ib.SeparablePotential):
    """The potential w ln w - w of positive w."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return w * jnp.log(w) - w

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return jnp.log(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return jnp.exp(z)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return jnp.exp(z)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return jnp.all(w > 0.0)


class Logistic(Entropy):
    """The potential w ln w + (1 - w) ln(1 - w) of w between 0 and 1."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return w * jnp.log(w) + (1.0 - w) * jnp.log1p(-w)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return jnp.log(w) - jnp.log1p(-w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(z)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return jnp.all((w > 0.0) & (w < 1.0))


def _proved(limit: ib.Limit, problem: Any, potential: Any, start: Any = None) -> None:
    assert limit.status.ok, str(limit.certificate)
    assert limit.certificate.gap is not None
    assert limit.certificate.gap <= 1e-10
    again = ib.certify(problem, limit.point, ib.MinBregman(potential, start))
    assert again.holds, str(again)


# Oracle: SciPy's minimiser of the divergence over w0 + null space, which knows nothing of duals.
@pytest.mark.parametrize("start", [None, START], ids=["centre", "start"])
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in COMPILED_LONG else ()) for name in POTENTIALS],
)
def test_against_a_constrained_minimiser(name: str, start: Any) -> None:
    potential = POTENTIALS[name]
    limit = ib.interpolant(PROBLEM, potential, start)
    _proved(limit, PROBLEM, potential, start)
    origin = np.zeros(D) if start is None else start
    null = np.linalg.svd(X)[2][N:].T
    base = np.linalg.lstsq(X, Y, rcond=None)[0]
    z0 = potential.mirror(origin)

    def value(c: ndarray) -> tuple[float, ndarray]:
        w = base + null @ c
        return potential.value(w) - z0 @ w, null.T @ (potential.mirror(w) - z0)

    best = minimize(value, np.zeros(D - N), jac=True, method="BFGS", options={"gtol": 1e-11}).x
    np.testing.assert_allclose(limit.point, base + null @ best, atol=2e-6)
    np.testing.assert_allclose(limit.value, potential.divergence(base + null @ best, origin), rtol=1e-8)
    np.testing.assert_allclose(limit.dual, X.T @ limit.multipliers, atol=1e-12)


# Closed form: w0 + A^-1 X^T (X A^-1 X^T)^-1 (y - X w0).
def test_a_quadratic_form() -> None:
    inverse = np.linalg.inv(FORM)
    weighted = inverse @ X.T @ np.linalg.solve(X @ inverse @ X.T, Y - X @ START)
    limit = ib.interpolant(PROBLEM, ib.QuadraticForm(FORM), START)
    np.testing.assert_allclose(limit.point, START + weighted, rtol=1e-9, atol=1e-11)


# Oracle: the n equations X a sinh(2 X^T nu) = y in 60 digits, from the solution at a larger scale.
def test_tiny_cases_in_many_digits() -> None:
    rows, y = X[:2, :3], Y[:2]
    problem = ib.LeastSquares(rows, y)
    with mpmath.workdps(60):
        nu = mpmath.matrix([0.0, 0.0])
        for power in range(0, 31):
            a = mpmath.mpf(10) ** (-power)

            def equations(*nu: Any, a: Any = a) -> list[Any]:
                z = [sum(mpmath.mpf(float(rows[i, j])) * nu[i] for i in range(2)) for j in range(3)]
                w = [a * mpmath.sinh(2 * part) for part in z]
                return [
                    sum(mpmath.mpf(float(rows[i, j])) * w[j] for j in range(3)) - mpmath.mpf(float(y[i]))
                    for i in range(2)
                ]

            nu = mpmath.findroot(equations, list(nu), tol=1e-40, maxsteps=200)
            if power in (0, 3, 12, 30):
                exact = [
                    a * mpmath.sinh(2 * sum(float(rows[i, j]) * nu[i] for i in range(2))) for j in range(3)
                ]
                got = ib.interpolant(problem, ib.HyperbolicEntropy(10.0**-power)).point
                np.testing.assert_allclose(got, [float(part) for part in exact], rtol=1e-10)


# Limits: the l_1 minimiser (by a linear program) as the scale goes to 0, and the l_2 minimiser as it grows.
def test_small_and_large_scales() -> None:
    least, _ = least_l1(X, Y)
    for log_scale in (-345.0, -4605.0):
        phi = ib.HyperbolicEntropy(log_scale=log_scale)
        limit = ib.interpolant(PROBLEM, phi)
        _proved(limit, PROBLEM, phi)
        np.testing.assert_allclose(np.sum(np.abs(limit.point)), least, rtol=1e-9)
    wide = ib.interpolant(PROBLEM, ib.HyperbolicEntropy(1e6))
    np.testing.assert_allclose(wide.point, np.linalg.lstsq(X, Y, rcond=None)[0], atol=1e-11)


# From a start far from the data at a scale of 1e-150, coordinates change their sign, for which z moves by 345.
@pytest.mark.parametrize("log_scale", [-20.0, -345.0])
def test_small_scales_from_a_start(log_scale: float) -> None:
    phi = ib.HyperbolicEntropy(log_scale=log_scale)
    limit = ib.interpolant(PROBLEM, phi, START)
    _proved(limit, PROBLEM, phi, START)
    np.testing.assert_allclose(X @ limit.point, Y, atol=1e-11)


# Data that a sparse point fits give degenerate linear programs: fewer than n entries are visible.
def test_targets_of_a_sparse_point() -> None:
    sparse_point = np.array([1.0, -2.0, *np.zeros(D - 2)])
    problem = ib.LeastSquares(X, X @ sparse_point)
    phi = ib.HyperbolicEntropy(1e-150)
    limit = ib.interpolant(problem, phi)
    _proved(limit, problem, phi)
    assert np.sum(np.abs(limit.point)) <= 3.0 + 1e-9


@pytest.mark.parametrize("name", ["squared norm", "entropy, a = 1", "l3"])
def test_dependent_rows_give_the_least_squares_solutions(name: str) -> None:
    rows, y = np.vstack([X, X[:2]]), np.append(Y, Y[:2] + 1.0)
    problem, reduced = ib.LeastSquares(rows, y), ib.LeastSquares(X, np.append(Y[:2] + 0.5, Y[2:]))
    limit = ib.interpolant(problem, POTENTIALS[name])
    _proved(limit, problem, POTENTIALS[name])
    np.testing.assert_allclose(limit.point, ib.interpolant(reduced, POTENTIALS[name]).point, atol=1e-10)
    assert "depend" in limit.certificate.sentence
    np.testing.assert_allclose(limit.dual, rows.T @ limit.multipliers, atol=1e-11)


def test_more_rows_than_columns() -> None:
    tall, y = _rng.standard_normal((12, 3)), _rng.standard_normal(12)
    limit = ib.interpolant(ib.LeastSquares(tall, y), ib.HyperbolicEntropy(1e-3))
    assert limit.certificate.holds
    np.testing.assert_allclose(limit.point, np.linalg.lstsq(tall, y, rcond=None)[0], atol=1e-12)


def test_sparse_data() -> None:
    S = sparse.random(20, 300, 0.1, random_state=1)
    y = np.random.default_rng(2).standard_normal(20)
    phi = ib.HyperbolicEntropy(1e-4)
    points = [ib.interpolant(ib.LeastSquares(A, y), phi).point for A in (S, S.toarray())]
    np.testing.assert_allclose(points[0], points[1], atol=1e-11)


def test_units() -> None:
    """The interpolants of (c X, y) and of the scale a / c are equal up to the factor c."""
    c = 1e6
    one = ib.interpolant(PROBLEM, ib.HyperbolicEntropy(1e-2)).point
    other = ib.interpolant(ib.LeastSquares(c * X, Y), ib.HyperbolicEntropy(1e-2 / c)).point
    np.testing.assert_allclose(c * other, one, rtol=1e-9, atol=1e-13)


COMPLETION = ib.LeastSquares.entries([0, 0, 1, 1, 2], [0, 1, 1, 2, 0], [2.0, -1.0, 1.0, 0.5, 1.0], (3, 3))


@pytest.mark.parametrize("scalar", [ib.SquaredNorm(), ib.HyperbolicEntropy(1e-3), ib.HyperbolicEntropy(1e-6)])
def test_matrices(scalar: Any) -> None:
    phi = ib.Spectral(scalar)
    limit = ib.interpolant(COMPLETION, phi)
    _proved(limit, COMPLETION, phi)
    assert limit.point.shape == limit.dual.shape == (3, 3)
    # Entries that are not observed have a multiplier of 0, and the mirror map is supported on the observed ones.
    hidden = np.ones((3, 3), dtype=bool)
    hidden[COMPLETION.rows, COMPLETION.cols] = False
    np.testing.assert_allclose(phi.mirror(limit.point)[hidden], 0.0, atol=1e-5)


def test_matrices_of_tiny_scale_have_the_least_nuclear_norm() -> None:
    limit = ib.interpolant(COMPLETION, ib.Spectral(ib.HyperbolicEntropy(1e-150)))
    least = ib.certify(COMPLETION, limit.point, ib.MinNorm(ib.gauges.Nuclear()))
    assert limit.certificate.holds
    assert least.gap is not None
    assert least.gap <= 1e-2


def test_certificates_refute_other_points() -> None:
    phi = ib.HyperbolicEntropy(1e-3)
    best = ib.interpolant(PROBLEM, phi)
    null = np.linalg.svd(X)[2][-1]
    for size in (1e-2, 1.0):
        other = best.point + size * null
        certificate = ib.certify(PROBLEM, other, ib.MinBregman(phi))
        assert not certificate.holds
        assert certificate.residuals["stationarity"] <= 1e-10
        value = phi.divergence(other, np.zeros(D))
        # The gap bounds the relative excess.
        assert certificate.gap is not None
        assert certificate.gap >= (value - best.value) / value
    assert not ib.certify(PROBLEM, best.point * 1.001, ib.MinBregman(phi)).holds
    assert not ib.certify(PROBLEM, best.point, ib.MinBregman(phi, START)).holds


def test_a_start_that_fits_is_returned() -> None:
    problem = ib.LeastSquares(X, X @ START)
    limit = ib.interpolant(problem, ib.HyperbolicEntropy(1e-2), START)
    np.testing.assert_allclose(limit.point, START, rtol=1e-12)
    assert limit.certificate.holds
    assert limit.value <= 1e-20


def test_bounded_domains() -> None:
    inside = ib.LeastSquares(X, X @ np.linspace(0.1, 0.9, D))
    for phi in (Entropy(), Logistic()):
        limit = ib.interpolant(inside, phi)
        assert limit.certificate.holds
        assert phi.contains(limit.point)
    with pytest.raises(ib.InfeasibleError, match="no point in the domain of Entropy") as raised:
        ib.interpolant(ib.LeastSquares(np.abs(X), -np.ones(N)), Entropy())
    assert raised.value.certificate.holds
    # Farkas: the combination of the rows is nowhere positive, and that of the targets is.
    direction = raised.value.combination
    assert np.all(np.abs(X).T @ direction <= 0.0)
    assert direction @ -np.ones(N) > 0.0
    with pytest.raises(ib.InfeasibleError, match="domain of Logistic"):
        ib.interpolant(ib.LeastSquares(X, 100.0 * Y), Logistic())


# Cubes of positive parameters stay positive along every flow, so that no negative target is reached. The row that is
# there twice shares its weight.
@pytest.mark.parametrize(
    "potential", [ib.induced_potential, pytest.param(computed_potential, marks=pytest.mark.slow)]
)
def test_targets_outside_the_domain_of_a_map(potential: Any) -> None:
    rows, targets = np.array([[1.0, 2.0], [3.0, 1.0], [3.0, 1.0]]), np.array([1.0, -2.0, -2.0])
    with pytest.raises(ib.InfeasibleError, match=r"at most -?.*e-.* in the domain") as raised:
        ib.interpolant(ib.LeastSquares(rows, targets), potential(lambda theta: theta**3, np.ones(2)))
    assert raised.value.certificate.holds
    direction = raised.value.combination
    assert np.all(rows.T @ direction <= 1e-12)
    assert direction @ targets > 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((ib.Problem(lambda p, x: x @ p, X, Y), ib.SquaredNorm()), "expects a problem that is linear in w"),
        ((ib.Classification(X, [1, -1, 1, -1]), ib.SquaredNorm()), r"ib\.max_margin\(problem, potential\)"),
        ((PROBLEM, "l1"), "a potential is expected"),
        ((PROBLEM, ib.HyperbolicEntropy), "the class HyperbolicEntropy"),
        ((PROBLEM, ib.HyperbolicEntropy([1.0, 2.0])), "2 entries, but w has 9"),
        ((PROBLEM, ib.Spectral(ib.SquaredNorm())), "potential of matrices"),
        ((PROBLEM, Entropy(), -np.ones(D)), "start lies outside the domain"),
        ((PROBLEM, ib.SquaredNorm(), np.ones(2)), "start"),
    ],
)
def test_bad_input(arguments: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.interpolant(*arguments)


def test_points_outside_the_domain_are_refused() -> None:
    with pytest.raises(ib.InputError, match="point lies outside the domain"):
        ib.certify(PROBLEM, -np.ones(D), ib.MinBregman(Entropy()))
