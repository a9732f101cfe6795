"""Diagnostics: measurements on trajectories and paths, as functions and values without side effects."""

from implicitbias.diagnostics._crossings import crossing_times as crossing_times
from implicitbias.diagnostics._crossings import jump_times as jump_times
from implicitbias.diagnostics._measurements import Measurement as Measurement
from implicitbias.diagnostics._measurements import angle_to as angle_to
from implicitbias.diagnostics._measurements import direction as direction
from implicitbias.diagnostics._measurements import distance_to as distance_to
from implicitbias.diagnostics._measurements import margin_in as margin_in
from implicitbias.diagnostics._scale_sweep import JumpingPath as JumpingPath
from implicitbias.diagnostics._scale_sweep import SampledRun as SampledRun
from implicitbias.diagnostics._scale_sweep import ScaleSweep as ScaleSweep
from implicitbias.diagnostics._scale_sweep import plateau_middles as plateau_middles
from implicitbias.diagnostics._scale_sweep import rate_slopes as rate_slopes
