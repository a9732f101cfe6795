"""The gradient flow of max(X W, 0) a in the sense of Filippov, by SciPy from one event to the next, written out."""

import numpy as np
from numpy import ndarray
from scipy.integrate import solve_ivp

SHIFT = 1e-12


class TwoLayerRelu:
    """The flow of 1/(2n) ||max(X W, 0) a - y||^2 + lam/2 (||W||^2 + ||a||^2), with one event at a time.

    It treats one unit at an event, so that it is for small networks, in which no change carries others with it.
    `gates` (n, m) are the slopes of the units, and `held` (n, m) says which pre-activations stay at 0.
    """

    def __init__(self, X: ndarray, y: ndarray, W: ndarray, a: ndarray, lam: float) -> None:
        self.X, self.y, self.lam, self.shape = X, y, lam, W.shape
        self.gates = X @ W > 0
        self.held = np.zeros(self.gates.shape, dtype=bool)
        self.u, self.events = np.concatenate([W.ravel(), a]), 0
        self.size = float(np.abs(self.u).max())

    def parts(self, u: ndarray) -> tuple[ndarray, ...]:
        """Return the field in W and a, the pre-activations, q, and the pulls q s of the held units."""
        W, a = u[: -self.shape[1]].reshape(self.shape), u[-self.shape[1] :]
        z = self.X @ W
        hidden = np.where(self.held, 0.0, z * self.gates)
        residual = (hidden @ a - self.y) / len(self.y)
        q, pulls = np.outer(residual, a), np.zeros(z.shape)
        down = -self.X.T @ np.where(self.held, 0.0, self.gates * q) - self.lam * W
        for j in np.flatnonzero(self.held.any(axis=0)):
            rows = self.X[self.held[:, j]]
            pulls[self.held[:, j], j] = np.linalg.solve(rows @ rows.T, rows @ down[:, j])
            down[:, j] -= rows.T @ pulls[self.held[:, j], j]
        return down, -hidden.T @ residual - self.lam * a, z, q, pulls

    def field(self, t: float, u: ndarray) -> ndarray:
        down, out, *_ = self.parts(u)
        return np.concatenate([down.ravel(), out])

    def margins(self, u: ndarray) -> ndarray:
        """Return numbers that are positive while nothing changes: two for each unit.

        A small shift, relative to the largest parameters so far, lets a unit that has just changed start with a
        positive number.
        """
        *_, z, q, pulls = self.parts(u)
        sides = np.where(self.gates, z, -z)
        return SHIFT * self.size + np.stack(
            [np.where(self.held, pulls, sides), np.where(self.held, q - pulls, np.inf)]
        )

    def change(self) -> None:
        """Change the unit whose margin has reached 0."""
        self.events += 1
        self.size = max(self.size, float(np.abs(self.u).max()))
        which, i, j = np.unravel_index(np.argmin(self.margins(self.u)), (2, *self.gates.shape))
        if self.held[i, j]:
            self.held[i, j], self.gates[i, j] = False, which == 1
            return
        if self.parts(self.u)[3][i, j] <= 0:
            self.gates[i, j] = ~self.gates[i, j]
            return
        self.held[i, j] = True
        pull, q = self.parts(self.u)[4][i, j], self.parts(self.u)[3][i, j]
        if not 0 < pull < q:
            self.held[i, j], self.gates[i, j] = False, pull >= q

    def run(self, t1: float) -> ndarray:
        """Return W and a at time t1 as one vector."""
        t, least = 0.0, 1e-12 * np.abs(self.u).max()

        def reached(t: float, u: ndarray) -> float:
            return float(self.margins(u).min())

        reached.terminal, reached.direction = True, -1  # type: ignore[attr-defined]
        while t < t1:
            piece = solve_ivp(
                self.field, (t, t1), self.u, method="DOP853", rtol=1e-10, atol=least, events=reached
            )
            t, self.u = piece.t[-1], piece.y[:, -1]
            if piece.status == 1:
                self.change()
                if self.margins(self.u).min() < 0:
                    raise RuntimeError("a change carries others with it, which this oracle does not follow")
        return self.u
