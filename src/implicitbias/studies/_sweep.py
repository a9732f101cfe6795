"""Many runs of one function, in this process or spread over several processes."""

import warnings
from collections.abc import Iterable
from functools import lru_cache, partial
from numbers import Integral
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias._core.progress import Progress, silent

# The number of batches of points for each process.
_BATCHES = 4


@lru_cache(maxsize=2)
def _loaded(content: bytes) -> Any:
    import cloudpickle

    return cloudpickle.loads(content)


def _called(content: bytes, point: Any) -> Any:
    """Return the function with this content at a point.

    A process loads the function once. If each batch of points had its own copy, models that belong to the function
    would be traced again for each batch, which takes longer than many runs.
    """
    return _loaded(content)(point)


def sweep(function: Any, points: Any, jobs: Any = 1, progress: Progress | None = None) -> list[Any]:
    """Return [function(point) for point in points], computed by several processes if `jobs` is not 1.

    A process takes the next few points when it has finished some, so that runs of unequal cost share the processes
    well; one `jax.vmap` over all runs would take as many steps for each run as for the slowest one. Runs of one shape
    share one compiled program, which other processes read from the compile cache. Each process uses one thread of BLAS.

    Args:
        function: a function of one point, for instance one that calls `ib.simulate`. It is sent to the processes by
            content (cloudpickle), so it may be a lambda or be defined in a notebook. It should return small values such
            as arrays, and not trajectories with dense output.
        points: the settings of the runs.
        jobs: the number of processes; 1 computes in this process, -1 uses one process for each core.
        progress: a function that is called with (fraction done, text) after each run.

    Returns:
        The results in the order of the points.

    Raises:
        InputError: `jobs` is not an integer, or it is 0; `function` is no function, or `points` no list. An exception
            of the function ends the sweep and is raised.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> def end(scale):
        ...     flow = ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 0.5]), ib.HyperbolicEntropy(scale))
        ...     return ib.simulate(flow, np.zeros(2), t1=500.0).final.round(6).tolist()
        >>> ib.studies.sweep(end, [1e-1, 1e-20])
        [[1.0, 0.5], [1.0, 0.5]]
    """
    if isinstance(jobs, bool) or not isinstance(jobs, Integral) or jobs == 0:
        raise InputError(
            f"jobs is {jobs!r}, a number of processes such as 2 is expected, or -1 for all cores"
        )
    if not callable(function):
        raise InputError(
            f"function is {function!r}, a function of one point is expected: sweep(run, [1e-2, 1e-4])"
        )
    if not isinstance(points, Iterable):
        raise InputError(f"points is {points!r}, a list of points is expected: sweep(run, [1e-2, 1e-4])")
    import cloudpickle
    import joblib

    settings, report = list(points), progress or silent
    # Each process would otherwise start as many threads of BLAS as there are cores.
    with joblib.parallel_config("loky", inner_max_num_threads=1), warnings.catch_warnings():
        # After a batch, joblib replaces a process whose memory has grown by 300 MB, which compiled programs may need.
        # No run is lost, but the new process starts and reads the programs again, so there are few batches.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
        batch = max(1, len(settings) // (_BATCHES * joblib.effective_n_jobs(int(jobs))))
        runs = joblib.Parallel(n_jobs=int(jobs), batch_size=batch, return_as="generator")
        results = []
        # In this process the function is called as it is.
        here = joblib.effective_n_jobs(int(jobs)) == 1
        task = joblib.delayed(function if here else partial(_called, cloudpickle.dumps(function)))
        for result in runs(task(point) for point in settings):
            results.append(result)
            report(len(results) / len(settings), f"{len(results)} of {len(settings)} runs")
    return results
