r"""The potential that a parametrisation hides
==========================================

You train :math:`\theta`, and your predictor is :math:`w = G(\theta)`. If the gradients of the entries of G commute,
training is the mirror flow of a potential R of w, and it ends at the solution of least R. Type your own map in the
first lines.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicitbias as ib


def G(theta):
    return jnp.sinh(theta) + 0.5 * theta


theta0 = np.array([-0.8, -1.2])
print(ib.commutes(G, theta0))

# %%
# R is computed although no formula for it is known. It is least at the start :math:`G(\theta_0)`, which is the cross.
# On one equation in two unknowns (written twice), the training flow ends where a level line of R touches the line of
# solutions: there R is least among the solutions. The level lines are no circles, so that this is not the solution
# nearest to the start.

R = ib.induced_potential(G, theta0)
problem = ib.LeastSquares([[1.0, 2.0], [1.0, 2.0]], [3.0, 3.0])
flow = ib.GradientFlow(problem.reparametrize(ib.Parametrization.from_function(G)))
run = ib.simulate(flow, theta0, t1=200.0)
w = np.array([G(run.state(t)) for t in np.r_[0.0, np.geomspace(1e-3, 200.0, 60)]])

grid = np.linspace(-2.5, 4.0, 17)
values = np.array([[R.value(np.array([a, b])) for a in grid] for b in grid]) - R.value(w[-1])
figure, axis = plt.subplots(figsize=(6.0, 5.2), layout="constrained")
axis.contour(
    grid,
    grid,
    values,
    levels=np.linspace(values.min(), 4.0, 13),
    colors="#B8BEC2",
    linestyles="solid",
    linewidths=0.8,
)
axis.contour(grid, grid, values, levels=[0.0], colors="#0072B2")
axis.plot(grid, (3.0 - grid) / 2.0, color="#444444", label="solutions")
axis.plot(*w.T, "o-", color="#D55E00", markersize=3, label="training flow")
axis.plot(*w[0], "x", color="#D55E00", markersize=10)
axis.set(xlabel="$w_0$", ylabel="$w_1$", xlim=(-2.5, 4.0), ylim=(-2.5, 4.0), aspect="equal")
axis.legend(frameon=False)
