r"""The phases of a measured log
============================

You have the log of a training run, in any form. ``ib.grokking.phases`` finds when the training data were memorised and
when the model generalised, with intervals. Here the log comes from plain mini-batch descent of a linear model, in
NumPy.
"""

import matplotlib.pyplot as plt
import numpy as np

import implicitbias as ib

rng = np.random.default_rng(0)
deviation = np.r_[np.full(3, 1.0), np.full(97, 0.15)]  # the target depends on the three strong features
X, X_test = rng.standard_normal((20, 100)) * deviation, rng.standard_normal((500, 100)) * deviation
target = np.r_[np.ones(3), np.zeros(97)]
y, y_test = X @ target, X_test @ target

steps = np.unique(np.geomspace(1, 30_000, 120).astype(int))
w, rows = 3.0 * rng.standard_normal(100), []
for step in range(1, 30_001):
    chosen = rng.choice(20, 5, replace=False)
    w -= 0.2 * (X[chosen].T @ (X[chosen] @ w - y[chosen]) / 5 + 1e-3 * w)
    if step in steps:
        rows.append((step, np.mean((X @ w - y) ** 2), np.mean((X_test @ w - y_test) ** 2)))

log = dict(zip(("step", "train_mse", "test_mse"), np.transpose(rows), strict=True))
found = ib.grokking.phases(log, kind="squared_error")
print(found)

# %%
# The bands are the 80 % intervals of both times.

figure, axis = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
axis.loglog(log["step"], log["train_mse"], label="training error")
axis.loglog(log["step"], log["test_mse"], label="test error")
for name, time, interval in (
    ("memorization", found.memorization_time, found.memorization_interval),
    ("grokking", found.grokking_time, found.grokking_interval),
):
    axis.axvspan(*interval, color="#E69F00", alpha=0.3, linewidth=0)
    axis.axvline(time, color="#444444", linewidth=1)
    axis.text(time, 1.02, name, ha="center", transform=axis.get_xaxis_transform())
axis.set(xlabel="step", ylabel="mean squared error")
axis.legend(frameon=False)
