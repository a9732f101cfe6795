"""The finite minimum of a loss of margins over the margins that linear classifiers have, on inseparable data."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import logsumexp

from implicitbias._core.errors import InputError
from implicitbias.limits._tolerances import EPSILON, RANK
from implicitbias.problems._margins import Margins

_MOST_STEPS, _MOST_HALVINGS = 200, 50
# A step is accepted if the logarithm of the loss decreases by this share of its slope.
_ARMIJO = 1e-4
# Rows with a larger share of the largest weight prove that the minimum is finite. The distance to weights whose
# combination is exactly 0 is at most the second share of each of them.
_WEIGHTY, _SURE = 1e-9, 1e-2


class MarginMinimum:
    r"""The minimum of $\sum_i \ell(m_i)$ over the margins of linear classifiers.

    The derivative is 0 where $\sum_i q_i y_i x_i = 0$ for the weights $q_i = -\ell'(m_i) > 0$. Such weights exist if
    and only if no classifier has margins $m \ge 0$, $m \ne 0$ (Stiemke). The minimum is found by Newton's method for
    the logarithm of the loss in coordinates of the range.

    Args:
        margins: the margins, without intercepts.
        loss: the name of the loss.
    """

    def __init__(self, margins: Margins, loss: str) -> None:
        self.margins, self.exponential = margins, loss == "exponential"

    def predictions(self, basis: Float64[ndarray, "n r"]) -> Float64[ndarray, " n"]:
        """Return the predictions at the minimum, in the range of orthonormal columns.

        Raises:
            InputError: no finite minimum was found.
        """
        signed = basis * self.margins.signs[:, None]
        at = np.zeros(signed.shape[1])
        for _ in range(_MOST_STEPS if len(at) < len(signed) else 0):
            following = self._stepped(signed, at)
            if following is None:
                break
            at = following
        if not self._finite(signed, signed @ at):
            raise InputError(
                "problem has no finite minimiser that Newton's method finds, as on data that a linear classifier "
                "separates; the direction of the mirror flow then converges to ib.max_margin(problem, potential), "
                "which also proves whether the data are separable"
            )
        return basis @ at

    def weights(self, margins: Float64[ndarray, " n"]) -> Float64[ndarray, " n"]:
        """Return the weights q, divided by the largest one."""
        logs = self._log_weights(margins).ravel()
        return np.exp(logs - np.max(logs))

    def _by_rows(self, margins: Float64[ndarray, " n"]) -> Float64[ndarray, "m g"]:
        return margins.reshape(-1, self.margins.per_row)

    def _log_weights(self, margins: Float64[ndarray, " n"]) -> Float64[ndarray, "m g"]:
        """Return the logarithms of minus the derivatives of the loss."""
        m = self._by_rows(margins)
        if self.exponential:
            return -m
        return -m - np.logaddexp(0.0, logsumexp(-m, axis=1, keepdims=True))

    def _log_loss(self, margins: Float64[ndarray, " n"]) -> float:
        m = self._by_rows(margins)
        if self.exponential:
            return float(logsumexp(-m))
        return float(np.log(np.sum(np.logaddexp(0.0, logsumexp(-m, axis=1)))))

    def _stepped(
        self, signed: Float64[ndarray, "n r"], at: Float64[ndarray, " r"]
    ) -> Float64[ndarray, " r"] | None:
        """Return the next iterate of Newton's method, or None at the end."""
        margins = signed @ at
        here = self._log_loss(margins)
        # The derivatives are divided by the loss, so that they neither overflow nor underflow.
        slope = signed.T @ np.exp(self._log_weights(margins) - here).ravel()
        try:
            step = cho_solve(cho_factor(self._hessian(signed, margins, here)), slope)
        except (LinAlgError, ValueError):
            return None
        gain, change = float(slope @ step), float(np.max(np.abs(signed @ step)))
        if not gain > 0.0 or change <= EPSILON * (1.0 + float(np.max(np.abs(margins)))):
            return None
        rounding, size = 10.0 * EPSILON * (1.0 + abs(here)), 1.0
        for _ in range(_MOST_HALVINGS):
            following = np.asarray(at + size * step)
            if self._log_loss(signed @ following) <= here - _ARMIJO * size * gain + rounding:
                return following
            size /= 2.0
        return None

    def _hessian(
        self, signed: Float64[ndarray, "n r"], margins: Float64[ndarray, " n"], log_loss: float
    ) -> Float64[ndarray, "r r"]:
        """Return the second derivative of the loss, divided by the loss, as a sum of squares."""
        shares = np.exp(self._log_weights(margins) - log_loss)
        if self.exponential:
            return (signed.T * shares.ravel()) @ signed
        # It is the covariance of the rows for the probabilities of the other classes, where the own class has the
        # row 0. For two classes this is q (1 - q).
        m = self._by_rows(margins)
        rows = signed.reshape(*m.shape, -1)
        means = np.einsum("mg,mgr->mr", np.exp(self._log_weights(margins)), rows)
        apart = ((rows - means[:, None, :]) * np.sqrt(shares)[:, :, None]).reshape(len(signed), -1)
        own = np.exp(-np.logaddexp(0.0, logsumexp(-m, axis=1)) - log_loss)
        means *= np.sqrt(own)[:, None]
        return apart.T @ apart + means.T @ means

    def _finite(self, signed: Float64[ndarray, "n r"], margins: Float64[ndarray, " n"]) -> bool:
        """Return whether there are positive weights near q whose combination of the signed rows is exactly 0.

        Only large weights are used. They are enough if their rows span the range.
        """
        if not signed.shape[1]:  # X is 0, and the margins are 0 for all w
            return True
        weights = self.weights(margins)
        used = weights > _WEIGHTY
        left, sizes, right = np.linalg.svd(signed[used], full_matrices=False)
        if len(sizes) < signed.shape[1] or not sizes[-1] > RANK * sizes[0]:
            return False
        rest = signed[used].T @ weights[used]
        change = left @ ((right @ rest) / sizes)
        return bool(np.all(np.abs(change) <= _SURE * weights[used]))
