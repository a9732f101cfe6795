r"""From the kernel regime to the rich regime
=========================================

From a large start with a small weight decay :math:`\lambda`, a diagonal network is first a kernel machine: its
direction is that of the largest :math:`\ell_2` margin. At a predictable time it turns to the largest :math:`\ell_1`
margin.
"""

import matplotlib.pyplot as plt
import numpy as np

import implicitbias as ib

rng = np.random.default_rng(0)
signs = np.sign(rng.standard_normal((2064, 120)))
labels = np.sign(signs[:, :3].sum(axis=1))
linear = ib.Classification(signs[:64], labels[:64])
problem = linear.reparametrize(ib.SquareDifference())
decay, start = 1e-3, (np.full(120, 30.0), np.full(120, 30.0))

times = np.geomspace(1e-1, 2e4, 150)
run = ib.simulate(ib.GradientFlow(problem, weight_decay=decay), start, t1=times[-1])
w = np.array([u**2 - v**2 for u, v in map(run.state, times)])
late_point = ib.max_margin(linear, "l1").point
early_point = ib.max_margin(linear, "l2").point
phase = ib.diagnostics.phase(problem, run.state(1.0), start, weight_decay=decay, late=False)

figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.5, 5.5), layout="constrained")
for point, name in ((early_point, r"largest $\ell_2$ margin"), (late_point, r"largest $\ell_1$ margin")):
    axes[0].plot(
        times, w @ point / np.linalg.norm(w, axis=1) / np.linalg.norm(point), label=f"cosine to the {name}"
    )
axes[1].plot(
    times, np.mean(np.sign(w @ signs[64:].T) == labels[64:], axis=1), color="#009E73", label="test accuracy"
)
for axis in axes:
    axis.axvline(phase.transition_time, color="#444444", linestyle="--", label="predicted transition")
    axis.legend(frameon=False, loc="center left")
    axis.spines[["top", "right"]].set_visible(False)
axes[1].set(xscale="log", xlabel="time $t$ of the flow")

# %%
# The dashed line was computed from the start alone, without training. The test accuracy rises there, because the
# labels depend on three of the 120 features, which the :math:`\ell_1` margin finds from fewer rows than the
# :math:`\ell_2` margin.
