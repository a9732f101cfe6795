"""The study of grokking in matrix completion: its claims hold, and fail where limits, runs or norms are wrong."""

from typing import Any

import numpy as np
import pytest

from implicitbias.studies._completion_claims import end_claims, nuclear_claims, start_claims
from implicitbias.studies._completion_evidence import _duality_gap, _gap_bound
from implicitbias.studies._completion_settings import SETTINGS, Completion
from implicitbias.studies._grokking_claims import drift_claims
from implicitbias.studies.grokking_completion import STUDY
from tests.studies.running import NamedClaims, computed, failing

NAME, POINT = "grokking-completion", "8x8"
SEEN = Completion(size=5, rank=2, width=6, observed=25, seed=3, decays=(1e-2,), slow=(0.1, 1.0))


class TestTheSmallMatrix(NamedClaims):
    point = POINT
    words = (
        "first order in lam", "collapse", "KKT point", "least nuclear norm", "semidefinite", "do not commute in",
         "commute in the slow time", "never generalises", "ln(scale)", "no delay", "never fitted",
    )  # fmt: skip

    # Oracle: the balance U^T U - V^T V of the drift only decays like e^(-2 tau), so that it is 0 at the limit.
    def test_the_limit_is_balanced(self, data: Any) -> None:
        singular = np.linalg.svd(data["limit_matrix"].values, compute_uv=False)
        assert float(data["limit_square"]) == pytest.approx(2.0 * np.sum(singular), rel=1e-9)

    # Oracle: soft-impute, which iterates the proximal map of the nuclear norm.
    def test_the_ends_are_those_of_soft_impute(self, data: Any) -> None:
        setting = SETTINGS[POINT]
        rows, cols = setting.entries()
        decay, W = float(data["weight_decay"][0]), np.zeros((8, 8))
        for _ in range(20_000):
            filled = W.copy()
            filled[rows, cols] = setting.teacher()[rows, cols]
            U, s, V = np.linalg.svd(filled)
            W = (U * np.maximum(s - decay * setting.observed, 0.0)) @ V
        np.testing.assert_allclose(data["end_matrix"].values[0], W, atol=1e-6)


class TestTheClaimsCanFail:
    # Oracle: by hand: each change makes one statement false.
    def test_a_limit_of_another_norm(self, data: Any) -> None:
        moved = data["limit_matrix"] + 0.01 * np.eye(8)
        wrong = failing(nuclear_claims(POINT, data.assign(limit_matrix=moved)))
        assert {"semidefinite" in text for text in wrong} == {True, False}
        assert any("rank of the teacher" in text for text in wrong)

    def test_runs_at_half_the_order(self, data: Any) -> None:
        slow = data["apart"] / np.sqrt(data["weight_decay"])
        assert failing(drift_claims(POINT, data.assign(apart=slow))) != []

    def test_ends_that_are_not_optimal(self, data: Any) -> None:
        wrong = failing(end_claims(POINT, data.assign(end_gap=data["end_gap"] + 1e-5)))
        assert len(wrong) == 1
        assert "nuclear norm" in wrong[0]

    def test_a_start_at_the_limit(self, data: Any) -> None:
        wrong = failing(end_claims(POINT, data.assign(phi_apart=0.0 * data["phi_apart"])))
        assert any("do not commute in the time t" in text for text in wrong)

    def test_times_that_do_not_grow_with_the_scale(self, data: Any) -> None:
        wrong = failing(start_claims(POINT, data.assign(scale_generalised=0.9 * data["scale_generalised"])))
        assert any("ln(scale)" in text for text in wrong)


# Oracle: if all entries are seen, the minimum shrinks the singular values by lam n, and its gap is 0. The gap of
# another point is at least the relative excess of its objective.
def test_the_duality_gap() -> None:
    decay, teacher = 1e-2, SEEN.teacher()
    U, s, V = np.linalg.svd(teacher)
    best = (U * np.maximum(s - decay * 25, 0.0)) @ V

    def objective(W: np.ndarray) -> float:
        return float(np.sum((W - teacher) ** 2) / 50 + decay * np.linalg.norm(W, "nuc"))

    assert _duality_gap(SEEN, best, decay) == pytest.approx(0.0, abs=1e-14)
    # The bound holds for points in random directions from the minimum, and it is not too large by far.
    rng, ratios = np.random.default_rng(0), []
    for size in (1e-2, 1e-4, 1e-6):
        E = rng.standard_normal((5, 5))
        E *= size / np.linalg.norm(E)
        ratios.append(_duality_gap(SEEN, best + E, decay) / _gap_bound(SEEN, best + E, decay, size))
    assert 1e-3 < min(ratios) <= max(ratios) <= 1.0
    for W in (teacher, 0.9 * best, best + 0.01 * np.eye(5)):
        assert _duality_gap(SEEN, W, decay) >= (1.0 - objective(best) / objective(W)) * (1.0 - 1e-12) > 0.0


# Oracle: by hand, entry by entry.
def test_the_errors() -> None:
    setting = SETTINGS[POINT]
    U, V = setting.start()
    rows, cols = setting.entries()
    seen = {(int(r), int(c)) for r, c in zip(rows, cols, strict=True)}
    squares: dict[bool, list[float]] = {True: [], False: []}
    for r in range(8):
        for c in range(8):
            squares[(r, c) in seen].append(float((U[r] @ V[c] - setting.teacher()[r, c]) ** 2))
    ((train, test),) = setting.case().errors(np.concatenate([U.ravel(), V.ravel()])[None])
    np.testing.assert_allclose((train, test), (np.mean(squares[True]), np.mean(squares[False])), rtol=1e-12)
    assert len(seen) == setting.observed
    assert np.linalg.matrix_rank(setting.teacher()) == setting.rank


@pytest.mark.long
def test_every_claim_of_the_size_of_the_paper_holds() -> None:
    claims = STUDY.claims("20x20", computed(NAME, "20x20"))
    assert failing(claims) == []
    assert {a.state for claim in claims for a in claim.assumptions} == {"checked: holds"}


def test_the_tests_miss_no_setting() -> None:
    assert STUDY.points() == tuple(SETTINGS) == (POINT, "20x20")
    assert "were added here" in STUDY.notes()
