"""The study of forecasts of grokking on scikit-learn's digits: what was forecast, and what then happened."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Claim, at_least, at_most
from implicitbias._core.progress import Progress
from implicitbias.studies._stored_claims import number
from implicitbias.studies._study import Study

_PAPER = "boursier2025grokking"
_FORECAST = "this library"
# What a forecast promises: the median and the worst of the curves' differences in points of the test error, of the
# relative differences of grokking times in per cent, and of the differences of the final errors in points.
_PROMISED = {"curve": (0.3, 2.0), "time": (2.0, 10.0), "final": (0.3, 1.0)}
# The share of grokking times that an interval of a forecast is to cover, and the fall of the error that is grokking.
_COVERAGE, _FALL = 0.8, 10.0
# A median of fewer runs says no more than the worst of them.
_FEW = 3


class GrokkingDigits(Study):
    """The study that compares forecasts with gradient descent on images of digits."""

    def points(self) -> tuple[str, ...]:
        """Return one small network, and the grid of 24 networks, which takes most of an hour."""
        return "small", "grid"

    def compute(self, point: str, progress: Progress) -> Any:
        """Forecast and train each network of the point, and the first one without weight decay too."""
        from implicitbias.studies._digits_evidence import SETTINGS, digits_variables

        return digits_variables(SETTINGS[point], progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about forecasts of each activation, and the one about the run without weight decay."""
        activations = dict.fromkeys(str(name) for name in dataset["activation"].values)
        claims: list[Claim] = []
        for name in activations:
            claims += _accuracy_claims(point, dataset.isel(run=dataset["activation"].values == name), name)
        return [*claims, *_coverage_claims(point, dataset), *_baseline_claims(point, dataset)]

    def settings(self) -> dict[str, Any]:
        """Return the network, its weight decay, the seed of rows and start, and the number of training rows."""
        return {"activation": "tanh", "width": 128, "weight_decay": 1.5e-2, "seed": 0, "images": 50}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return the forecast and the outcome of one network, in steps, fractions and points."""
        from implicitbias.studies._digits_evidence import digits_run

        return digits_run(**settings)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return a figure for each network, with the errors that were forecast and measured."""
        from implicitbias.plotting import curves_figure

        figures = {}
        for i in range(dataset.sizes["run"]):
            one = dataset.isel(run=i)
            steps = one["step"].values
            panels = {
                "misclassified fraction": {
                    f"{kind}, {words}": (steps, one[f"{source}_{name}"].values)
                    for name, kind in (("train", "training"), ("test", "test"))
                    for source, words in (("forecast", "forecast"), ("measured", "gradient descent"))
                }
            }
            dashed = tuple(name for name in panels["misclassified fraction"] if "descent" in name)
            stem = f"{point}-{_stem(one)}"
            figures[stem] = curves_figure(panels, "step of gradient descent", dashed=dashed)
        return figures

    def notes(self) -> str:
        """Return a paragraph that says how the runs are made."""
        return (
            "Networks with one hidden layer, from a start of 6 times (tanh) or twice (ReLU) the usual size, learn 50 "
            "or 100 images of digits with squared loss on one-hot targets by full-batch gradient descent at rate "
            "0.02, near 2 / sharpness at the start. No paper has this experiment; all settings were chosen here. Each "
            "forecast is computed, and its fingerprint taken, before the first step of its run, which is plain "
            "gradient descent without code of the forecast. Runs go to lam t = 10, and to 20, 40 and so on until they "
            "are at rest, if that takes at most 1.4 million steps: the grokking time is half way to the final error, "
            "and a forecast goes on to rest. ReLU networks have no third derivative, so that the theory does not "
            "cover them, and their forecasts have rtol = 1e-3. Errors are those of 1000 other images. Medians are "
            "claimed of three runs or more. Every number below was computed in this run."
        )


def _accuracy_claims(point: str, data: Any, activation: str) -> list[Claim]:
    """Return the claims about the curves, the grokking times and the final errors of one activation."""
    time = 100.0 * np.abs(data["forecast_grokked"].values / data["measured_grokked"].values - 1.0)
    final = 100.0 * np.abs(data["forecast_final"].values - data["measured_final"].values)
    found = {
        "curve": (data["points_median"].values, data["points_worst"].values),
        "time": (time, time),
        "final": (final, final),
    }
    words = {
        "curve": "test errors of forecast and descent over the run are close (points",
        "time": "grokking times of forecast and descent are close (per cent",
        "final": "the final test error of the forecast is close to that of the run at its last step (points",
    }
    claims = []
    for name, (middle, worst) in found.items():
        for rank, value, most in zip(
            ("median", "worst"), (np.median(middle), np.max(worst)), _PROMISED[name], strict=True
        ):
            if rank == "median" and len(middle) < _FEW:
                continue
            statement = f"{activation}: {words[name]}, {rank})"
            claims.append(at_most(point, statement, _FORECAST, (float(value), most)))
    return claims


def _coverage_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the intervals and the verdicts of all forecasts."""
    grokked = data["measured_grokked"].values
    inside = (data["forecast_low"].values <= grokked) & (grokked <= data["forecast_high"].values)
    differ = _groks(data, "forecast") != _groks(data, "measured")
    return [
        at_least(point, "the intervals of 80 % contain the measured grokking times (share)", _FORECAST,
                 (float(np.mean(inside)), _COVERAGE)),
        at_most(point, "forecast and descent agree on whether the network groks (number that differ)", _FORECAST,
                (int(np.sum(differ)), 0)),
    ]  # fmt: skip


def _baseline_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the first network generalises late because of its weight decay."""
    names = ("memorized", "then", "grokked", "final")
    baseline = {f"baseline_{name}": np.array([number(data, f"baseline_{name}")]) for name in names}
    higher = 100.0 * (number(data, "baseline_final") - number(data.isel(run=0), "measured_final"))
    return [
        at_most(point, "without weight decay the first network does not grok (1 if it does)", _PAPER,
                (int(_groks(baseline, "baseline")[0]), 0)),
        at_least(point, "without weight decay the final test error of the first network is higher than with it "
                 "(points)", _PAPER, (higher, _FALL)),
    ]  # fmt: skip


def _groks(data: Any, source: str) -> Any:
    """Return whether each network groks: the error falls by 10 points, at 10 times the memorization time or later."""
    memorized, grokked, then, final = (
        np.asarray(data[f"{source}_{name}"]) for name in ("memorized", "grokked", "then", "final")
    )
    return (100.0 * (then - final) >= _FALL) & (grokked >= 10.0 * memorized)


def _stem(one: Any) -> str:
    """Return the name of a network for the file of its figure."""
    decay = f"{float(one['weight_decay']):g}"
    return f"{one['activation'].item()}-{int(one['width'])}-lam-{decay}-seed-{int(one['seed'])}"


STUDY = GrokkingDigits()
