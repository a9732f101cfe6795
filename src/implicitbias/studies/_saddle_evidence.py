"""Simulations of the flow of u * v from a sequence of decreasing scales."""

import numpy as np

from implicitbias._core.progress import Progress
from implicitbias.diagnostics import ScaleSweep
from implicitbias.flows import MirrorFlow, simulate
from implicitbias.limits import SaddlePath
from implicitbias.potentials import HyperbolicEntropy
from implicitbias.studies._sweep_evidence import finished

_BEYOND = 1.2


def simulated(path: SaddlePath, exponents: tuple[float, ...], progress: Progress) -> ScaleSweep:
    """Return the flows from alpha = 10^-e for each exponent e, until shortly after the last jump.

    Raises:
        KeyboardInterrupt: a simulation was interrupted from the keyboard.
    """
    units = np.array(exponents) * np.log(10.0)
    end, d = _BEYOND * float(path.times[-1]), path.problem.shape[1]
    trajectories = []
    for i, (exponent, unit) in enumerate(zip(exponents, units.tolist(), strict=True)):
        progress((i + 1) / (len(exponents) + 1), f"flow from alpha = 1e-{exponent:g}")
        flow = MirrorFlow(path.problem, HyperbolicEntropy(log_scale=-2 * unit))
        trajectories.append(finished(simulate(flow, np.zeros(d), t1=end * unit)))
    return ScaleSweep(path, tuple(trajectories), units, path.problem.loss, _BEYOND)
