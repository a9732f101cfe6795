"""Gradient flows and tangent kernels of real networks: `ib.simulate` against gradient descent and other integrators.

A peer that would run for hours is timed for a part of its work and extrapolated; the note of the row says so.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import lu_factor
from sklearn.datasets import load_digits

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

# The rate of gradient descent on the digits. The sharpness of the start is 100.6, so that it is just unstable at first;
# a quarter of the rate follows the flow.
RATE, SMALL_RATE, PART = 0.02, 0.005, 400.0


def mlp(params: Any, X: Any) -> Any:
    for W, b in params[:-1]:
        X = jnp.tanh(X @ W + b)
    return X @ params[-1][0] + params[-1][1]


def convolution(params: Any, X: Any) -> Any:
    windows = jnp.stack([X[:, i : i + 290] for i in range(10)], axis=2)
    return jnp.tanh(windows @ params[0]).reshape(len(X), -1) @ params[1]


def attention(params: Any, X: Any) -> Any:
    E, Q, K, V, W1, W2, o = params
    H = X @ E
    scores = jnp.einsum("nid,njd->nij", H @ Q, H @ K) / np.sqrt(Q.shape[1])
    H = H + jnp.einsum("nij,njd->nid", jax.nn.softmax(scores, axis=-1), H @ V)
    return (H + jnp.tanh(H @ W1) @ W2).mean(axis=1) @ o


def quadratic(params: Any, X: Any) -> Any:
    return ((X @ params["W"].T) ** 2) @ params["V"].T / 4600


def softplus(params: Any, X: Any) -> Any:
    W, b, a = params
    return jax.nn.softplus(X @ W + b) @ a


def start_of(rng: np.random.Generator, sizes: tuple[int, ...], scale: float = 1.0) -> Any:
    return [
        (scale * rng.standard_normal((a, b)) / np.sqrt(a), np.zeros(b)) for a, b in itertools.pairwise(sizes)
    ]


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def apart(tree: Any, other: Any) -> float:
    return float(np.linalg.norm(flat(tree) - flat(other)) / np.linalg.norm(flat(other)))


class Digits(NamedTuple):
    """The digits problem, its start, and the test images and labels."""

    problem: ib.Problem
    start: Any
    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def made(cls) -> "Digits":
        rng = np.random.default_rng(0)
        X, y = load_digits(return_X_y=True)
        order = rng.permutation(len(X))
        train, test = order[:100], order[100:1100]
        problem = ib.Problem(mlp, X[train] / 16, np.eye(10)[y[train]])
        return cls(problem, start_of(rng, (64, 64, 10), 5.0), X[test] / 16, y[test])

    def accuracy(self, state: Any) -> float:
        with jax.enable_x64(True):
            scores = np.asarray(mlp(jax.tree.map(jnp.asarray, state), self.images))
        return float(np.mean(scores.argmax(axis=1) == self.labels))

    def accuracies(self, trajectory: Any) -> np.ndarray:
        return np.array([self.accuracy(trajectory.state(t)) for t in trajectory.times])


def digits(weight_decay: float, whole: bool) -> Row:
    """Compare with gradient descent to lam t = 12.

    The errors are the largest differences of the test accuracy along the way from the flow at a tight tolerance: ours,
    and that of gradient descent. The note has the differences between ours and gradient descent, to PART also at a
    smaller rate.
    """
    case, end = Digits.made(), 12 / weight_decay
    flow = ib.GradientFlow(case.problem, weight_decay)
    descent = ib.GradientDescent(case.problem, RATE, weight_decay)
    part = end if whole else PART
    times, early = (np.unique(np.round(np.geomspace(1.0, t, 60) / RATE)) * RATE for t in (part, PART))

    def ours(times: Any = None, rtol: float = 1e-2) -> Any:
        return ib.simulate(flow, case.start, t1=end if times is None else None, times=times, rtol=rtol)

    ours()  # compiles
    ib.simulate(descent, case.start, t1=40.0)
    begin = time.perf_counter()
    trajectory = ours()
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    peer = ib.simulate(descent, case.start, t1=part, times=times)
    peer_seconds = (time.perf_counter() - begin) * end / part
    sampled, exact = case.accuracies(ours(times)), case.accuracies(ours(times, 1e-4))
    slow = ib.simulate(
        ib.GradientDescent(case.problem, SMALL_RATE, weight_decay), case.start, t1=PART, times=early
    )
    note = f"{trajectory.stats.steps} steps {dict(trajectory.stats.algebras)} / {end / RATE:.0f}"
    for rate, apart in (
        (RATE, sampled - case.accuracies(peer)),
        (SMALL_RATE, case.accuracies(ours(early)) - case.accuracies(slow)),
    ):
        note += f"; from rate {rate:g}: {np.max(np.abs(apart)):.3f}, median {np.median(np.abs(apart)):.3f}"
    return Row(
        f"digits MLP, lam = {weight_decay:g}, errors of accuracies",
        "gradient descent" + ("" if whole else ", extrapolated"),
        seconds,
        peer_seconds,
        float(np.max(np.abs(sampled - exact))),
        float(np.max(np.abs(case.accuracies(peer) - exact))),
        note,
    )


def modular_case() -> tuple[ib.Problem, Any]:
    """Return the quadratic net on addition mod 23, and its start."""
    rng, size = np.random.default_rng(0), 23
    a, b = np.divmod(np.arange(size**2), size)
    train = rng.permutation(size**2)[: int(0.9 * size**2)]
    X = np.concatenate([np.eye(size)[a], np.eye(size)[b]], axis=1)[train]
    problem = ib.Problem(quadratic, X, np.eye(size)[(a + b) % size][train])
    return problem, {"W": rng.standard_normal((100, 46)), "V": rng.standard_normal((23, 100))}


def modular_addition() -> list[Row]:
    """Compare with Tsit5 and with gradient descent at its largest rate, until the training loss has fallen."""
    problem, start = modular_case()
    flow, end = ib.GradientFlow(problem), 2e5
    reference = ib.simulate(flow, start, times=[end], rtol=1e-8, solver="explicit").final
    with jax.enable_x64(True):
        run = tsit5(flow, start, end)
        tick = [
            alternate([lambda: ib.simulate(flow, start, times=[end]), lambda: run(1e-4)], 3),
            [ib.simulate(flow, start, times=[end]), run(1e-4)],
        ]
    (ours, theirs), (trajectory, answer) = tick
    rows = [
        Row("quadratic net mod 23", "diffrax Tsit5, rtol 1e-4", ours, theirs, apart(trajectory.final, reference),
            apart(answer, reference), str(dict(trajectory.stats.algebras)))
    ]  # fmt: skip
    for rate in (1000.0, 300.0, 100.0):
        descent = ib.GradientDescent(problem, rate)
        found = ib.simulate(descent, start, t1=end, times=[end])
        if found.status.ok and apart(found.final, reference) < 0.05:
            seconds = alternate([lambda d=descent: ib.simulate(d, start, times=[end])], 3)[0]  # type: ignore[misc]
            rows.append(
                Row("quadratic net mod 23", f"gradient descent, rate {rate:g}", ours, seconds,
                    apart(trajectory.final, reference), apart(found.final, reference))
            )  # fmt: skip
            break
    return rows


def tsit5(flow: ib.GradientFlow, start: Any, end: float) -> Callable[[float], Any]:
    plain, y0 = diffrax.ODETerm(flow.term().vector_field), jax.tree.map(jnp.asarray, start)

    @jax.jit
    def run(rtol: float) -> Any:
        controller = diffrax.PIDController(rtol=rtol, atol=rtol * 1e-2)
        return diffrax.diffeqsolve(
            plain, diffrax.Tsit5(), 0.0, end, None, y0, stepsize_controller=controller,
            saveat=diffrax.SaveAt(t1=True), adjoint=diffrax.ForwardMode(), max_steps=100_000,
        ).ys  # fmt: skip

    return lambda rtol: jax.block_until_ready(jax.tree.map(lambda leaf: leaf[-1], run(rtol)))


def softplus_case(width: int) -> tuple[ib.Problem, Any]:
    """Return a softplus network of this width on 40 rows, and its start."""
    rng = np.random.default_rng(0)
    X, teacher = rng.standard_normal((40, 9)), rng.standard_normal((9, 3))
    y = np.logaddexp(0.0, X @ teacher).sum(axis=1)
    start = (
        rng.standard_normal((9, width)) / 3,
        np.zeros(width),
        rng.standard_normal(width) / np.sqrt(width),
    )
    return ib.Problem(softplus, X, (y - y.mean()) / y.std()), start


def wide_softplus(width: int) -> Row:
    """Compare with LSODA at p = 11 width parameters; beyond 1000 one Jacobian and one LU are timed and extrapolated."""
    problem, start = softplus_case(width)
    X, end = np.asarray(problem.X), 2e3
    flow, p = ib.GradientFlow(problem), 11 * width
    reference = ib.simulate(flow, start, times=[end], rtol=1e-8).final
    trajectory = ib.simulate(flow, start, times=[end], rtol=1e-2)
    ours = alternate([lambda: ib.simulate(flow, start, times=[end], rtol=1e-2)], 5)[0]
    shape, theta = problem.checked_params(start)
    with jax.enable_x64(True):

        def slope(u: Any) -> Any:
            return -jax.grad(lambda v: jnp.mean((softplus(shape.unflatten(v), X) - problem.y) ** 2) / 2)(u)

        field, jacobian = jax.jit(slope), jax.jit(jax.jacfwd(slope))
        np.asarray(field(theta)), np.asarray(jacobian(theta))
        begin = time.perf_counter()
        if p > 1000:
            lu_factor(np.eye(p) - 0.1 * np.asarray(jacobian(theta)))
            seconds, error, note = (
                20 * (time.perf_counter() - begin),
                np.nan,
                "20 factorisations, extrapolated",
            )
        else:
            solution = solve_ivp(
                lambda t, u: np.asarray(field(u)), (0.0, end), theta, method="LSODA", rtol=3e-2, atol=3e-4,
                jac=lambda t, u: np.asarray(jacobian(u)), t_eval=[end],
            )  # fmt: skip
            seconds, note = time.perf_counter() - begin, f"{solution.njev} Jacobians"
            error = apart(solution.y[:, -1], reference)
    note = f"{trajectory.stats.steps} steps / {note}"
    return Row(
        f"softplus net, p = {p}",
        "SciPy LSODA",
        ours,
        seconds,
        apart(trajectory.final, reference),
        error,
        note,
    )


def kernel_of(name: str, model: Any, start: Any, X: np.ndarray, outputs: int, whole: bool = False) -> Row:
    """Compare the tangent kernel with J J^T, where J is made row by row, or on the batch if `whole`."""
    size = len(X) * outputs
    problem = ib.Problem(model, X, np.zeros((len(X), outputs)))
    predictor, p = ib.predictors.of(problem), problem.checked_params(start)[0].size
    with jax.enable_x64(True):
        given = jax.tree.map(jnp.asarray, start)

        @jax.jit
        def naive(params: Any) -> Any:
            if whole:
                J = jax.jacobian(lambda q: model(q, X).reshape(-1))(params)
            else:
                # The rows are independent: the Jacobian of the whole batch costs up to n times as much.
                J = jax.vmap(lambda x: jax.jacrev(lambda q: model(q, x[None]).reshape(-1))(params))(X)
            leaves = [leaf.reshape(size, -1) for leaf in jax.tree.leaves(J)]
            return sum(leaf @ leaf.T for leaf in leaves)

        seconds = alternate(
            [lambda: predictor.tangent_kernel(start), lambda: jax.block_until_ready(naive(given))], 1
        )
        exact = np.asarray(naive(given))
    kernel = predictor.tangent_kernel(start).reshape(exact.shape)
    error = float(np.abs(kernel - exact).max() / np.abs(exact).max())
    peer = "J J^T by jacobian of the batch" if whole else "J J^T by jacrev"
    return Row(f"kernel, {name}, n k = {size}, p = {p}", peer, *seconds, error, 0.0)


def attention_start(rng: np.random.Generator, size: int) -> tuple[np.ndarray, ...]:
    """Return parameters of one block with tokens of 16 numbers and activations of this size."""
    shapes = ((16, size), *[(size, size)] * 3, (size, 4 * size), (4 * size, size), (size, 1))
    return tuple(rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in shapes)


def kernels() -> list[Row]:
    rng = np.random.default_rng(0)
    filters = (rng.standard_normal((10, 16)), rng.standard_normal((290 * 16, 64)) / 40)
    X = np.random.default_rng(1).standard_normal((1000, 300))
    tokens = np.random.default_rng(1).standard_normal((500, 8, 16))
    small, large = attention_start(rng, 64), attention_start(rng, 160)
    return [
        kernel_of("dense layers", mlp, start_of(rng, (300, 430, 400, 1)), X, 1),
        kernel_of("a convolution", convolution, filters, X[:16], 64),
        kernel_of("attention", attention, small, tokens[:256], 1, whole=True),
        kernel_of("attention", attention, small, tokens[:256], 1),
        kernel_of("attention", attention, large, tokens, 1),
    ]


def main() -> None:
    rows: list[Row] = []
    works: list[Callable[[], Any]] = [
        lambda: [digits(1e-3, whole=True)],
        lambda: [digits(1e-4, whole=False)],
        modular_addition,
        lambda: [wide_softplus(64)],
        lambda: [wide_softplus(640)],
        kernels,
    ]
    for work in works:
        found = work()
        print(*found, sep="\n", flush=True)
        rows.extend(found)
    report("real_networks", rows)


if __name__ == "__main__":
    main()
