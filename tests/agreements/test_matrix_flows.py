"""Mirror flows and steepest descents of matrices, against other integrations and the predicted classifiers."""

import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib

SHAPE = (3, 4)


def _data(n: int = 8, seed: int = 1) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, *SHAPE))
    planted = np.outer(rng.standard_normal(SHAPE[0]), rng.standard_normal(SHAPE[1]))
    return X, np.sign(np.tensordot(X, planted, axes=2))


X, Y = _data()
PROBLEM = ib.Classification(X, Y)


# Oracle: SciPy's integrator of dZ / dt = -grad L(W) in plain time, with W = a U sinh(2 sigma) V^T by NumPy.
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_the_flow_against_scipy(loss: str) -> None:
    scale, end = 0.1, 40.0

    def field(t: float, z: ndarray) -> ndarray:
        U, s, V = np.linalg.svd(z.reshape(SHAPE), full_matrices=False)
        margins = Y * np.tensordot(X, (U * (scale * np.sinh(2.0 * s))) @ V, axes=2)
        weights = np.exp(-margins) if loss == "exponential" else 1.0 / (1.0 + np.exp(margins))
        return np.tensordot(weights * Y, X, axes=1).ravel() / len(Y)

    z = solve_ivp(field, (0.0, end), np.zeros(12), method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    U, s, V = np.linalg.svd(z.reshape(SHAPE), full_matrices=False)
    expected = (U * (scale * np.sinh(2.0 * s))) @ V
    flow = ib.MirrorFlow(ib.Classification(X, Y, loss=loss), ib.Spectral(ib.HyperbolicEntropy(scale)))
    trajectory = ib.simulate(flow, np.zeros(SHAPE), t1=end, rtol=1e-7)
    assert trajectory.final.shape == SHAPE
    np.testing.assert_allclose(trajectory.final, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(trajectory.dual(end), z.reshape(SHAPE), atol=1e-5 * np.abs(z).max())
    assert trajectory.dual(np.array([1.0, end])).shape == (2, *SHAPE)
    coarse = ib.simulate(flow, np.zeros(SHAPE), t1=end)
    np.testing.assert_allclose(coarse.final, expected, atol=1e-2 * np.abs(expected).max())


# Oracle: the predicted classifier, and SciPy's integrator in plain time with W = U sigma^(1/2) V^T by NumPy. From 0 and
# from a matrix of rank 1 the derivative of W in the dual variable is infinite at the start.
@pytest.mark.parametrize("rank", [0, 1])
def test_schatten_norms_above_two_from_matrices_of_low_rank(rank: int) -> None:
    start, end = np.diag([1.0] * rank + [0.0] * (3 - rank)) @ np.eye(*SHAPE), 40.0

    def matrix(z: ndarray) -> ndarray:
        U, s, V = np.linalg.svd(z.reshape(SHAPE), full_matrices=False)
        return (U * np.sqrt(s)) @ V

    def field(t: float, z: ndarray) -> ndarray:
        weights = np.exp(-Y * np.tensordot(X, matrix(z), axes=2))
        return np.tensordot(weights * Y, X, axes=1).ravel() / len(Y)

    # The mirror map of the start, which has the singular values 0 and 1, is the start.
    z = solve_ivp(field, (0.0, end), start.ravel(), method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
    flow = ib.MirrorFlow(ib.Classification(X, Y, loss="exponential"), ib.Spectral(ib.PNorm(3)))
    trajectory = ib.simulate(flow, start, t1=end, rtol=1e-7)
    np.testing.assert_allclose(trajectory.final, matrix(z), atol=1e-5 * np.abs(trajectory.final).max())
    late = ib.simulate(flow, start, log_t1=23_000.0)
    assert late.status is ib.Status.REACHED_TIME
    assert ib.diagnostics.distance_to(ib.max_margin(PROBLEM, ib.gauges.Schatten(3)))(0.0, late.final) < 1e-3


# Oracle: the flow of the entries, and the predicted classifier; the distance falls like 1 / ln t.
def test_the_squared_norm() -> None:
    limit = ib.max_margin(PROBLEM, ib.Spectral(ib.SquaredNorm()))
    flow = ib.MirrorFlow(PROBLEM, ib.Spectral(ib.SquaredNorm()))
    vector = ib.MirrorFlow(ib.Classification(X.reshape(8, -1), Y), ib.SquaredNorm())
    far = ib.diagnostics.distance_to(limit)
    distances = []
    for log_time in (1e3, 1e5):
        trajectory = ib.simulate(flow, np.zeros(SHAPE), log_t1=log_time)
        assert trajectory.status is ib.Status.REACHED_TIME
        distances.append(far(0.0, trajectory.final))
        entries = ib.simulate(vector, np.zeros(12), log_t1=log_time).final
        np.testing.assert_allclose(trajectory.final.ravel(), entries, rtol=1e-3, atol=1e-3 * log_time)
    assert distances[0] < 5e-3
    assert distances[1] < 5e-5


# Claim: the margin in the nuclear norm tends to the largest one. By the loss bound with the competitor (ln t / margin)
# times the classifier, the gap falls like 1 / ln of the size of w, and the nuclear limit has the rank that w tends to.
@pytest.mark.parametrize("scale", [0.1, 1e-6])
def test_the_spectral_entropy_tends_to_the_nuclear_classifier(scale: float) -> None:
    phi = ib.Spectral(ib.HyperbolicEntropy(scale))
    limit = ib.max_margin(PROBLEM, phi)
    margin, far = ib.diagnostics.margin_in(PROBLEM, phi.horizon()), ib.diagnostics.distance_to(limit)
    shares, distances, logs = [], [], []
    for log_time in (1e3, 1e6, 1e12):
        trajectory = ib.simulate(ib.MirrorFlow(PROBLEM, phi), np.zeros(SHAPE), log_t1=log_time)
        assert trajectory.status is ib.Status.REACHED_TIME
        shares.append(1.0 - margin(0.0, trajectory.final) / limit.margin)
        distances.append(far(0.0, trajectory.final))
        logs.append(np.log(ib.gauges.Nuclear().value(trajectory.final) / scale))
    assert 0.0 < shares[2] < shares[1] < shares[0] < 0.1
    assert shares[2] < 0.01
    assert distances[2] < distances[1] < distances[0]
    # Law of the sublevel sets: phi(w) = ||w||_* (ln(||w||_* / a) + O(1)) / 2, so that the gap is at most c / ln. The
    # O(1) is at most 1 + ln 3 for three singular values.
    assert np.all(np.array(shares) * logs < 1.0 + np.log(3.0))
    wrong = ib.max_margin(PROBLEM, "l2")
    assert distances[2] < 0.5 * ib.diagnostics.distance_to(wrong)(0.0, trajectory.final)


# Oracle: the flow of the vectors on the diagonals.
def test_diagonal_matrices_are_the_vector_case() -> None:
    rows = np.random.default_rng(4).standard_normal((6, 3))
    y = np.sign(rows @ np.array([1.0, -2.0, 0.5]))
    phi = ib.HyperbolicEntropy(0.1)
    vector = ib.simulate(ib.MirrorFlow(ib.Classification(rows, y), phi), np.zeros(3), log_t1=1e3, rtol=1e-6)
    matrices = ib.Classification(np.stack([np.diag(row) for row in rows]), y)
    flow = ib.MirrorFlow(matrices, ib.Spectral(phi))
    final = ib.simulate(flow, np.zeros((3, 3)), log_t1=1e3, rtol=1e-6).final
    size = np.abs(vector.final).max()
    np.testing.assert_allclose(final, np.diag(vector.final), atol=1e-3 * size)


# Law: rotations of the data rotate the flow.
def test_rotations() -> None:
    rng = np.random.default_rng(5)
    P, Q = (np.linalg.qr(rng.standard_normal((size, size)))[0] for size in SHAPE)
    phi = ib.Spectral(ib.HyperbolicEntropy(0.1))
    start = 0.1 * rng.standard_normal(SHAPE)
    first = ib.simulate(ib.MirrorFlow(PROBLEM, phi), start, log_t1=20.0, rtol=1e-7).final
    turned = ib.MirrorFlow(ib.Classification(P @ X @ Q, Y), phi)
    final = ib.simulate(turned, P @ start @ Q, log_t1=20.0, rtol=1e-7).final
    np.testing.assert_allclose(final, P @ first @ Q, atol=1e-5 * np.abs(first).max())


# Claim: the loss is at most min_w L(w) + D(w, w_0) / t along the run, here with multiples of the classifier as w.
def test_the_loss_bound() -> None:
    phi = ib.Spectral(ib.HyperbolicEntropy(0.1))
    limit = ib.max_margin(PROBLEM, phi)
    flow = ib.MirrorFlow(PROBLEM, phi)
    times = np.geomspace(1.0, 1e6, 7)
    trajectory = ib.simulate(flow, np.zeros(SHAPE), times=times)
    for t in times:
        bound = min(
            PROBLEM.loss(size * limit.point) + phi.divergence(size * limit.point, np.zeros(SHAPE)) / t
            for size in np.geomspace(0.1, 100.0, 60)
        )
        assert PROBLEM.loss(trajectory.state(t)) <= bound


# Claim: with steps eta / sqrt(k), the margin of each steepest descent tends to the largest one in its own norm.
@pytest.mark.parametrize(
    "gauge",
    [ib.gauges.Spectral(), ib.gauges.Nuclear(), ib.gauges.Schatten(3), ib.gauges.L2()],
    ids=["spectral", "nuclear", "schatten 3", "frobenius"],
)
def test_steepest_descents(gauge: ib.gauges.Gauge) -> None:
    limit = ib.max_margin(PROBLEM, gauge)
    margin = ib.diagnostics.margin_in(PROBLEM, gauge)
    descent = ib.SteepestDescent(PROBLEM, gauge, step_size=0.3)
    gaps = []
    for steps in (1000, 8000):
        final = ib.simulate(descent, np.zeros(SHAPE), t1=descent.time(steps)).final
        gaps.append(1.0 - margin(0.0, final) / limit.margin)
    assert -1e-9 <= gaps[1] < gaps[0]
    assert gaps[1] < 0.05
    angle = ib.diagnostics.angle_to(limit.point)(0.0, final)
    assert 0.0 <= angle < 20.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: ib.MirrorFlow(ib.Classification(X.reshape(8, -1), Y), ib.Spectral(ib.Cosh())),
            r"Spectral is a potential of matrices, but w has shape \(12,\)",
        ),
        (
            lambda: ib.MirrorFlow(ib.LeastSquares(X.reshape(8, -1), Y), ib.Spectral(ib.Cosh())),
            "a potential of matrices",
        ),
        (
            lambda: ib.MirrorFlow(PROBLEM, ib.HyperbolicEntropy(np.ones(4))),
            "log_scale has 4 entries, but X has 12 columns",
        ),
        (
            lambda: ib.simulate(
                ib.MirrorFlow(PROBLEM, ib.Spectral(ib.SquaredNorm())), np.zeros(12), log_t1=1.0
            ),
            r"start has shape \(12,\)",
        ),
        (lambda: ib.SteepestDescent(PROBLEM, ib.gauges.WeightedL1(np.ones(12))), "w has shape"),
    ],
)
def test_bad_input_is_refused_in_words(make: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        make()  # type: ignore[operator]
