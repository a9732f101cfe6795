"""Real data and the Lasso from scikit-learn. Only this file of the folder imports scikit-learn."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso


def diabetes() -> tuple[Float64[ndarray, "442 10"], Float64[ndarray, " 442"], tuple[str, ...]]:
    """Return scikit-learn's diabetes set in raw units: 442 patients, 10 features, progression after a year."""
    data = load_diabetes(scaled=False)
    return np.asarray(data.data, dtype=float), np.asarray(data.target, dtype=float), tuple(data.feature_names)


def lasso(X: ndarray, y: ndarray, penalty: float) -> Float64[ndarray, " d"]:
    """Return argmin 1/(2n) ||y - X w||^2 + penalty ||w||_1 by coordinate descent."""
    model = Lasso(alpha=penalty, fit_intercept=False, tol=1e-13, max_iter=10**6)
    return np.asarray(model.fit(X, y).coef_)
