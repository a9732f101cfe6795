"""Benchmarks against peers. `python -m benchmarks` runs all of them in one process."""
