"""Claims about a network whose drift ends at a saddle of the norm, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_most, close
from implicitbias.studies._grokking_claims import PAPER, apart_claim
from implicitbias.studies._stored_claims import all_finished, number

# The largest error bar of the slope of the escape times, relative to the slope.
_SHARP = 0.05


def saddle_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the drift stays at the saddle, and that runs leave it later for a smaller weight decay."""
    saddle, rate, rtol = data["saddle"].values, number(data, "escape_rate"), number(data, "rtol")
    still, arrived, ends = (data[name].values for name in ("drift_end", "baseline_end", "end"))
    size = np.linalg.norm(saddle)
    # Local errors of the size rtol grow like e^(rate tau) beside the saddle.
    grown = rtol * np.exp(rate * number(data, "stay"))
    last, before = (float(np.linalg.norm(end - saddle)) for end in (ends[-1], ends[-2]))
    slope, bar = _slope(data)
    return [
        at_most(point, "training without weight decay ends at the saddle (relative distance, bounded by rtol)", PAPER,
                (np.linalg.norm(arrived - saddle) / size, rtol), all_finished(data)),
        at_most(point, "the drift stays at the saddle (relative distance, bounded by rtol e^(rate tau))", PAPER,
                (np.linalg.norm(still - saddle) / size, grown), all_finished(data),
                Assumption.checked("this bound is small", grown, at_most=_SHARP)),
        close(point, "runs leave the saddle at a slow time that grows like ln(1 / lam) / rate, with the rate at which "
              "the drift leaves it (slope, within its error bar)", PAPER, (1.0 / rate, slope, bar), all_finished(data),
              Assumption.checked("the error bar of this slope is small (relative)", bar * rate, at_most=_SHARP)),
        apart_claim(point, "the limits of long slow times and of lam -> 0 do not commute at a saddle: the ends of the "
                    "runs stay away from it", last, abs(last - before)),
        at_most(point, "the runs end at a smaller norm than that of the saddle (ratio of the norms)", PAPER,
                (np.max(np.linalg.norm(ends, axis=1)) / size, 1.0), all_finished(data)),
    ]  # fmt: skip


def _slope(data: Any) -> tuple[float, float]:
    """Return the slope of the escape times in ln(1 / lam) over the smaller weight decays, with its error bar."""
    logs, times = -np.log(data["weight_decay"].values), data["escape_time"].values
    if not np.all(np.isfinite(times)):
        return np.nan, 0.0
    half = len(logs) // 2
    late, early = (
        float(np.polyfit(logs[part], times[part], 1)[0]) for part in (slice(half, None), slice(half + 1))
    )
    weights = logs[half:] - np.mean(logs[half:])
    noise = np.sum(np.abs(weights) * data["escape_error"].values[half:]) / np.sum(weights**2)
    return late, abs(late - early) + float(noise)
