"""Real data and the Lasso from scikit-learn. Only this file of the folder imports scikit-learn."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.linear_model import Lasso

_CLASSIFIED = {
    "breast-cancer": load_breast_cancer,
    "wine": load_wine,
    "digits": load_digits,
    "iris": load_iris,
}


def diabetes() -> tuple[Float64[ndarray, "442 10"], Float64[ndarray, " 442"], tuple[str, ...]]:
    """Return scikit-learn's diabetes set in raw units: 442 patients, 10 features, progression after a year."""
    data = load_diabetes(scaled=False)
    return np.asarray(data.data, dtype=float), np.asarray(data.target, dtype=float), tuple(data.feature_names)


def lasso(X: ndarray, y: ndarray, penalty: float) -> Float64[ndarray, " d"]:
    """Return argmin 1/(2n) ||y - X w||^2 + penalty ||w||_1 by coordinate descent."""
    model = Lasso(alpha=penalty, fit_intercept=False, tol=1e-13, max_iter=10**6)
    return np.asarray(model.fit(X, y).coef_)


def classified(name: str) -> tuple[Float64[ndarray, "n d"], ndarray]:
    """Return the features of one of scikit-learn's sets in raw units, and the index of the class of each row."""
    data = _CLASSIFIED[name]()
    return np.asarray(data.data, dtype=float), np.asarray(data.target)
