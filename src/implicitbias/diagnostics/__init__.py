"""Diagnostics: measurements on trajectories and paths, as functions and values without side effects."""

from implicitbias.diagnostics._crossings import crossing_times as crossing_times
from implicitbias.diagnostics._crossings import jump_times as jump_times
from implicitbias.diagnostics._error_curve import ErrorCurve as ErrorCurve
from implicitbias.diagnostics._error_curve import HeldOutError as HeldOutError
from implicitbias.diagnostics._path_model import PathModel as PathModel
from implicitbias.diagnostics._scale_sweep import JumpingPath as JumpingPath
from implicitbias.diagnostics._scale_sweep import SampledRun as SampledRun
from implicitbias.diagnostics._scale_sweep import ScaleSweep as ScaleSweep
from implicitbias.diagnostics._scale_sweep import plateau_middles as plateau_middles
from implicitbias.diagnostics._scale_sweep import rate_slopes as rate_slopes
