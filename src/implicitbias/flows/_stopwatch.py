"""Seconds that a computation takes, which depend little on what else the machine does."""

import time

import jax


class Stopwatch:
    """The seconds since the stopwatch was made.

    Where JAX computes on the processor, they are those of the clock or those of the processor, whichever are fewer:
    other programs lengthen the former, and other threads of this program the latter.
    """

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Return the seconds until now."""
        clock = time.perf_counter() - self._clock
        if jax.default_backend() != "cpu":
            return clock
        return min(clock, time.process_time() - self._processor)
