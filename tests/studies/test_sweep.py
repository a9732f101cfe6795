"""Test that a sweep over processes gives the results of a loop, in order, and tells what is wrong."""

import os
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

import implicitbias as ib

X, Y = np.eye(2), np.array([1.0, 0.5])


def end(log_scale: float) -> tuple[int, np.ndarray]:
    flow = ib.MirrorFlow(ib.LeastSquares(X, Y), ib.HyperbolicEntropy(log_scale=log_scale))
    return os.getpid(), ib.simulate(flow, np.zeros(2), t1=50.0).final


def test_processes_give_the_results_of_a_loop_in_order() -> None:
    points, reports = [-1.0, -20.0, -5.0, -10.0], []
    loop = ib.studies.sweep(end, points)
    spread = ib.studies.sweep(end, points, jobs=2, progress=lambda *report: reports.append(report))
    np.testing.assert_array_equal([w for _, w in spread], [w for _, w in loop])
    assert {process for process, _ in loop} == {os.getpid()}
    assert os.getpid() not in {process for process, _ in spread}
    assert reports == [(k / 4, f"{k} of 4 runs") for k in (1, 2, 3, 4)]


def test_each_process_uses_one_thread_of_blas() -> None:
    def threads(_: int) -> set[int]:
        from threadpoolctl import threadpool_info

        return {pool["num_threads"] for pool in threadpool_info()}

    assert ib.studies.sweep(threads, range(2), jobs=2) == [{1}, {1}]


def test_the_exception_of_a_run_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        ib.studies.sweep(lambda point: 1 / point, [1, 0], jobs=2)


@pytest.mark.parametrize("jobs", [0, 1.5, True, "2"])
def test_bad_numbers_of_jobs_are_refused(jobs: object) -> None:
    with pytest.raises(ib.InputError, match="a number of processes such as 2 is expected"):
        ib.studies.sweep(abs, [1], jobs=jobs)


def test_a_missing_function_and_a_single_point_are_refused() -> None:
    with pytest.raises(ib.InputError, match="a function of one point is expected"):
        ib.studies.sweep(None, [1])
    with pytest.raises(ib.InputError, match="points is 3, a list of points is expected"):
        ib.studies.sweep(abs, 3)


def test_no_points_give_no_results() -> None:
    assert ib.studies.sweep(abs, [], jobs=2) == []


class Stamped:
    """A value that gets another stamp each time it is loaded."""

    stamp = "not loaded"

    def __reduce__(self) -> tuple[Any, ...]:
        return stamped, ()


def stamped() -> Stamped:
    value = Stamped()
    value.stamp = uuid4().hex
    return value


# If each batch had its own copy of the function, the models in it would be traced again for each batch.
def test_a_process_loads_the_function_once() -> None:
    value = Stamped()
    seen = set(ib.studies.sweep(lambda _: (os.getpid(), value.stamp), range(40), 2))
    assert len(seen) == len({process for process, _ in seen}) <= 2
    assert "not loaded" not in {stamp for _, stamp in seen}
    assert ib.studies.sweep(lambda _: value.stamp, [0]) == ["not loaded"]
