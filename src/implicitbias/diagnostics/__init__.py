"""Diagnostics: pure functions of trajectories and points."""

from implicitbias.diagnostics._crossings import crossing_times as crossing_times
from implicitbias.diagnostics._crossings import jump_times as jump_times
