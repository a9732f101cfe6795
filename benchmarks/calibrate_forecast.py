"""Forecasts of grokking on runs of a stated distribution, each hashed before gradient descent starts.

Usage: python -m benchmarks.calibrate_forecast TASK [--out FILE] [--keep FOLDER] [--count COUNT]

The task `tuning` runs the seeds on which the rule of the interval was chosen. `unseen` draws other seeds until 20
runs of real gradient descent grok, and `networks` draws networks with hidden units alone. `later-networks` draws more
of them, after a change of the rule of the interval, and `negatives` runs 30 in which one thing is wrong. `summary`
prints what the record says. The record has one line of JSON for each run, which is written twice: with the hash of the
forecast before descent starts, and with the outcome after it. An interrupted calibration is continued by the same
command.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks._forecast_cases import KINDS, NETWORKS, drawn, negative
from benchmarks._forecast_record import Record

TUNING, UNSEEN, NEGATIVES = range(1060, 1100), range(0, 100), range(500, 600)
# The names and the seeds of networks. Those of the first record have the rule of the interval before it contained the
# change of the test error at memorization and the rest tolerance of the final error.
NETWORK_SEEDS = {
    "networks": ("network", range(200, 300)),
    "later-networks": ("later network", range(300, 400)),
}
GROKKING, EACH_KIND = 20, (5, 4, 4, 4, 4, 4, 5)


def unseen(record: Record, count: int) -> None:
    """Draw runs until `count` of them grok."""
    grokking = 0
    for seed in UNSEEN:
        grokking += record.run(f"unseen {seed}", drawn(seed))["outcome"]["groks"]
        if grokking >= count:
            break


def networks(record: Record, count: int, task: str) -> None:
    """Draw runs of networks with hidden units until `count` of them grok, whatever the other families do."""
    grokking, (name, seeds) = 0, NETWORK_SEEDS[task]
    for seed in seeds:
        grokking += record.run(f"{name} {seed}", drawn(seed, NETWORKS))["outcome"]["groks"]
        if grokking >= count:
            break


def negatives() -> Iterator[tuple[str, int]]:
    """Yield the kinds and seeds of the negatives, first one of each kind, so that a part of them has all kinds."""
    kinds = [(turn, kind) for kind, many in zip(KINDS, EACH_KIND, strict=True) for turn in range(many)]
    numbered = [(turn, kind, seed) for (turn, kind), seed in zip(kinds, NEGATIVES, strict=False)]
    yield from ((kind, seed) for _, kind, seed in sorted(numbered, key=lambda entry: entry[0]))


class Accuracy(NamedTuple):
    """What the record says about runs that grok.

    Attributes:
        runs: the number of runs that grok.
        foreseen: the number of them that the forecast says grok.
        covered: the number of them whose measured grokking time lies in the interval.
        width: the median of upper / lower end of the interval.
        log_time: the median of the absolute difference of the logarithms of the forecast and the measured time.
        norm_law: the same for the time ln(||theta_0|| / ||theta_end||) / lam, with the measured norms.
        inverse: the same for the time 1 / lam.
        final_points: the median difference of the final errors, in points of the unit.
        curve_points: the median over runs of the median difference of the curves of the test error, in points.
        lead: the median share of the steps to the grokking time that the forecast did not need.
        missed: the names of the runs whose time lies outside the interval, or which the forecast says do not grok.
    """

    runs: int
    foreseen: int
    covered: int
    width: float
    log_time: float
    norm_law: float
    inverse: float
    final_points: float
    curve_points: float
    lead: float
    missed: tuple[str, ...]


def accuracy(lines: list[dict[str, Any]]) -> Accuracy:
    """Return what the lines of a record say about the runs that grok."""
    runs = [line for line in lines if line.get("outcome", {}).get("groks") and "forecast" in line]
    rows, missed, foreseen, covered = [], [], 0, 0
    for line in runs:
        forecast, real = line["forecast"], line["outcome"]
        step = real["grokking_step"]
        low, high = (np.nan if end is None else end for end in forecast["interval"])
        inside = low <= step and (step <= high or (np.isnan(high) and not np.isnan(low)))
        foreseen, covered = foreseen + forecast["groks"], covered + inside
        if not (inside and forecast["groks"]):
            missed.append(line["name"])
        scale = line["weight_decay"] * line["learning_rate"] * step
        shrunk = np.log(real["norms"][0] / real["norms"][1])
        time = forecast["grokking_step"] or np.nan
        rows.append([
            high / low, abs(np.log(time / step)), abs(np.log(shrunk / scale)), abs(np.log(1.0 / scale)),
            100 * abs(forecast["final_error"] - real["final_error"]) / forecast["unit"],
            line["points_apart"]["median"], 1.0 - forecast["real_steps"] / step,
        ])  # fmt: skip
    # A forecast without a time, and an interval without an end, count as infinitely bad.
    table = np.where(np.isnan(rows), np.inf, rows)
    return Accuracy(len(runs), foreseen, covered, *np.median(table, axis=0).tolist(), tuple(missed))


def false_alarms(lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the runs that do not grok although the forecast says so, by its level of trust."""
    found: dict[str, list[str]] = {"high": [], "medium": [], "low": []}
    for line in lines:
        if "outcome" in line and not line["outcome"]["groks"] and line.get("forecast", {}).get("groks"):
            found[line["forecast"]["trust"]].append(line["name"])
    return found


def summary(record: Record) -> None:
    """Print what a record says."""
    parts = {
        start: [line for line in record.lines if line["name"].startswith(start) and "outcome" in line]
        for start in ("tuning", "unseen", "network", "later network", "negative")
    }
    for start, lines in parts.items():
        if not lines:
            continue
        grokking = sum(line["outcome"]["groks"] for line in lines)
        refused = sum("refused" in line for line in lines)
        print(f"{start}: {len(lines)} runs, {grokking} grok, {refused} forecasts refused")
        if any(line["outcome"]["groks"] and "forecast" in line for line in lines):
            print("  " + "\n  ".join(f"{name}: {value}" for name, value in accuracy(lines)._asdict().items()))
        print(f"  false alarms by trust: {false_alarms(lines)}")


def main() -> None:
    """Extend a record, or print what it says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("task", choices=["tuning", "unseen", *NETWORK_SEEDS, "negatives", "summary"])
    parser.add_argument("--out", type=Path, default=Path("docs/records/forecast_calibration.jsonl"))
    parser.add_argument("--keep", type=Path, help="a folder for the saved forecasts and runs")
    parser.add_argument(
        "--count", type=int, default=GROKKING, help="the number of grokking runs, or of tuning runs"
    )
    given = parser.parse_args()
    record = Record(given.out, given.keep)
    if given.task == "tuning":
        for seed in TUNING[: given.count]:
            record.run(f"tuning {seed}", drawn(seed))
    elif given.task == "unseen":
        unseen(record, given.count)
    elif given.task in NETWORK_SEEDS:
        networks(record, given.count, given.task)
    elif given.task == "negatives":
        for kind, seed in negatives():
            record.run(f"negative {seed}", negative(seed, kind))
    summary(record)


if __name__ == "__main__":
    main()
