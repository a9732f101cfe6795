"""Addition modulo a prime with a quadratic network that is trained by the cross-entropy: rows, starts and runs."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.special import log_softmax

from implicitbias.problems import Problem
from implicitbias.studies._modular_evidence import all_sums
from implicitbias.studies._seeds import generator


class Addition(NamedTuple):
    """The network f = V (W x)^2 on two one-hot vectors, which has the degree 3 in its parameters (W, V).

    The start has Gaussian W with the variance 2 / (2 size) of He times the square of the scale, and V = 0, so that all
    outputs are 0.

    Attributes:
        size: the modulus.
        hidden: the number of hidden units.
        share: the share of the sums that are for training.
        runs: the scales of the starts and the weight decays of the runs, of which the first one is the main one.
        small: the scale of a start from which there is no early phase.
        late: the slow time after the predicted transition at which runs end.
        rtol: the tolerance of the runs.
        baseline: the scale of the start of the run without weight decay.
        log_end: the logarithm of the time at which the run without weight decay ends.
        seed: the seed of the order of the sums and of the start.
    """

    size: int
    hidden: int
    share: float
    runs: tuple[tuple[float, float], ...]
    small: float
    late: float
    rtol: float
    baseline: float
    log_end: float
    seed: int

    def parts(self) -> tuple[ndarray, ndarray]:
        """Return the places of the sums for training and for the test, in random order."""
        order = generator(self.seed).permutation(self.size**2)
        count = int(self.share * len(order))
        return order[:count], order[count:]

    def rows(self, part: int) -> tuple[Float64[ndarray, "m inputs"], Int64[ndarray, " m"]]:
        """Return the inputs and the sums for training (0) or for the test (1)."""
        X, sums = all_sums(self.size)
        chosen = self.parts()[part]
        return X[chosen], sums[chosen]

    def problem(self) -> Problem:
        """Return the training problem."""
        X, sums = self.rows(0)
        return Problem(network, X, sums, loss="cross_entropy")

    def start(self, scale: float) -> tuple[ndarray, ndarray]:
        """Return the parameters (W, V) at the start."""
        rng = generator(self.seed + 1)
        W = rng.standard_normal((self.hidden, 2 * self.size)) / np.sqrt(self.size)
        return scale * W, np.zeros((self.size, self.hidden))

    def norm(self, scale: float) -> float:
        """Return the norm of the start."""
        return float(np.linalg.norm(self.start(scale)[0]))

    def outputs(self, states: Float64[ndarray, "m p"], part: int) -> Float64[ndarray, "m rows k"]:
        """Return the outputs of flat parameters on the training (0) or test (1) rows."""
        split = 2 * self.size * self.hidden
        W = states[:, :split].reshape(-1, self.hidden, 2 * self.size)
        V = states[:, split:].reshape(-1, self.size, self.hidden)
        return np.asarray((self.rows(part)[0] @ W.swapaxes(1, 2)) ** 2 @ V.swapaxes(1, 2))

    def margins(self, outputs: Float64[ndarray, "m rows k"], part: int) -> Float64[ndarray, "m rows"]:
        """Return the output of the right sum minus the largest other output, in ascending order."""
        right = self.rows(part)[1]
        rows, others = np.arange(len(right)), outputs.copy()
        others[:, rows, right] = -np.inf
        return np.sort(outputs[:, rows, right] - np.max(others, axis=2), axis=1)

    def pulled(self, theta: Float64[ndarray, " p"]) -> Float64[ndarray, " p"]:
        r"""Return $\sum q_{ic} \nabla m_{ic}$ of the training margins $m_{ic}$ with $q_{ic} \propto p_{ic}$.

        The largest probability $p_{ic}$ of a wrong class is scaled to 1, so that nothing underflows at large margins.
        """
        X, right = self.rows(0)
        rows = np.arange(len(right))
        split = 2 * self.size * self.hidden
        W, V = theta[:split].reshape(self.hidden, -1), theta[split:].reshape(self.size, self.hidden)
        logs = log_softmax(self.outputs(theta[None], 0)[0], axis=1)
        logs[rows, right] = -np.inf
        shares = np.exp(logs - np.max(logs))
        pull = -shares
        pull[rows, right] = np.sum(shares, axis=1)
        inner = X @ W.T
        return np.concatenate([(2.0 * inner * (pull @ V)).T @ X, pull.T @ inner**2], axis=None)

    def accuracy(self, outputs: Float64[ndarray, "m rows k"], part: int) -> Float64[ndarray, " m"]:
        """Return the share of right sums."""
        return np.asarray(np.mean(self.margins(outputs, part) > 0.0, axis=1))


def network(params: Any, X: Any) -> Any:
    """Return the outputs of the network with hidden units of the square of their input."""
    W, V = params
    hidden: Any = (X @ W.T) ** 2
    return hidden @ V.T


SETTINGS = {
    "mod-17": Addition(
        size=17, hidden=64, share=0.9, seed=4, runs=((16.0, 1e-3), (8.0, 1e-3), (4.0, 1e-3), (16.0, 1e-4)),
        small=0.3, late=8.0, rtol=1e-3, baseline=4.0, log_end=23_000.0,
    ),
    "mod-23": Addition(
        size=23, hidden=128, share=0.8, seed=2, runs=((16.0, 1e-4), (8.0, 1e-4), (4.0, 1e-4), (16.0, 1e-3)),
        small=0.3, late=8.0, rtol=1e-3, baseline=4.0, log_end=23_000.0,
    ),
}  # fmt: skip
