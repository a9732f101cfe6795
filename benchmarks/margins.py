"""Maximum margins against linear and conic solvers. Both answers are checked by one certificate."""

import warnings
from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
from numpy import ndarray
from scipy.optimize import linprog
from sklearn.svm import SVC

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

_TIGHT = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}


def random_labels(n: int, d: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)), np.sign(rng.standard_normal(n))


def correlated(n: int, d: int) -> tuple[ndarray, ndarray]:
    """Return rows whose neighbouring columns have the correlation 0.9, and labels of a classifier of five features."""
    rng = np.random.default_rng(0)
    powers = 0.9 ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    X = rng.standard_normal((n, d)) @ np.linalg.cholesky(powers).T
    return X, np.sign(X[:, :5] @ rng.standard_normal(5))


def teacher(n: int, d: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ rng.standard_normal(d))


def linear_program(X: ndarray, y: ndarray) -> ndarray:
    A = y[:, None] * X
    d = A.shape[1]
    answer = linprog(np.ones(2 * d), A_ub=-np.hstack([A, -A]), b_ub=-np.ones(len(A)), bounds=(0, None))
    return answer.x[:d] - answer.x[d:]


def conic_program(X: ndarray, y: ndarray, norm: Callable[[Any], Any], **settings: float) -> ndarray:
    w = cp.Variable(X.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at a tight tolerance Clarabel may say that it was not reached
        cp.Problem(cp.Minimize(norm(w)), [cp.multiply(y, X @ w) >= 1.0]).solve(solver=cp.CLARABEL, **settings)
    return w.value


def support_vectors(X: ndarray, y: ndarray) -> ndarray:
    """Return libsvm's weights; its intercept cannot be left out, so that the comparison has one."""
    return SVC(kernel="linear", C=1e10, tol=1e-10).fit(X, y).coef_[0]


def compared(
    work: str,
    data: tuple[ndarray, ndarray],
    horizon: Any,
    peers: dict[str, Callable[[], ndarray]],
    repeats: int,
) -> list[Row]:
    """Return one row for each peer. The errors are the relative gaps of the two answers."""
    problem = ib.Classification(*data)
    rows = []
    for name, peer in peers.items():
        bias = name.startswith("SVC")
        answers: dict[str, Any] = {}

        def ours(bias: bool = bias, answers: dict[str, Any] = answers) -> None:
            answers["ours"] = ib.max_margin(problem, horizon, bias)

        def theirs(peer: Callable[[], ndarray] = peer, answers: dict[str, Any] = answers) -> None:
            answers["theirs"] = peer()

        seconds = alternate([ours, theirs], repeats)
        gap = ib.certify(problem, answers["theirs"], ib.MaxMargin(horizon, bias)).gap
        rows.append(Row(work, name, *seconds, answers["ours"].certificate.gap, gap))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    wide, narrow, tall, cube = (
        random_labels(200, 20_000),
        correlated(60, 1000),
        teacher(2000, 200),
        random_labels(200, 500),
    )
    rows = compared(
        "l1 margin, 200 x 20 000",
        wide,
        "l1",
        {"linprog": lambda: linear_program(*wide), "cvxpy, Clarabel": lambda: conic_program(*wide, cp.norm1)},
        1,
    )
    rows += compared(
        "l1 margin, 60 x 1000 correlated",
        narrow,
        "l1",
        {
            "linprog": lambda: linear_program(*narrow),
            "cvxpy, Clarabel": lambda: conic_program(*narrow, cp.norm1),
        },
        5,
    )
    rows += compared(
        "l2 margin, 2000 x 200",
        tall,
        "l2",
        {
            "cvxpy, Clarabel, 1e-12": lambda: conic_program(*tall, cp.sum_squares, **_TIGHT),
            "SVC, with an intercept": lambda: support_vectors(*tall),
        },
        1,
    )
    rows += compared(
        "l3 margin, 200 x 500",
        cube,
        3,
        {"cvxpy, Clarabel": lambda: conic_program(*cube, lambda w: cp.pnorm(w, 3))},
        5,
    )
    report("margins", rows)


if __name__ == "__main__":
    main()
