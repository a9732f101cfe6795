r"""The training flow as the initialisation shrinks
===============================================

The path of saddles is a limit: it holds as the scale :math:`\alpha` of the start tends to zero. The true training
flow is integrated here from three scales, on the axis of slow time :math:`t / \ln(1/\alpha)`.
"""

import matplotlib.pyplot as plt
import numpy as np

import implicitbias as ib

X = np.random.default_rng(0).standard_normal((5, 7))
problem = ib.LeastSquares(X, X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
path = ib.saddle_path(problem)
slow = np.linspace(0.02, 2.2, 600)

figure, axes = plt.subplots(3, 1, sharex=True, figsize=(7.5, 7.0), layout="constrained")
for axis, exponent in zip(axes, (3, 30, 1000), strict=True):
    unit = exponent * np.log(10.0)  # ln(1 / alpha)
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2.0 * unit))
    run = ib.simulate(flow, np.zeros(7), t1=2.2 * unit)
    simulated = np.array([run.state(s * unit) for s in slow])
    predicted = np.array([path.at(s) for s in slow])
    for j in np.flatnonzero(np.abs(path.coefficients).max(axis=0) > 0):
        (line,) = axis.plot(slow, simulated[:, j], linewidth=5, alpha=0.35, label=f"$w_{j}$")
        axis.plot(slow, predicted[:, j], color=line.get_color(), linewidth=1.2)
    axis.set_title(rf"$\alpha = 10^{{-{exponent}}}$, {run.stats.steps} steps", loc="left", fontsize=11)
    axis.set_ylabel("coefficient")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].legend(frameon=False, ncols=3, loc="upper left")
axes[-1].set_xlabel(r"slow time $t\, /\, \ln(1/\alpha)$")

# %%
# Wide lines are the simulated flow, and thin lines are the predicted path. At :math:`10^{-3}` the jumps are smooth
# and late, and at :math:`10^{-1000}` both lines lie on each other. The flow is integrated in dual variables and in
# the logarithm of the scale, so that :math:`10^{-1000}` does not underflow and takes about as many steps as
# :math:`10^{-30}`.
