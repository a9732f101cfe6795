"""The study of addition modulo a prime, which a quadratic network learns late, without weight decay."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias._core.progress import Progress
from implicitbias.studies._grokking_claims import (
    limit_in_decay,
    sharp_limit,
    sharp_slope,
    slope_in,
    violation_claim,
)
from implicitbias.studies._stored_claims import all_finished, number
from implicitbias.studies._study import Study

_PAPER = "kumar2024grokking"
_POINTS = ("mod-13", "mod-23")
_THEORY = "docs/theory.md, What the studies of grokking measure"
# The accuracy that counts as generalisation, and the largest difference of phase times at the published rate.
_GENERALISED, _CLOSE = 0.95, 0.05
_PHASES = (("memorized", "memorization"), ("generalised", "generalisation"))


class GrokkingModular(Study):
    """The study that compares the phase times of the gradient flow and of gradient descent on addition mod p."""

    def points(self) -> tuple[str, ...]:
        """Return a small modulus, and that of the paper."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Train by the flow and by gradient descent, and return phase times and processor times."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias._core.labelled import dataset
        from implicitbias.studies._modular_evidence import SETTINGS, modular_variables

        setting = SETTINGS[point]
        progress(0.02, "the gradient flow")
        variables = modular_variables(setting, progress)
        return dataset({}, {}, {"size": setting.size, "hidden": setting.hidden}).assign(variables)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the order of phases, gradient descent, small weight decays and larger starts."""
        return [
            *order_claims(point, dataset),
            *descent_claims(point, dataset),
            *decay_claims(point, dataset),
            scale_claim(point, dataset),
            violation_claim(point, dataset),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return figures of accuracies and errors against time, and of the phase times against the learning rate."""
        from implicitbias.plotting import curves_figure, rate_figure

        time, kept, rates = (dataset[name].values for name in ("run_time", "kept_time", "rate"))
        panels: dict[str, Any] = {"accuracy": {}, "mean squared error": {}}
        for name, words in (("train", "training"), ("test", "test")):
            panels["accuracy"][f"{words}, flow"] = (time, dataset[f"run_{name}_accuracy"].values)
            panels["mean squared error"][f"{words}, flow"] = (time, dataset[f"run_{name}_error"].values)
        for name, words in (("train", "training"), ("test", "test")):
            descent = f"{words}, gradient descent at rate {rates[-1]:g}"
            panels["accuracy"][descent] = (kept, dataset[f"kept_{name}_accuracy"].values)
        dashed = tuple(name for name in panels["accuracy"] if "descent" in name)
        apart = {words: np.abs(_excess(dataset, name)) for name, words in _PHASES}
        return {
            f"{point}-curves": curves_figure(panels, "time: steps times learning rate", dashed=dashed),
            f"{point}-rates": rate_figure(
                rates, apart, "learning rate", "relative distance of phase times from the flow", 1.0
            ),
        }

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "Modulus 23, 46 one-hot inputs, 100 hidden units, f = V (W x)^2 / 4600, standard normal weights, 90 % of "
            "the sums for training, the mean squared error over all entries, no weight decay and the learning rate 100 "
            "are those of arXiv 2310.06110; the seeds and modulus 13 with 60 units were chosen here. Times, learning "
            "rates and weight decays are those of that loss, which is 2 / p times the loss of this library. "
            "Memorization is a training accuracy of 99 %, and generalisation is a test accuracy of 95 %. The times of "
            "the flow are located in its dense output at rtol = 1e-7, and once more at 1e-6. Seconds are those of the "
            "flow at rtol = 1e-4, and of gradient descent to the same end. This network has more "
            "equations than parameters, and it generalises before the weights decay, so that the claims about the slow "
            "phase of arXiv 2505.20172 do not apply: instead, its times tend to those without weight decay. Processor "
            "times are those of this run, after compilation. Every number below was computed in this run."
        )


def order_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the flow without weight decay memorises first and generalises later."""
    ratio = number(data, "generalised") / number(data, "memorized")
    train, test = (data[f"run_{name}_accuracy"].values[-1] for name in ("train", "test"))
    return [
        at_least(point, "without weight decay memorization comes before generalisation (ratio of their times)", _PAPER,
                 (ratio, 1.0), all_finished(data)),
        at_most(point, "at memorization most sums of the test are wrong (test accuracy)", _PAPER,
                (number(data, "accuracy_at_memorization"), 0.5)),
        at_least(point, "without weight decay the flow ends with a high test accuracy", _PAPER, (test, _GENERALISED),
                 all_finished(data)),
        at_least(point, "all sums for training are right at the end (training accuracy)", _PAPER, (train, 1.0)),
    ]  # fmt: skip


def descent_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about gradient descent: it is a method of first order for the flow, and costs more."""
    rates, errors = data["rate"].values, data["rate_error"].values + number(data, "flow_error")
    claims = []
    for name, words in _PHASES:
        excess = _excess(data, name)
        found = slope_in(rates, np.abs(excess), errors)
        claims += [
            close(point, f"the time of {words} of gradient descent differs from that of the flow at first order in the "
                  "learning rate (slope 1, within its error bar)", _THEORY,
                  (1.0, found.value, found.bar), all_finished(data), sharp_slope(f"the time of {words}", found)),
            at_most(point, f"at the published rate this time of {words} is within 5 % of that of the flow (relative "
                    "distance)", _PAPER, (abs(excess[-1]), _CLOSE), all_finished(data)),
        ]  # fmt: skip
    seconds = number(data, "flow_seconds") / data["rate_seconds"].values[-1]
    claims.append(
        at_most(point, "the flow takes less processor time than gradient descent at the published rate (ratio)",
                "this library", (seconds, 1.0), all_finished(data, "timed"),
                Assumption.checked("the timed flow has smaller errors of its phase times (ratio)",
                                   number(data, "timed_error") / np.min(np.abs(_excess(data, "memorized"))),
                                   at_most=1.0))
    )  # fmt: skip
    return claims


def decay_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that small weight decays change nothing: phase times tend to those without one."""
    decay, errors = data["weight_decay"].values, data["decay_error"].values
    claims = []
    for name, words in _PHASES:
        found = limit_in_decay(decay, data[f"decay_{name}"].values, errors)
        known = number(data, name)
        bar = found.bar + known * number(data, "flow_error")
        claims.append(
            close(point, f"as lam -> 0 the time of {words} tends to that without weight decay, within the error "
                  "bar of its limit, and not to infinity like 1 / lam", _PAPER, (known, found.value, bar),
                  sharp_limit(f"the time of {words}", found), all_finished(data))
        )  # fmt: skip
    return claims


def scale_claim(point: str, data: Any) -> Claim:
    """Return the claim that larger starts, which train more lazily, delay generalisation."""
    ratio = data["scale_generalised"].values / data["scale_memorized"].values
    errors = 2.0 * data["scale_error"].values * ratio
    risen = np.diff(ratio) > errors[1:] + errors[:-1]
    return at_most(
        point, "larger starts delay generalisation: its time in units of the memorization time rises with the scale "
        "(number of steps at which it does not, beyond its error)", _PAPER, (int(np.sum(~risen)), 0),
        all_finished(data),
    )  # fmt: skip


def _excess(data: Any, name: str) -> Any:
    """Return the relative excess of phase times of gradient descent over those of the flow."""
    return data[f"rate_{name}"].values / number(data, name) - 1.0


STUDY = GrokkingModular()
