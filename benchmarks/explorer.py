"""How long a picture of the explorer takes, while one setting at a time moves. The target is 200 ms."""

import sys
import time

import numpy as np

from benchmarks._measure import machine
from implicitbias._core.errors import InputError
from implicitbias.explorer import EXPLORATIONS, find

TARGET = 0.2
MOVES = 60


def redraws(exploration, moves: int) -> tuple[np.ndarray, np.ndarray]:
    """Return seconds of the wall clock and of the processor for moves of one setting at a time from the defaults."""
    for numbers in exploration.programs():
        exploration.picture(numbers)
    rng, seconds, busy = np.random.default_rng(0), [], []
    for _ in range(moves):
        numbers = exploration.defaults()
        place = int(rng.integers(len(numbers)))
        setting = exploration.settings[place]
        count = round((setting.high - setting.low) / setting.step)
        numbers[place] = setting.low + setting.step * float(rng.integers(count + 1))
        begin, used = time.perf_counter(), time.process_time()
        try:
            exploration.picture(numbers)
        except InputError:  # Points that no line separates have no picture, and this answer is fast.
            continue
        seconds.append(time.perf_counter() - begin)
        busy.append(time.process_time() - used)
    return np.array(seconds), np.array(busy)


def main() -> None:
    """Measure all pages, or those that are named."""
    print(f"\nexplorer  ({machine()})")
    for exploration in map(find, sys.argv[1:]) if sys.argv[1:] else EXPLORATIONS:
        wall, busy = redraws(exploration, MOVES)
        print(
            f"  {exploration.name:<20} wall {words(wall)}   processor {words(busy)}   {len(wall)} moves, "
            f"target {1e3 * TARGET:.0f} ms"
        )


def words(seconds: np.ndarray) -> str:
    return f"median {1e3 * np.median(seconds):5.0f} ms, 95 % {1e3 * np.quantile(seconds, 0.95):5.0f} ms"


if __name__ == "__main__":
    main()
