r"""A forecast of grokking
======================

A diagonal network :math:`w = u \odot v` learns a sparse target from few rows, with a small weight decay. From the
start of training, ``ib.forecast_grokking`` computes when it will generalise, and to which error.
"""

import numpy as np

import implicitbias as ib

rng = np.random.default_rng(0)
X = rng.standard_normal((230, 60))
y = X[:, :3].sum(axis=1)
start = {"u": rng.standard_normal(60), "v": rng.standard_normal(60)}
problem = ib.Problem(lambda theta, X: X @ (theta["u"] * theta["v"]), X[:30], y[:30])
forecast = ib.forecast_grokking(problem, start, weight_decay=1e-4, test=(X[30:], y[30:]))
ib.plot(forecast)

# %%
# The network fits its 30 training rows early. Its error on the other rows stays high for a time of the order of
# :math:`1/\lambda`, in which the weight decay moves the parameters along the set of solutions that fit. It then falls
# to nearly zero. The forecast says how far it can be trusted, and why:

print(forecast)
