r"""Three potentials choose three classifiers
=========================================

On separable data, a mirror flow turns to the classifier of largest margin in a norm that belongs to its potential,
its horizon. ``ib.max_margin`` computes this classifier with a certificate. Here are those of three potentials on one
set of points.
"""

import matplotlib.pyplot as plt
import numpy as np

import implicitbias as ib

rng = np.random.default_rng(3)
y = np.arange(40) % 2
X = np.array([[-1.0, -0.4], [1.0, 0.4]])[y] + rng.uniform(-0.8, 0.8, (40, 2)) * np.array([0.9, 1.6])
problem = ib.Classification(X, y)
potentials = {
    "squared norm": ib.SquaredNorm(),
    "hyperbolic entropy": ib.HyperbolicEntropy(scale=1.0),
    "hyperbolic cosine": ib.Cosh(),
}

figure, axis = plt.subplots(figsize=(6.0, 6.0), layout="constrained")
axis.scatter(*X.T, c=np.where(y == 1, "#333333", "#BBBBBB"), s=24)
height = np.array([-2.0, 2.0])
for name, potential in potentials.items():
    limit = ib.max_margin(problem, potential, bias=True)
    assert limit.certificate.holds
    a, b = limit.point
    axis.plot(-(b * height + limit.bias) / a, height, label=f"{name}: w = ({a:.2f}, {b:.2f})")
axis.set(xlabel="$x_0$", ylabel="$x_1$", ylim=(-1.9, 1.9), aspect="equal")
figure.legend(frameon=False, loc="outside upper left")

# %%
# The horizon of the hyperbolic entropy is the :math:`\ell_1` norm, whose unit ball has corners on the axes: its
# classifier uses one feature, so that the line is vertical. That of the hyperbolic cosine is the :math:`\ell_\infty`
# norm, which prefers two entries of equal size.

ib.plot(potentials)
