"""Losses of one row: value, derivative and second derivative in the prediction."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias._core.values import Fingerprinted

# From this margin on, log(1 + e^-m) is e^-m up to rounding.
_LARGE_MARGIN = 40.0


class Loss(Fingerprinted, eqx.Module):
    r"""The loss $\ell(f, y)$ of one row with prediction f (k,) and target y; a problem takes the mean over rows.

    Subclasses define `value`. The methods `derivative` and `root` use automatic differentiation unless a subclass
    defines them in closed form. JAX traces all three in float64. The structured solver uses the positive part of the
    second derivative; a loss that is not convex is also integrated, but needs more steps.

    Reference:
        section 'Losses' of the theory page; lyu2020margin for the tails of the logistic and the exponential loss.

    Examples:
        >>> import jax.numpy as jnp, numpy as np, implicitbias as ib
        >>> class LogCosh(ib.Loss):
        ...     def value(self, prediction, target):
        ...         return jnp.sum(jnp.log(jnp.cosh(prediction - target)))
        >>> problem = ib.Problem(lambda w, X: X @ w, np.eye(2), [1.0, -1.0], loss=LogCosh())
        >>> round(problem.loss(np.zeros(2)), 6)
        0.433781
    """

    @property
    def quadratic(self) -> bool:
        """Whether the loss is 1/2 ||f - y||^2, so that an orthogonal matrix may be applied to the rows."""
        return False

    @property
    def of_margins(self) -> "MarginLoss | None":
        """The loss itself if it is a `MarginLoss`, else None."""
        return None

    @abstractmethod
    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return ell(f, y), a number, for a prediction f (k,) and one row y of the targets."""

    def derivative(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return the derivative d ell / d f, (k,)."""
        return jax.grad(self.value)(prediction, target)

    def root(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return R (k, k) such that R R^T is the positive part of the second derivative of ell in f."""
        curvature = jax.hessian(self.value)(prediction, target)
        if curvature.shape == (1, 1):
            return jnp.sqrt(jnp.maximum(curvature, 0.0))
        values, vectors = jnp.linalg.eigh(curvature)
        return vectors * jnp.sqrt(jnp.maximum(values, 0.0))


class Squared(Loss):
    """The squared loss 1/2 sum (f - y)^2."""

    @property
    def quadratic(self) -> bool:
        return True

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum((prediction - target) ** 2) / 2

    def derivative(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return prediction - target

    def root(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.eye(len(prediction))


class MarginLoss(Loss):
    """A loss that decreases in the margins of a row, whose logarithms are known for any margins.

    With two classes a row has the margin m = y f with y in {-1, 1}, and with k classes the k - 1 margins f_y - f_c.
    """

    @property
    def of_margins(self) -> "MarginLoss | None":
        return self

    @abstractmethod
    def log_slope(self, margin: jax.Array) -> jax.Array:
        """Return the logarithms of minus the derivatives in the margins (..., g) of each row."""

    @abstractmethod
    def log_curvature(self, margin: jax.Array) -> jax.Array:
        """Return the logarithms of the second derivatives in each of the margins (..., g)."""

    @abstractmethod
    def log_value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return ln ell(f, y), also where ell(f, y) is 0 in float64."""

    def margins(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        """Return the margins (k,) of a row with prediction (k,); that of its own one of several classes is infinite."""
        return target * prediction

    def scaled_derivative(self, prediction: jax.Array, target: jax.Array, log_scale: jax.Array) -> jax.Array:
        """Return e^log_scale times `derivative`, from the sum of the logarithms."""
        return -target * jnp.exp(log_scale + self.log_slope(self.margins(prediction, target)))

    def scaled_root(self, prediction: jax.Array, target: jax.Array, log_scale: jax.Array) -> jax.Array:
        """Return e^(log_scale / 2) times `root`, from the sum of the logarithms."""
        curvature = self.log_curvature(self.margins(prediction, target))
        return jnp.diag(jnp.exp((log_scale + curvature) / 2))


class Logistic(MarginLoss):
    """The logistic loss log(1 + exp(-y f)) with y in {-1, 1}."""

    def log_slope(self, margin: jax.Array) -> jax.Array:
        return -jnp.logaddexp(0.0, margin)

    def log_curvature(self, margin: jax.Array) -> jax.Array:
        return -jnp.logaddexp(0.0, margin) - jnp.logaddexp(0.0, -margin)

    def log_value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(_log_of_logistic(target * prediction))

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(jnp.logaddexp(0.0, -target * prediction))

    def derivative(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return -target * jax.nn.sigmoid(-target * prediction)

    def root(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        # sqrt(sigmoid(m) sigmoid(-m)) = 1 / (2 cosh(m / 2)) is computed from exp(-|m| / 2), which cannot overflow.
        half = jnp.exp(-jnp.abs(prediction) / 2)
        return jnp.diag(half / (1 + half**2))


class Exponential(MarginLoss):
    """The exponential loss exp(-y f) with y in {-1, 1}."""

    def log_slope(self, margin: jax.Array) -> jax.Array:
        return -margin

    def log_curvature(self, margin: jax.Array) -> jax.Array:
        return -margin

    def log_value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(-target * prediction)

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(jnp.exp(-target * prediction))

    def derivative(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return -target * jnp.exp(-target * prediction)

    def root(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.diag(jnp.exp(-target * prediction / 2))


class CrossEntropy(MarginLoss):
    """The cross-entropy loss logsumexp(f) - f_y, where y is a class 0 ... k - 1 and k >= 2.

    If a class is learned well, the loss is about exp(-margin), which is smaller than the rounding errors of
    logsumexp(f) and of 1 - p_y. The loss and its derivatives are therefore computed as sums over the other classes.
    """

    def log_slope(self, margin: jax.Array) -> jax.Array:
        # This is the logarithm of the probability p_c = e^(-m_c) / (1 + sum of e^(-m)).
        return -margin - jnp.logaddexp(0.0, jax.nn.logsumexp(-margin, axis=-1, keepdims=True))

    def log_curvature(self, margin: jax.Array) -> jax.Array:
        # The second derivative is p_c (1 - p_c), and 1 - p_c is the sum of the other probabilities.
        apart = jnp.where(jnp.eye(margin.shape[-1], dtype=bool), -jnp.inf, -margin[..., None, :])
        others = jnp.logaddexp(0.0, jax.nn.logsumexp(apart, axis=-1))
        own = jnp.logaddexp(0.0, jax.nn.logsumexp(-margin, axis=-1, keepdims=True))
        return self.log_slope(margin) + others - own

    def margins(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return (prediction[target] - prediction).at[target].set(jnp.inf)

    def scaled_derivative(self, prediction: jax.Array, target: jax.Array, log_scale: jax.Array) -> jax.Array:
        others = jnp.exp(log_scale + self.log_slope(self.margins(prediction, target)))
        return others.at[target].set(-jnp.sum(others))

    def scaled_root(self, prediction: jax.Array, target: jax.Array, log_scale: jax.Array) -> jax.Array:
        # This is the root below, with the logarithms of p and of 1 - p.
        logs = jax.nn.log_softmax(prediction)
        others = jnp.where(jnp.eye(len(logs), dtype=bool), -jnp.inf, logs[None, :])
        apart = jax.nn.logsumexp(others, axis=1)
        products = jnp.exp(log_scale / 2 + logs[:, None] + logs[None, :] / 2)
        own = jnp.exp(log_scale / 2 + logs / 2 + apart)
        return jnp.where(jnp.eye(len(logs), dtype=bool), jnp.diag(own), -products)

    def log_value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return _log_of_logistic(-jax.nn.logsumexp(-self.margins(prediction, target)))

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        others = (prediction - prediction[target]).at[target].set(-jnp.inf)
        return jnp.logaddexp(0.0, jax.nn.logsumexp(others))

    def derivative(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        others = jax.nn.softmax(prediction).at[target].set(0.0)
        return others.at[target].set(-jnp.sum(others))

    def root(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        # With q = sqrt(p), R = diag(q) - p q^T satisfies R R^T = diag(p) - p p^T, because p sums to 1. The factor
        # 1 - p_j on the diagonal is computed as the sum of the other probabilities.
        p = jax.nn.softmax(prediction)
        q, apart = jnp.sqrt(p), 1.0 - jnp.eye(len(p))
        return jnp.diag(q * (apart @ p)) - apart * jnp.outer(p, q)


def _log_of_logistic(margin: jax.Array) -> jax.Array:
    """Return ln log(1 + e^-m)."""
    near = jnp.log(jnp.logaddexp(0.0, -jnp.minimum(margin, _LARGE_MARGIN)))
    return jnp.where(margin > _LARGE_MARGIN, -margin, near)


NAMED: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
    "exponential": Exponential,
    "cross_entropy": CrossEntropy,
}


def as_loss(loss: str | Loss) -> Loss:
    """Return the loss with this name, or the given loss; `checked_loss` must have checked the argument."""
    return NAMED[loss]() if isinstance(loss, str) else loss
