"""The claims that studies of grokking share, on data invented by hand: they hold for the theory, and fail beside it."""

from typing import Any

import numpy as np
import pytest
import xarray

from implicitbias.studies import Claim
from implicitbias.studies import _grokking_claims as claims
from tests.studies.running import failing

DECAY = np.array([1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
SCALE = np.array([1.0, 10.0, 100.0])


def invented(**changed: Any) -> Any:
    """Data of a model with the eigenvalue 1, memorization at 3, and generalisation at the slow time 2."""
    tau = np.array([1.0, 2.0])
    variables = {
        "weight_decay": (("decay",), DECAY),
        "tau": (("slow",), tau),
        "apart": (("decay", "slow"), np.outer(DECAY / (1 + DECAY), [0.5, 0.4])),
        "apart_error": (("decay",), 1e-9 * DECAY),
        "eigenvalue": (("slow",), np.array([1.0, 1.1])),
        "memorized": (("decay",), 3.0 + DECAY),
        "generalised": (("decay",), 2.0 * (1 + DECAY) / DECAY),
        "time_error": (("decay",), np.full(5, 1e-6)),
        "baseline_memorized": ((), np.float64(3.0)),
        "drift_generalised": ((), np.float64(2.0)),
        "baseline_train": (("sample",), np.array([1.0, 1e-9])),
        "baseline_test": (("sample",), np.array([2.0, 1.5])),
        "train_level": ((), np.float64(0.01)),
        "test_level": ((), np.float64(0.1)),
        "fast_apart": (("decay", "fast"), np.outer(DECAY, [0.0, 1.0])),
        "fast_bound": (("decay", "fast"), np.outer(DECAY, [0.0, 2.0])),
        "fast_time": (("fast",), np.array([0.0, 5.0])),
        "junction_rate": ((), np.float64(3.5)),
        "junction_apart": (("decay",), 0.5 * np.sqrt(DECAY)),
        "junction_bound": (("decay",), np.sqrt(DECAY)),
        "kkt_violation": ((), np.float64(1e-12)),
        "kkt_stationarity": ((), np.float64(1e-12)),
        "kkt_tolerance": ((), np.float64(1e-9)),
        "scale": (("scale",), SCALE),
        "scale_generalised": (("scale",), 2.0 + np.log(SCALE)),
        "scale_error": (("scale",), np.full(3, 1e-4)),
        "threshold": ((), np.float64(1.0)),
        "violating_decay": ((), np.float64(10.0)),
        "violating_train": ((), np.float64(0.8)),
        "simulation_status": (("run",), np.array(["REACHED_TIME"] * 5)),
    } | {
        f"{name}_status": ((f"{name}_run",), np.array(["REACHED_TIME"] * 2))
        for name in ("drift", "baseline", "scale", "violating")
    }
    for name, values in changed.items():
        variables[name] = (variables[name][0], np.asarray(values))
    return xarray.Dataset(variables)


def every_claim(data: Any) -> list[Claim]:
    return [
        *claims.drift_claims("p", data),
        *claims.baseline_claims("p", data),
        *claims.phase_claims("p", data),
        *claims.kkt_claims("p", data),
        *claims.fast_claims("p", data),
        *claims.junction_claims("p", data),
        *claims.scale_claims("p", data),
        claims.violation_claim("p", data),
    ]


def test_the_claims_hold_for_data_of_the_theory() -> None:
    found = every_claim(invented())
    assert failing(found) == []
    assert all(claim.supported for claim in found)


# Oracle: by hand: each change breaks the one statement that is named.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("first order in lam", {"apart": np.outer(np.sqrt(DECAY), [0.5, 0.4])}),
        ("first order in lam", {"apart": np.outer(DECAY**1.2, [0.5, 0.4])}),
        ("first order in lam", {"apart": np.full((5, 2), np.nan)}),
        ("never generalises", {"baseline_test": [2.0, 0.09]}),
        ("never generalises", {"baseline_test": [2.0, np.nan]}),
        ("are fitted", {"baseline_train": [1.0, 0.02]}),
        ("before generalisation", {"generalised": [2.0, 2e3, 2e4, 2e5, 2e6]}),
        ("before generalisation", {"generalised": [np.nan, 2e3, 2e4, 2e5, 2e6]}),
        ("collapse", {"drift_generalised": 2.1}),
        ("collapse", {"generalised": 2.0 / DECAY**1.1}),
        ("without weight decay, within", {"memorized": 3.1 + DECAY}),
        ("fits the data", {"kkt_violation": 1e-6}),
        ("KKT point", {"kkt_stationarity": 1e-6}),
        ("sup |theta| (", {"fast_apart": np.outer(DECAY, [0.0, 2.1])}),
        ("sup |theta| plus", {"junction_apart": 1.1 * np.sqrt(DECAY)}),
        ("falls with lam", {"junction_apart": np.full(5, 1e-4)}),
        ("ln(scale)", {"scale_generalised": 2.0 + 1.1 * np.log(SCALE)}),
        ("ln(scale)", {"scale_generalised": [2.0, 4.0, np.nan]}),
        ("never fitted", {"violating_train": 0.009}),
    ],
)
def test_each_claim_fails_beside_the_theory(words: str, changed: dict[str, Any]) -> None:
    found = [claim for claim in every_claim(invented(**changed)) if not claim.holds]
    assert any(words in claim.statement for claim in found)


# Oracle: by hand: the numbers agree here, and prove nothing.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("first order in lam", {"eigenvalue": [0.05, 1.0]}),
        ("first order in lam", {"apart_error": 0.5 * DECAY}),
        ("first order in lam", {"simulation_status": ["MAX_STEPS"] * 5}),
        ("first order in lam", {"drift_status": ["REACHED_TIME", "MAX_STEPS"]}),
        ("never generalises", {"baseline_status": ["NOT_FINITE", "REACHED_TIME"]}),
        ("are fitted", {"baseline_status": ["MAX_STEPS"] * 2}),
        ("ln(scale)", {"scale_status": ["REACHED_TIME", "MAX_STEPS"]}),
        ("never fitted", {"violating_status": ["MAX_STEPS"] * 2}),
        ("collapse", {"time_error": np.full(5, 0.2)}),
        ("sup |theta| (", {"fast_apart": np.zeros((5, 2))}),
        ("sup |theta| plus", {"junction_rate": 0.1}),
        ("ln(scale)", {"scale_error": np.full(3, 2.0)}),
        ("never fitted", {"violating_decay": 0.5}),
    ],
)
def test_an_assumption_fails_where_the_numbers_prove_nothing(words: str, changed: dict[str, Any]) -> None:
    found = [claim for claim in every_claim(invented(**changed)) if words in claim.statement]
    assert found
    assert not any(claim.supported for claim in found)
    assert all(claim.holds for claim in found)


# Oracle: by hand: D = lam (1 - lam) has the slope (1 - 2 lam) / (1 - lam).
def test_the_error_bar_of_a_slope_covers_the_correction() -> None:
    found = claims.slope_in(DECAY, DECAY * (1 - DECAY), np.zeros(5))
    assert 0.0 < abs(found.value - 1.0) <= found.bar < 0.01
    assert found.noise == 0.0
    noisy = claims.slope_in(DECAY, DECAY, 0.1 * DECAY)
    # The weights of the last three points are ln(10) (1, 0, -1) / (2 ln(10)^2).
    assert noisy.noise == pytest.approx(0.1 / np.log(10.0))
    assert noisy.change == pytest.approx(0.0, abs=1e-12)


def test_equal_and_different_limits() -> None:
    assert claims.apart_claim("p", "limits differ", 1.0, 0.05).holds
    assert not claims.apart_claim("p", "limits differ", 1.0, 0.2).holds
    assert claims.equal_claim("p", "points agree", 1e-3, 2e-3).supported
    assert not claims.equal_claim("p", "points agree", 3e-3, 2e-3).holds
    assert not claims.equal_claim("p", "points agree", 0.1, 0.2).supported
