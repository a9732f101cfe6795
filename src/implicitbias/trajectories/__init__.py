"""Trajectories: the one result type of every flow."""

from implicitbias.trajectories._clock import Clock as Clock
from implicitbias.trajectories._dense_output import DenseOutput as DenseOutput
from implicitbias.trajectories._dense_output import Stats as Stats
from implicitbias.trajectories._trajectory import Trajectory as Trajectory
