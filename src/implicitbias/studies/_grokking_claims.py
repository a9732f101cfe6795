"""Claims that the studies of grokking share, as functions of the stored dataset.

These variables have a meaning of their own in the datasets of these studies. Runs have the weight decays `weight_decay`
(decay,), from the largest to the smallest one; distances are divided by the largest norm on the way.

- `tau` (slow,), `apart` (decay, slow): slow times in [e, T], and the distances of theta^lam(tau / lam) from the drift
  theta~(tau). `apart_error` (decay,): the error bar of the largest of them.
- `eigenvalue` (slow,): the smallest non-zero eigenvalue of the Hessian of the loss along the drift, that is of
  J^T J / n where the predictions fit the targets.
- `memorized`, `generalised` (decay,): the first times at which the training error is at most `train_level` and the
  test error at most `test_level`; nan if there is none. `time_error` (decay,): the relative error bar of these times.
- `baseline_memorized`, `drift_generalised`: the first time for the run without weight decay, the second one for the
  drift. `baseline_train`, `baseline_test` (sample,): the errors of the run without weight decay.
- `fast_time` (fast,), `fast_apart` and `fast_bound` (decay, fast): distances from the run without weight decay on
  [0, T], and their bounds.
- `junction_rate`: the c of the junction. `junction_apart`, `junction_bound` (decay,): the distance from Phi(theta_0)
  at the junction, and its bound.
- `kkt_violation`, `kkt_stationarity`, `kkt_tolerance`: the certificate of the KKT point at the end of the drift.
  `kkt_flat`: the number of its curvatures that are not positive, 0 for a strict local minimum.
- `drift_end_apart`, `drift_end_error`: the distance of the end of the drift from the KKT point, relative to the norm
  there, and its error bar. `end_apart`, `end_error` (decay,): the same for the ends of the runs. `phi_apart`,
  `phi_error`: the same for Phi(theta_0).
- `scale`, `scale_generalised`, `scale_error` (scale,): scales of the initialisation, the slow times at which the test
  error reaches `test_level`, and their error bars.
- `threshold`: ||grad F(theta_0)|| / ||Phi(theta_0)||, far below which lam must be. `violating_decay`: one above it, and
  `violating_train`: the least training error of its run.
- `simulation_status`: names of the statuses of the runs with the weight decays of the sweep. `drift_status`,
  `baseline_status`, `scale_status` and `violating_status`: those of the drift, of the run without weight decay, of the
  runs from starts of several scales, and of the run with `violating_decay`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._extrapolate import Extrapolated, late_slope, limit_at_zero
from implicitbias.studies._stored_claims import all_finished, number

PAPER = "boursier2025grokking"
# The weight decay up to which the slope is asserted, as a share of the smallest non-zero eigenvalue.
_SEPARATED = 0.1
# The largest error bar of a slope with which it is claimed to be 1: it excludes the slopes 1/2 and 3/2 by far.
_SHARP_SLOPE = 0.1
# The largest error bar of a limit, relative to it.
SHARP = 0.05
# How many error bars apart two limits must be to count as different.
_APART = 10.0


class Slope(NamedTuple):
    """A slope on logarithmic axes, its change towards larger weight decays, and its part from errors of the values."""

    value: float
    change: float
    noise: float

    @property
    def bar(self) -> float:
        """The error bar: the next term of the expansion in the small parameter, and the errors of the values."""
        return self.change + self.noise


def slope_in(small: ndarray, values: ndarray, errors: ndarray) -> Slope:
    """Return the slope of ln(values) in ln(small) over the smaller half of `small`, which must descend.

    Its error bar is the change from the slope over the larger half, which is of the size of the next term of an
    expansion in `small`, and the largest change that errors of the values can make.
    """
    found, half = late_slope(small, values), len(small) // 2
    logs = np.log(small[half:])
    weights = (logs - np.mean(logs)) / np.sum((logs - np.mean(logs)) ** 2)
    noise = float(np.sum(np.abs(weights) * errors[half:] / np.abs(values[half:])))
    return Slope(float(found.value), found.bar, noise)


def sharp_slope(what: str, found: Slope) -> Assumption:
    """Return the assumption that the error bar of a slope is small."""
    return Assumption.checked(
        f"the error bar of the slope of {what} is small", found.bar, at_most=_SHARP_SLOPE
    )


def separated(data: Any) -> Assumption:
    """Return the assumption that every weight decay is far below the smallest non-zero eigenvalue up to T."""
    ratio = np.max(data["weight_decay"].values) / np.min(data["eigenvalue"].values)
    text = "the weight decay is small (share of the smallest non-zero eigenvalue of J^T J / n up to T)"
    return Assumption.checked(text, ratio, at_most=_SEPARATED)


def drift_claims(point: str, data: Any) -> list[Claim]:
    """Return the claim that runs with weight decay tend to the drift, uniformly on [e, T], at first order in lam."""
    found = slope_in(
        data["weight_decay"].values, np.max(data["apart"].values, axis=1), data["apart_error"].values
    )
    statement = "the largest distance from the drift on [e, T] is of first order in lam (slope 1, within its error bar)"
    return [
        close(point, statement, PAPER, (1.0, found.value, found.bar), separated(data), all_finished(data, "drift"),
              sharp_slope("the distance from the drift", found)),
    ]  # fmt: skip


def baseline_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the run without weight decay fits the training data and does not generalise."""
    train, test = data["baseline_train"].values, data["baseline_test"].values
    least = np.min(test) if np.all(np.isfinite(test)) else np.nan
    return [
        at_most(point, "without weight decay the training data are fitted (last training error, in units of its level)",
                PAPER, (train[-1] / number(data, "train_level"), 1.0), all_finished(data, "baseline")),
        at_least(point, "without weight decay the model never generalises (least test error, in units of its level)",
                 PAPER, (least / number(data, "test_level"), 1.0), all_finished(data, "baseline")),
    ]  # fmt: skip


def phase_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the order of the phases, and about their times as the weight decay tends to 0."""
    decay, first, second, errors = (
        data[name].values for name in ("weight_decay", "memorized", "generalised", "time_error")
    )
    wrong = len(decay) - int(np.sum(first < second))
    start = limit_in_decay(decay, first, errors)
    slow = limit_in_decay(decay, decay * second, errors)
    known, drift = number(data, "baseline_memorized"), number(data, "drift_generalised")
    return [
        at_most(point, "memorization comes before generalisation (number of runs in another order)", PAPER, (wrong, 0),
                all_finished(data)),
        close(point, "the memorization time tends to that without weight decay, within the error bar of its limit",
              PAPER, (known, start.value, start.bar), sharp_limit("the memorization time", start),
              all_finished(data, "baseline")),
        close(point, "the times of generalisation collapse on lam t: this tends to the slow time of the drift, within "
              "the error bar of its limit", PAPER, (drift, slow.value, slow.bar), sharp_limit("lam t", slow),
              all_finished(data)),
    ]  # fmt: skip


def violation_claim(point: str, data: Any) -> Claim:
    """Return the claim that a run with a weight decay above the threshold never fits the training data."""
    share = number(data, "violating_decay") / number(data, "threshold")
    return at_least(
        point, "with lam above |grad F(theta_0)| / |Phi(theta_0)| the training data are never fitted (least training "
        "error, in units of its level)", PAPER, (number(data, "violating_train") / number(data, "train_level"), 1.0),
        all_finished(data, "violating"),
        Assumption.checked("the weight decay is above the threshold (ratio)", share, at_least=1.0),
        Assumption.checked("the weight decays of the sweep are below the threshold (largest ratio)",
                           np.max(data["weight_decay"].values) / number(data, "threshold"), at_most=_SEPARATED),
    )  # fmt: skip


def kkt_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the limit is a KKT point of the least norm among the parameters that fit the data."""
    bound = number(data, "kkt_tolerance")
    return [
        at_most(point, "the limit fits the data (relative violation)", PAPER, (number(data, "kkt_violation"), bound)),
        at_most(point, "the limit is a KKT point of the least norm: theta = J^T q (relative tangent residual)", PAPER,
                (number(data, "kkt_stationarity"), bound)),
    ]  # fmt: skip


def limit_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the limits of long times and small weight decays, in the slow time and in the time t."""
    found = slope_in(data["weight_decay"].values, data["end_apart"].values, data["end_error"].values)
    error = number(data, "phi_error") + number(data, "drift_end_error")
    return [
        equal_claim(point, "the drift ends at this KKT point", number(data, "drift_end_apart"),
                    number(data, "drift_end_error"), all_finished(data, "drift")),
        at_most(point, "it is a strict local minimum of the norm (number of curvatures that are not positive)", PAPER,
                (number(data, "kkt_flat"), 0)),
        close(point, "the limits of long slow times and of lam -> 0 commute at a strict local minimum: the ends of the "
              "runs tend to it at first order in lam (slope 1, within its error bar)", PAPER,
              (1.0, found.value, found.bar), sharp_slope("the distance of the ends", found), all_finished(data)),
        apart_claim(point, "in the time t the limits do not commute: Phi(theta_0) is not this KKT point",
                    number(data, "phi_apart"), error),
    ]  # fmt: skip


def fast_claims(point: str, data: Any) -> list[Claim]:
    """Return the claim about the fast phase: the distance from the run without weight decay is below its bound."""
    apart, bound = data["fast_apart"].values, data["fast_bound"].values
    above = int(np.sum(~(apart <= bound)))
    return [
        at_most(point, "in the fast phase the distance from the run without weight decay is at most lam t e^(ct) sup "
                "|theta| (number of times above the bound)", PAPER, (above, 0), _measured(apart), all_finished(data)),
    ]  # fmt: skip


def junction_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that runs are near Phi(theta_0) at the junction, and nearer for a smaller weight decay."""
    apart, bound = data["junction_apart"].values, data["junction_bound"].values
    above, rising = int(np.sum(~(apart <= bound))), int(np.sum(~(np.diff(apart) < 0.0)))
    met = -np.log(data["weight_decay"].values) / (2.0 * number(data, "junction_rate"))
    known = Assumption.checked("the junctions are in the fast phase, in which c was measured (latest one, as a share "
                               "of it)", np.max(met) / data["fast_time"].values[-1], at_most=1.0)  # fmt: skip
    return [
        at_most(point, "at the junction, t = -ln(lam) / (2c), the distance from Phi(theta_0) is at most sqrt(lam) t "
                "sup |theta| plus that of the run without weight decay (number of runs above the bound)", PAPER,
                (above, 0), _measured(apart), known, all_finished(data)),
        at_most(point, "the distance from Phi(theta_0) at the junction falls with lam (number of steps of the sweep at "
                "which it does not)", PAPER, (rising, 0), all_finished(data)),
    ]  # fmt: skip


def scale_claims(point: str, data: Any) -> list[Claim]:
    """Return the claim that the slow time of generalisation grows like the logarithm of the scale of the start."""
    times, errors = data["scale_generalised"].values, data["scale_error"].values
    logs = np.log(data["scale"].values)
    slope = float(np.polyfit(logs, times, 1)[0]) if np.all(np.isfinite(times)) else np.nan
    weights = (logs - np.mean(logs)) / np.sum((logs - np.mean(logs)) ** 2)
    bar = float(np.sum(np.abs(weights) * errors))
    return [
        close(point, "the slow time of generalisation grows like ln(scale) of the initialisation (slope 1, within the "
              "errors of the times)", PAPER, (1.0, slope, bar),
              Assumption.checked("the error bar of the slope in ln(scale) is small", bar, at_most=_SHARP_SLOPE),
              all_finished(data, "scale")),
    ]  # fmt: skip


def growth_claim(point: str, data: Any, reference: str) -> Claim:
    """Return the claim that the slow time of generalisation grows like ln(scale) in the limit of large starts."""
    scale, times = data["scale"].values, data["scale_generalised"].values
    # The small parameter is 1 / scale, and e^tau has the relative error of tau.
    growth = slope_in(1.0 / scale, np.exp(times), np.exp(times) * data["scale_error"].values)
    return close(
        point, "from large starts the slow time of generalisation grows like ln(scale) (slope 1, within its error bar)",
        reference, (1.0, -growth.value, growth.bar), sharp_slope("the slow time in ln(scale)", growth),
        all_finished(data, "scale"),
    )  # fmt: skip


def apart_claim(point: str, statement: str, distance: float, error: float) -> Claim:
    """Return the claim that two limits differ: their distance is at least ten of its error bars."""
    text = f"{statement} (distance in units of its error bar)"
    return at_least(point, text, PAPER, (np.float64(distance) / np.float64(error), _APART))


def equal_claim(point: str, statement: str, distance: float, error: float, *assumptions: Assumption) -> Claim:
    """Return the claim that two points are equal: their distance is at most its error bar, which is small."""
    text = f"{statement} (relative distance, bounded by the error bar)"
    sharp = Assumption.checked(f"{statement}: the error bar is small", error, at_most=SHARP)
    return at_most(point, text, PAPER, (distance, error), sharp, *assumptions)


def limit_in_decay(decay: ndarray, values: ndarray, errors: ndarray) -> Extrapolated:
    """Return the limit of values that are linear in the weight decay, with its error bar."""
    found = limit_at_zero(decay[::-1], values[::-1])
    share = decay[-1] / (decay[-2] - decay[-1])
    last, before = errors[-1] * np.abs(values[-1]), errors[-2] * np.abs(values[-2])
    return Extrapolated(found.value, found.bar + float((1.0 + share) * last + share * before))


def sharp_limit(what: str, found: Extrapolated) -> Assumption:
    relative = found.bar / np.abs(found.value)
    return Assumption.checked(
        f"the error bar of the limit of {what} is small (relative)", relative, at_most=SHARP
    )


def _measured(apart: ndarray) -> Assumption:
    """Return the assumption that distances were measured, so that a bound is not met by zeros."""
    last = apart[:, -1] if apart.ndim > 1 else apart
    zeros = int(np.sum(~(last > 0.0)))
    return Assumption.checked("every run has a distance above 0 (number without one)", zeros, at_most=0)
