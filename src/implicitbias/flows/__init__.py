"""Flows: the dynamics of training as vector fields, and the solver that uses their structure.

To add one, give the flow a method `system(start)` that states its equation for the stepper (see `_system.py`).
Nothing here may import `limits`.
"""

from implicitbias.flows._mirror_flow import MirrorFlow as MirrorFlow
from implicitbias.flows._simulate import simulate as simulate
