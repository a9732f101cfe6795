"""Claims of the study of saddle-to-saddle dynamics, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.diagnostics import rate_slopes
from implicitbias.studies._stored_claims import (
    STRICT,
    all_finished,
    departure_claim,
    end_optimal,
    furthest,
    number,
    worst_saddle_claim,
)

# The rtol of the integrator. A distance below it is an integration error.
_RESOLVED = 1e-4
_CLOSENESS = "docs/theory.md, How close is a finite initialisation?"


def path_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that saddles are optimal, the last point has the least l1 norm, and the loss falls."""
    norm, by_program = number(data, "end_norm"), number(data, "least_norm")
    not_falling = np.sum(~(np.diff(data["loss"].values) < 0.0))  # a nan counts as not falling
    return [
        worst_saddle_claim(point, data, "pesme2023saddle, algorithm 1"),
        at_most(
            point, "the limit has the least l1 norm of all minimisers (relative gap to the linear program)",
            "pesme2023saddle, theorem 1", (abs(norm - by_program) / norm, 1e-8), end_optimal(data),
        ),
        at_most(
            point, "the loss falls at every jump (number of other jumps)", "pesme2023saddle", (not_falling, 0)
        ),
        at_most(
            point, "unique coefficients are at most as many as the rank of their columns (largest excess at a saddle)",
            "docs/theory.md, The number of jumps", (np.max(data["rank_excess"].values), 0),
        ),
    ]  # fmt: skip


def lasso_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the time average is the Lasso with penalty 1/t until a learned coordinate leaves."""
    times, distances = data["lasso_time"].values, data["lasso_distance"].values
    departures = data["departure_time"].values
    kept = times <= np.min(departures)
    reference, claims = "berthier2026lasso", []
    if kept.any():
        left = np.sum(departures < np.max(times[kept]))
        statement = "the time average solves the Lasso with penalty 1/t (largest relative distance)"
        rule = Assumption.checked(
            "no coordinate has returned to 0 and left |s_i| = 1 before these times (number of such coordinates)",
            left, at_most=0,
        )  # fmt: skip
        claims.append(at_most(point, statement, reference, (np.max(distances[kept]), 1e-6), rule))
    if not kept.all():
        left = np.sum(departures < np.min(times[~kept]))
        rule = Assumption.checked(
            "a coordinate has returned to 0 and left |s_i| = 1 before these times (number of such coordinates)",
            left, at_least=1,
        )  # fmt: skip
        statement = (
            "the time average differs from the Lasso after a learned coordinate has left (relative distance)"
        )
        claims.append(at_least(point, statement, reference, (np.max(distances[~kept]), 1e-3), rule))
    return claims


def flow_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about rates in 1/ln(1/alpha) for well separated jumps, and about the cost of a small alpha."""
    small, ended = 1.0 / data["unit"].values, all_finished(data)
    worst = np.max(data["jump_error"].values, axis=1)
    steps = dict(zip(data["exponent"].values.tolist(), data["steps"].values.astype(float), strict=True))
    return [
        close(
            point, "jump times converge like 1/ln(1/alpha): slope of the largest error", "pesme2023saddle, theorem 1",
            (1.0, rate_slopes(small, worst), 0.1), ended,
        ),
        *_saddle_claims(point, data, ended),
        at_most(
            point, "simulations cost about the same for every alpha (steps at 1e-1000 over steps at 1e-30)",
            "this library", (steps[1000.0] / steps[30.0], 2.0), ended,
        ),
    ]  # fmt: skip


def _saddle_claims(point: str, data: Any, ended: Assumption) -> list[Claim]:
    """Return the claims about distances from saddles other than the start.

    They decrease fast at strictly complementary saddles, and like 1/ln(1/alpha) at degenerate ones.
    """
    small, errors = 1.0 / data["unit"].values, data["saddle_error"].values[:, 1:]
    strict, slack = data["strictly_complementary"].values[1:], data["complementarity"].values[1:]
    claims = []
    if strict.any():
        last, gain = errors[-1, strict], errors[-1, strict] / errors[0, strict]
        rule = Assumption.checked(
            "these saddles are strictly complementary (least relative max(|w_i|, |grad_i|) at a threshold)",
            np.min(slack[strict]), at_least=STRICT,
        )  # fmt: skip
        claims += [
            at_most(
                point, "strictly complementary saddles are reached fast: median distance at alpha = 1e-1000",
                _CLOSENESS, (np.median(last), _RESOLVED), rule, ended,
            ),
            at_most(
                point,
                "strictly complementary saddles are reached faster than 1/ln(1/alpha): median ratio of the last to the "
                "first distance, relative to that rate", _CLOSENESS,
                (np.median(gain) * small[0] / small[-1], 0.1), rule,
            ),
        ]  # fmt: skip
    if not strict.all():
        rule = Assumption.checked(
            "these saddles are degenerate, |s_i| = 1 and w_i = grad_i = 0 (largest relative max(|w_i|, |grad_i|))",
            np.max(slack[~strict]), at_most=STRICT,
        )  # fmt: skip
        # Only the three smallest alphas are used, because for larger ones other terms change the slope.
        slopes = rate_slopes(small[-3:], errors[-3:, ~strict])
        statement = "degenerate saddles are approached like 1/ln(1/alpha): slope furthest from 1"
        claims.append(close(point, statement, _CLOSENESS, (1.0, furthest(slopes, 1.0), 0.1), rule, ended))
    return claims


def limit_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about a long path with ties: the flow passes all saddles and ends at the canonical split."""
    ended, errors = all_finished(data), data["saddle_error"].values[-1, 1:]
    tied = Assumption.checked(
        "some saddles are not unique, because equal columns share a coefficient (number of such saddles)",
        np.sum(~data["unique"].values.astype(bool)), at_least=1,
    )  # fmt: skip
    return [
        at_most(
            point, f"the flow passes all {len(errors)} jumps: median distance to a saddle at alpha = 1e-1000",
            "pesme2023saddle, theorem 1", (np.median(errors), 1e-3), ended,
        ),
        at_most(
            point, "the flow takes the split of least entropy among equal columns: distance of its end to that split",
            "docs/theory.md, Ties and degenerate data", (errors[-1], 1e-3), ended, tied,
        ),
    ]  # fmt: skip


def saddle_claims(point: str, data: Any, *, rates: bool, forgets: bool) -> list[Claim]:
    """Return every claim about one setting."""
    claims = [*path_claims(point, data), *lasso_claims(point, data)]
    claims += [departure_claim(point, data)] if forgets else []
    return claims + (flow_claims(point, data) if rates else limit_claims(point, data))
