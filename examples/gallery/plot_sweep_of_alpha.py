r"""A sweep over the scale of the start
===================================

``ib.studies.sweep`` runs a function at all points of a grid. With ``jobs=2`` it uses two processes, with
``scheduler=...`` a cluster, and with ``out=...`` it stores each run, so that a killed sweep goes on. This asks
where diagonal networks :math:`w = u \odot v` end, from tiny to large starts, on five random problems with a sparse
target.
"""

import matplotlib.pyplot as plt
import numpy as np

import implicitbias as ib


def end_of_training(alpha, seed):
    X = np.random.default_rng(seed).standard_normal((10, 30))
    target = np.r_[1.0, -1.0, np.zeros(28)]
    problem = ib.LeastSquares(X, X @ target)
    w = ib.interpolant(problem, ib.HyperbolicEntropy(alpha**2)).point
    return {"l1": np.abs(w).sum(), "l2": np.linalg.norm(w), "error": np.linalg.norm(w - target)}


alphas = np.geomspace(1e-6, 1e2, 25)
result = ib.studies.sweep(end_of_training, {"alpha": alphas}, seeds=5)
print(result)

# %%
# The values come back in the order of ``result.settings``. Thin lines are single seeds, and wide lines their means.

figure, axes = plt.subplots(1, 3, figsize=(9.0, 3.2), layout="constrained")
titles = {
    "l1": r"$\ell_1$ norm of the end",
    "l2": r"$\ell_2$ norm of the end",
    "error": "distance from the target",
}
for axis, (name, title) in zip(axes, titles.items(), strict=True):
    table = np.array([value[name] for value in result.values]).reshape(len(alphas), 5)
    axis.semilogx(alphas, table, color="#B8BEC2", linewidth=0.8)
    axis.semilogx(alphas, table.mean(axis=1), color="#0072B2", linewidth=2.5)
    axis.set_title(title, loc="left", fontsize=11)
    axis.set_xlabel(r"scale $\alpha$ of the start")
    axis.spines[["top", "right"]].set_visible(False)

# %%
# Small starts end at the least :math:`\ell_1` norm. In four of the five problems this is the sparse target itself; in
# the fifth, ten rows are too few to determine it. Large starts end at the least :math:`\ell_2` norm, far from the
# target.
