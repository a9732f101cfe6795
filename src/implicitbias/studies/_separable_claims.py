"""Claims of the study of separable data that hold for every potential, as functions of the stored dataset."""

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_most, close
from implicitbias.studies._extrapolate import Extrapolated, late_slope, limit_at_zero

PAPER = "pesme2024mirror"
CONVERGED = "CONVERGED"
_EPSILON = float(np.finfo(np.float64).eps)
# The largest error bar of a margin, relative to it, and of a direction. Classifiers that differ by 10 degrees have unit
# vectors at the distance 2 sin(5 degrees).
_SHARP = 0.02
_SHARP_DIRECTION = 2.0 * np.sin(np.radians(5.0))
# The largest error bar of the slope of the direction, which is half of the slope that is predicted.
_SHARP_SLOPE = 0.5
# Rates in time are measured from this logarithm of the time on.
_LATE = 10.0
# The direction is judged if the rest of a row or of a coordinate that has no part in the limit is below this share.
_RESOLVED = 0.01
# A row is a support vector of a classifier with smallest margin 1 if its margin is at most this much larger.
_SUPPORT = 1e-6


class Flow(NamedTuple):
    """The measurements of one potential, with margins computed from the stored states."""

    name: str
    row: Any
    rows: ndarray

    def number(self, name: str) -> np.float64:
        """Return a stored number of this potential."""
        return np.float64(self.row[name].values[()])

    def text(self, name: str) -> str:
        """Return a stored text of this potential."""
        return str(self.row[name].values[()])

    def smallest(self, states: str) -> ndarray:
        """Return the smallest margins of stored states."""
        margins: ndarray = np.min(self.row[states].values @ self.rows.T, axis=1)
        return margins

    def margin_limit(self, kind: str = "node", sizes: ndarray | None = None) -> Extrapolated:
        """Return the extrapolated margin in a gauge, by default in the horizon of the potential."""
        size = self.row[f"{kind}_size"].values if sizes is None else sizes
        return limit_at_zero(self._small(kind), self.smallest(f"{kind}_w") / size)

    def direction_limit(self, kind: str = "node") -> Extrapolated:
        """Return the extrapolated point of gauge 1."""
        return limit_at_zero(
            self._small(kind) ** self.number("rate"),
            self.row[f"{kind}_w"].values / self.row[f"{kind}_size"].values[:, None],
        )

    def _small(self, kind: str) -> ndarray:
        margins = self.smallest(f"{kind}_w")
        small: ndarray = 1.0 / (np.log(margins) if self.number("logarithmic") else margins)
        return small

    @property
    def target(self) -> ndarray:
        """The certified classifier, scaled to gauge 1."""
        point: ndarray = self.row["limit_w"].values * self.number("limit_margin")
        return point

    @property
    def unresolved(self) -> float:
        """The largest rest of a row or a coordinate at the earlier one of the two states of the extrapolation.

        The rest of a row that is no support vector is its share exp(-m (margin - 1)) in the gradient, for the smallest
        margin m of the state. That of a coordinate is stored.
        """
        excess = self.rows @ self.row["limit_w"].values - 1.0
        least = float(np.min(excess[excess > _SUPPORT], initial=np.inf))
        return max(float(np.exp(-least * self.smallest("node_w")[1])), float(self.number("tie")))

    @property
    def margin_bar(self) -> float:
        """The error bar of the margin: that of the extrapolation and the change if rtol is ten times as large."""
        fine, coarse = self.margin_limit(), self.margin_limit("coarse")
        return fine.bar + abs(float(fine.value - coarse.value))

    @property
    def direction_bar(self) -> float:
        """The error bar of the direction, as `margin_bar`."""
        fine, coarse = self.direction_limit(), self.direction_limit("coarse")
        return fine.bar + float(np.linalg.norm(fine.value - coarse.value))


def flows_of(data: Any) -> list[Flow]:
    """Return the measurements of all potentials."""
    rows = data["y"].values[:, None] * data["X"].values
    return [Flow(str(name), data.sel(potential=name), rows) for name in data["potential"].values]


def flow_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about every potential of a setting."""
    claims: list[Claim] = []
    for flow in flows_of(data):
        claims += [_margin_claim(point, flow), *_direction_claims(point, flow), _best_claim(point, flow)]
        claims.append(_loss_claim(point, flow, float(data.attrs["rtol"])))
        if np.all(np.isfinite(flow.row["logistic_size"].values)):
            claims += _logistic_claims(point, flow)
    return claims


def _reached(flow: Flow) -> str:
    return f"{flow.name}, flow to ln t = {flow.number('flow_log_time'):.4g}"


def _margin_claim(point: str, flow: Flow) -> Claim:
    best, limit, bar = flow.number("limit_margin"), flow.margin_limit(), flow.margin_bar
    return close(
        point, f"{_reached(flow)}: the extrapolated margin is the largest one in the horizon, within the error bar",
        PAPER, (best, limit.value, bar if np.isfinite(bar) else 0.0),
        Assumption.checked("the largest margin is certified (relative gap)", flow.number("limit_gap"),
                           at_most=flow.number("limit_tolerance")),
        Assumption.checked(f"{flow.name}: the error bar of the margin is small (relative)", bar / best, at_most=_SHARP),
    )  # fmt: skip


def _direction_claims(point: str, flow: Flow) -> list[Claim]:
    """Return the claim about the direction, if the classifier is unique and the flow has gone far enough to tell."""
    if flow.text("limit_status") != CONVERGED or not flow.unresolved <= _RESOLVED:
        return []
    unit, limit = np.linalg.norm(flow.target), flow.direction_limit()
    distance, bar = float(np.linalg.norm(limit.value - flow.target) / unit), float(flow.direction_bar / unit)
    return [
        at_most(
            point, f"{_reached(flow)}: the extrapolated direction is the certified classifier (relative distance, "
            "bounded by the error bar)", PAPER, (distance, bar),
            Assumption.checked(f"{flow.name}: the error bar of the direction is below 10 degrees", bar,
                               at_most=_SHARP_DIRECTION),
            Assumption.checked(f"{flow.name}: rows and entries without a part in the limit have faded (largest rest)",
                               flow.unresolved, at_most=_RESOLVED),
        )
    ]  # fmt: skip


def _best_claim(point: str, flow: Flow) -> Claim:
    sizes = flow.row["sample_size"].values
    known = np.isfinite(sizes) & (sizes > 0.0)
    largest = np.max(flow.smallest("sample_w")[known] / sizes[known]) / flow.number("limit_margin") - 1.0
    return at_most(
        point, f"{flow.name}: no state of the flow has a larger margin than the certified one (relative excess)",
        "docs/theory.md, Margins along a flow", (largest, flow.number("limit_tolerance")),
    )  # fmt: skip


def _loss_claim(point: str, flow: Flow, rtol: float) -> Claim:
    """Return the claim that the loss is at most min_w [L(w) + D(w, w_0) / t] at all samples.

    The integrator bounds the error of each margin by rtol relative to max(1, margin), and ln L has the same error.
    """
    loss, bound = flow.row["sample_log_loss"].values, flow.row["sample_log_bound"].values
    known = np.isfinite(flow.row["sample_log_time"].values)
    excess = np.max((loss - bound)[known] / np.maximum(1.0, np.abs(loss[known])))
    return at_most(
        point, f"{flow.name}: L(w_t) <= L(w) + D(w, w_0) / t for all w that were tried (excess of ln L, relative to "
        "max(1, |ln L|); the bound is rtol)", PAPER, (excess, rtol),
    )  # fmt: skip


def _logistic_claims(point: str, flow: Flow) -> list[Claim]:
    """Return the claims that the logistic loss has the same limit, within the sum of both error bars."""
    one, other, best = flow.margin_limit(), flow.margin_limit("logistic"), flow.number("limit_margin")
    apart, bar = abs(float(one.value - other.value)) / best, (flow.margin_bar + other.bar) / best
    claims = [
        at_most(point, f"{flow.name}: exponential and logistic loss have the same margin in the limit (relative "
                "difference, bounded by both error bars)", PAPER, (apart, bar)),
    ]  # fmt: skip
    if flow.text("limit_status") == CONVERGED:
        first, second = flow.direction_limit(), flow.direction_limit("logistic")
        unit = np.linalg.norm(flow.target)
        distance = float(np.linalg.norm(first.value - second.value) / unit)
        claims.append(
            at_most(point, f"{flow.name}: exponential and logistic loss have the same direction in the limit (relative "
                    "distance, bounded by both error bars)", PAPER,
                    (distance, (flow.direction_bar + second.bar) / unit))
        )  # fmt: skip
    return claims


def gradient_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the rates of gradient flow in time, with the measured slopes."""
    (flow,) = [flow for flow in flows_of(data) if flow.name == "squared l2"]
    times, best = flow.row["sample_log_time"].values, flow.number("limit_margin")
    late = np.isfinite(times) & (times >= _LATE)
    logs, losses = times[late], flow.row["sample_log_loss"].values[late]
    # The bound with w = ln(t) / margin times the classifier of norm 1.
    bound = np.log(1.0 + logs**2 / (2.0 * best**2)) - logs
    excess = np.max((losses - bound) / np.maximum(1.0, np.abs(losses)))
    claims = [
        at_most(point, "gradient flow: t L <= 1 + ln(t)^2 / (2 margin^2) (excess of ln L, relative to max(1, |ln L|); "
                "the bound is rtol)", PAPER, (excess, float(data.attrs["rtol"]))),
        at_most(point, "gradient flow: t L grows at most like ln(t)^2 (slope in ln t; it is 0 if L is of order 1 / t)",
                PAPER, (late_slope(logs, np.exp(losses + logs)).value, 2.0)),
    ]  # fmt: skip
    if flow.unresolved <= _RESOLVED:
        fine, coarse = (_direction_slope(flow, kind) for kind in ("node", "coarse"))
        bar = fine.bar + abs(float(fine.value - coarse.value)) + _target_part(flow)
        if not bar <= _SHARP_SLOPE:
            return claims
        claims.append(close(
            point, "gradient flow: the direction converges like 1 / ln t (extrapolated slope, within its error bar)",
            "docs/theory.md, Margins along a flow", (-1.0, fine.value, bar),
        ))  # fmt: skip
    return claims


def _target_part(flow: Flow) -> float:
    """Return the error of the extrapolated slope that the error of the certified classifier can make.

    The squared norm is strongly convex, so that a relative gap g of the margin allows an error sqrt(2 g) of the
    direction. It changes the logarithms of the distances at ln t, half and a quarter of it, which are in the ratio 1 to
    2 to 4, by 1, 1/2 and 1/4 of its share of the first distance.
    """
    direction = flow.row["node_w"].values[0] / np.linalg.norm(flow.row["node_w"].values[0])
    distance = np.linalg.norm(direction - flow.target / np.linalg.norm(flow.target))
    error = np.sqrt(2.0 * max(float(flow.number("limit_gap")), _EPSILON))
    return float((2.0 * 1.5 + 0.75) * error / (np.log(2.0) * distance))


def _direction_slope(flow: Flow, kind: str) -> Extrapolated:
    """Return the slope of the distance of the direction from the classifier in ln t, extrapolated from two slopes."""
    states, times = flow.row[f"{kind}_w"].values, flow.row[f"{kind}_log_time"].values
    units = states / np.linalg.norm(states, axis=1, keepdims=True)
    distances = np.linalg.norm(units - flow.target / np.linalg.norm(flow.target), axis=1)
    slopes = np.diff(np.log(distances)) / np.diff(np.log(times))
    return limit_at_zero(1.0 / times[:2], slopes)


def angles_claim(point: str, data: Any) -> Claim:
    """Return the claim that the three potentials of the paper choose different classifiers."""
    names = str(data.attrs["paper"]).split("; ")
    flows = {flow.name: flow for flow in flows_of(data)}
    angles = [_degrees(flows[a].target, flows[b].target) for i, a in enumerate(names) for b in names[i + 1 :]]
    unique = sum(flows[name].text("limit_status") != CONVERGED for name in names)
    return Claim(
        point, "the three potentials of the paper choose different classifiers (smallest angle in degrees)",
        PAPER,
        (Assumption.checked("each has one classifier of largest margin (number that do not)", unique, at_most=0),),
        10.0, float(min(angles)), 0.0, "at least",
    )  # fmt: skip


def control_claims(point: str, data: Any) -> list[Claim]:
    """Return the negative controls: the claim about the margin must fail for the horizon of another potential."""
    names, horizons = str(data.attrs["paper"]).split("; "), [str(name) for name in data["horizon"].values]
    flows = {flow.name: flow for flow in flows_of(data)}
    own = {"squared l2": "l2", "hyperbolic entropy": "l1", "cosh": "linf"}
    claims = []
    for name in names:
        flow = flows[name]
        for k, horizon in enumerate(horizons):
            if own[name] == horizon:
                continue
            best = flow.row["cross_margin"].values[k]
            limit = flow.margin_limit("node", flow.row["cross_size"].values[:, k])
            claims.append(Claim(
                point, f"negative control: {name} does not reach the largest margin in {horizon} (shortfall in units "
                "of the error bar)", PAPER, (), 1.0, float((best - limit.value) / limit.bar), 0.0,
                "at least",
            ))  # fmt: skip
    return claims


def _degrees(a: ndarray, b: ndarray) -> float:
    cosine = (a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
