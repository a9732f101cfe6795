r"""The path from saddle to saddle
==============================

A diagonal network :math:`w = u \odot v` that starts near zero rests at a saddle of its training loss, jumps to the
next saddle, and rests again. ``ib.saddle_path`` computes all jumps exactly, without training.
"""

import numpy as np

import implicitbias as ib

X = np.random.default_rng(0).standard_normal((5, 7))
problem = ib.LeastSquares(X, X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
path = ib.saddle_path(problem)
ib.plot(path)

# %%
# The coefficients are constant between jumps, and the loss falls at each jump. Only two coefficients of the target
# are not zero. A third one enters at the first jump, because its column is correlated with the target, and it leaves
# again at the last jump. The end is the interpolant of least :math:`\ell_1` norm. The certificate checks this without
# trusting the algorithm:

print(path.certificate)
