"""Test that a sweep over processes gives the results of a loop, in order, and tells what is wrong."""

import os
import signal
import time
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

import implicitbias as ib

X, Y = np.eye(2), np.array([1.0, 0.5])


def end(log_scale: float) -> tuple[int, int, np.ndarray]:
    """Return the process, the number of programs that it compiled for this run, and the end of the flow."""
    # Other functions of this module are sent to processes that need no JAX.
    from tests.flows.test_simulate_cost import compilations

    flow = ib.MirrorFlow(ib.LeastSquares(X, Y), ib.HyperbolicEntropy(log_scale=log_scale))
    with compilations() as found:
        final = ib.simulate(flow, np.zeros(2), t1=50.0).final
    return os.getpid(), len(found), final


def values(*arguments: Any, **options: Any) -> list[Any]:
    result = ib.studies.sweep(*arguments, **options)
    assert result.ok, result.failures
    assert result.values is not None
    return result.values


def test_processes_give_the_results_of_a_loop_in_order() -> None:
    points, reports = [-1.0, -20.0, -5.0, -10.0, -2.0, -15.0], []
    loop = values(end, points)
    spread = values(end, points, jobs=2, progress=lambda *report: reports.append(report))
    np.testing.assert_array_equal([w for *_, w in spread], [w for *_, w in loop])
    assert {process for process, *_ in loop} == {os.getpid()}
    processes = {process for process, *_ in spread}
    assert os.getpid() not in processes
    # Runs of one shape share one compilation in each process: only its first run compiles.
    for process in processes:
        compiled = [count for one, count, _ in spread if one == process]
        assert compiled[0] > 0
        assert not any(compiled[1:])
    assert [fraction for fraction, _ in reports] == sorted({fraction for fraction, _ in reports})
    assert reports[-1] == (1.0, "6 of 6 runs")


def test_each_process_uses_one_thread_of_blas() -> None:
    def threads(_: int) -> set[int]:
        import scipy.linalg
        from threadpoolctl import threadpool_info

        assert scipy.linalg
        return {pool["num_threads"] for pool in threadpool_info()}

    assert values(threads, range(2), jobs=2) == [{1}, {1}]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_raises_is_a_failure_with_its_traceback_and_the_others_go_on(jobs: int) -> None:
    result = ib.studies.sweep(lambda x: 1 / x, {"x": [1, 0, 4]}, jobs=jobs, retries=1)
    assert result.values == [1.0, None, 0.25]
    assert not result.ok
    (failure,) = result.failures
    assert failure.settings == {"x": 0}
    assert failure.reason == "ZeroDivisionError: division by zero"
    assert "1 / x" in failure.details or "ZeroDivisionError" in failure.details
    assert failure.attempts == 2
    assert str(result) == "2 of 3 runs are done, 1 failed"


def hangs_grows_or_dies(kind: str) -> str:
    if kind == "hangs":
        time.sleep(600.0)
    if kind == "grows":
        kept = [np.ones(2**17) for _ in range(2**10)]  # 1 GiB
        time.sleep(600.0)
        return str(kept[0][0])
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return kind


@pytest.mark.slow
def test_runs_that_hang_grow_or_die_fail_alone_and_say_why() -> None:
    kinds = ["fine", "hangs", "grows", "dies", "good", "well"]
    result = ib.studies.sweep(hangs_grows_or_dies, kinds, jobs=2, seconds=10.0, memory=700 * 2**20)
    assert result.values == ["fine", None, None, None, "good", "well"]
    reasons = {failure.settings["point"]: failure.reason for failure in result.failures}
    assert reasons == {
        "hangs": "it took longer than 10 s",
        "grows": "the process used more than 700 MiB of memory",
        "dies": "the process ended by signal 9",
    }
    assert {f.settings["point"]: f.attempts for f in result.failures}["hangs"] == 1


def test_a_value_that_cannot_be_sent_back_is_a_failure() -> None:
    result = ib.studies.sweep(lambda x: lambda: x, {"x": [1]}, jobs=2)
    assert "the value cannot be sent between processes" in result.failures[0].reason


class Stubborn:
    """A value that no other process can load."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def test_a_function_that_no_process_can_load_is_told() -> None:
    value = Stubborn()
    with pytest.raises(
        ib.InputError, match=r"cannot be loaded in another process .ValueError: invalid literal"
    ):
        ib.studies.sweep(lambda x: (value, x), [1, 2], jobs=2)


@pytest.mark.parametrize("jobs", [0, -2, 1.5, True, "2"])
def test_bad_numbers_of_jobs_are_refused(jobs: object) -> None:
    with pytest.raises(ib.InputError, match="a number of processes such as 2 is expected"):
        ib.studies.sweep(abs, [1], jobs=jobs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retries": -1}, "retries is -1"),
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"memory": "1 GB"}, "memory is '1 GB'"),
        ({"outdated": "drop"}, "'keep' or 'replace'"),
        ({"out": 5}, "out is 5, the name of a folder"),
        ({"out": ""}, "out is '', the name of a folder"),
        ({"scheduler": "nowhere"}, "no Dask scheduler answers at nowhere"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.studies.sweep(abs, [1], **options)


def test_a_missing_function_is_refused() -> None:
    with pytest.raises(ib.InputError, match="a function of the settings is expected"):
        ib.studies.sweep(None, [1])


def test_no_points_give_no_results() -> None:
    assert values(abs, [], jobs=2) == []


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
    seen = set(values(lambda _: (os.getpid(), value.stamp), range(40), jobs=2))
    assert len(seen) == len({process for process, _ in seen}) <= 2
    assert "not loaded" not in {stamp for _, stamp in seen}
    assert values(lambda _: value.stamp, [0]) == ["not loaded"]
