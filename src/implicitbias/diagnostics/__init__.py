"""Diagnostics: measurements on trajectories and paths, as functions and values without side effects.

Reference:
    pesme2024mirror for the directions and margins of flows on separable data.

Examples:
    >>> import numpy as np, implicitbias as ib
    >>> problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1], loss="exponential")
    >>> margin = ib.diagnostics.margin_in(problem, ib.gauges.L2())
    >>> flow = ib.MirrorFlow(problem, ib.SquaredNorm())
    >>> trajectory = ib.simulate(flow, np.zeros(2), log_t1=1000.0, observe={"margin": margin})
    >>> round(float(trajectory.observables["margin"][-1]), 6)  # the largest margin is 2
    2.0
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from implicitbias.diagnostics._crossings import crossing_times as crossing_times
from implicitbias.diagnostics._crossings import jump_times as jump_times
from implicitbias.diagnostics._error_curve import ErrorCurve as ErrorCurve
from implicitbias.diagnostics._error_curve import HeldOutError as HeldOutError
from implicitbias.diagnostics._float32_stall import Float32Stall as Float32Stall
from implicitbias.diagnostics._float32_stall import float32_stall as float32_stall
from implicitbias.diagnostics._limit_model import LimitModel as LimitModel
from implicitbias.diagnostics._measurements import Measurement as Measurement
from implicitbias.diagnostics._measurements import angle_to as angle_to
from implicitbias.diagnostics._measurements import direction as direction
from implicitbias.diagnostics._measurements import distance_to as distance_to
from implicitbias.diagnostics._measurements import margin_in as margin_in
from implicitbias.diagnostics._path_model import PathModel as PathModel
from implicitbias.diagnostics._scale_sweep import JumpingPath as JumpingPath
from implicitbias.diagnostics._scale_sweep import SampledRun as SampledRun
from implicitbias.diagnostics._scale_sweep import ScaleSweep as ScaleSweep
from implicitbias.diagnostics._scale_sweep import plateau_middles as plateau_middles
from implicitbias.diagnostics._scale_sweep import rate_slopes as rate_slopes

if TYPE_CHECKING:
    from implicitbias.diagnostics._phase import Phase as Phase
    from implicitbias.diagnostics._phase import phase as phase

# Modules that load JAX, which the judging of stored studies does not need.
_LATE = {"Phase": "_phase", "phase": "_phase"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
