"""Early and late phases: the paper's sparse data against jitted gradient descent, and the tangent-kernel machine."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.svm import SVC, OneClassSVM

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

ROWS, INPUTS, START, DECAY, RATE, END = 256, 100_000, 0.286, 1e-3, 0.01, 1e4
DESCENT_STEPS = 100
MACHINE_ROWS, COST = 2000, 1e10


def descent(X: np.ndarray, y: np.ndarray) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return gradient descent in float32, compiled by JAX, for a part of the steps."""
    Xs, ys = jnp.asarray(X, jnp.float32), jnp.asarray(y, jnp.float32)

    def loss(theta: Any) -> jax.Array:
        u, v = theta
        return jnp.mean(jax.nn.softplus(-ys * (Xs @ (u * u - v * v))))

    def step(_: int, theta: Any) -> Any:
        slope = jax.grad(loss)(theta)
        return jax.tree.map(lambda p, g: p - RATE * (g + DECAY * p), theta, slope)

    run = jax.jit(lambda theta: jax.lax.fori_loop(0, DESCENT_STEPS, step, theta))
    start = (jnp.full(X.shape[1], START, jnp.float32),) * 2
    return lambda: tuple(np.asarray(leaf, np.float64) for leaf in jax.block_until_ready(run(start)))


def sparse(inputs: int = INPUTS) -> Row:
    """Compare the flow with gradient descent, whose total is the cost of a step times the number of steps."""
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], (ROWS, inputs))
    y = np.sign(X[:, 0] + X[:, 1] + X[:, 2])
    problem = ib.Classification(X, y).reparametrize(ib.SquareDifference())
    start = (np.full(inputs, START),) * 2
    flow, part, times = ib.GradientFlow(problem, DECAY), DESCENT_STEPS * RATE, np.array([10.0, END])

    def ours(rtol: float = 1e-3) -> Any:
        return ib.simulate(flow, start, t1=END, times=times, rtol=rtol)

    peer = descent(X, y)
    seconds, peer_seconds = alternate([ours, peer], 1)
    found, fine = ours(), ours(1e-5)
    short, plain = ib.simulate(flow, start, t1=part, times=np.array([part]), rtol=1e-6).final, peer()
    tested = np.random.default_rng(1).choice([-1.0, 1.0], (500, inputs))
    answers = np.sign(tested[:, :3].sum(axis=1))

    def accuracy(theta: Any) -> float:
        return float(np.mean(np.sign(tested @ in_w(theta)) == answers))

    return Row(
        f"sparse diagonal ({ROWS}, {inputs}), lam = {DECAY:g}, t = {END:g}",
        f"gradient descent, rate {RATE}, float32",
        seconds,
        peer_seconds / part * END,
        apart(found.final, fine.final),
        apart(plain, short),
        f"{found.stats.steps} steps; {END / RATE:.0e} steps of descent extrapolated from {DESCENT_STEPS}; test "
        f"accuracy {accuracy(found.state(10.0)):.2f} at t = 10, {accuracy(found.final):.2f} at the end",
    )


def in_w(theta: Any) -> np.ndarray:
    u, v = theta
    return np.asarray((u - v) * (u + v))


def apart(first: Any, second: Any) -> float:
    """Return the relative distance of two networks in w."""
    a, b = in_w(first), in_w(second)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def features(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of tangent features and labels."""
    rng = np.random.default_rng(0)
    if name == "tanh":
        X = rng.standard_normal((MACHINE_ROWS, 50))
        return np.tanh(X @ rng.standard_normal((50, 3000)) / 7.0) / 50.0, np.sign(X @ rng.standard_normal(50))
    rows = rng.standard_normal((MACHINE_ROWS, int(name))) / np.sqrt(int(name))
    if int(name) > MACHINE_ROWS:
        return rows, np.sign(rng.standard_normal(MACHINE_ROWS))
    return rows, np.sign(rows @ rng.standard_normal(int(name)))


def gap(kernel: np.ndarray, q: np.ndarray) -> float:
    """Return the relative duality gap of multipliers for a kernel of signed rows."""
    margins = kernel @ q
    return float(1.0 - np.min(margins) * np.sum(q) / (q @ margins))


def machine(name: str, one_class: bool) -> Row:
    """Compare the tangent-kernel machine of a linear model with libsvm, both with the kernel that they compute.

    `SVC` has an intercept, which changes its answer, so that its error is nan. The one-class machine with nu = 1 / n
    and the kernel of the signed rows solves the same program as ours.
    """
    rows, y = features(name)
    problem, zeros = ib.Classification(rows, y), np.zeros(rows.shape[1])

    def peer() -> Any:
        K = rows @ rows.T
        if not one_class:
            return SVC(kernel="precomputed", C=COST).fit(K, y)
        # The tolerance of libsvm is absolute, and the scale makes it relative to margins of about 1e-3.
        return OneClassSVM(kernel="precomputed", nu=1.0 / len(y)).fit(1e6 * y[:, None] * K * y)

    ours, theirs = alternate([lambda: ib.kernel_regime(problem, zeros), peer], 3)
    found, error = ib.kernel_regime(problem, zeros), np.nan
    if one_class:
        fitted, q = peer(), np.zeros(len(y))
        q[fitted.support_] = fitted.dual_coef_[0]
        error = gap(y[:, None] * (rows @ rows.T) * y, q)
    assert found.certificate.gap is not None
    return Row(
        f"kernel machine, n = {len(y)}, features: {name}",
        "one-class SVM, the same program" if one_class else f"SVC, C = {COST:g}, with intercept",
        ours,
        theirs,
        found.certificate.gap,
        error,
        f"{len(found.support)} support vectors",
    )


def main() -> None:
    rows = [machine(name, one) for name in ("50", "500", "4000", "tanh") for one in (False, True)]
    report("early_late", [*rows, sparse()])


if __name__ == "__main__":
    main()
