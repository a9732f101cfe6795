"""The classifier in the results of `implicitbias margin --out`, for new rows."""

import json
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.tables import Recipe


class StoredClassifier(NamedTuple):
    """A stored classifier: its classes, how features are made from the columns of a file, and the coefficients.

    Attributes:
        target: the name of the target.
        classes: the k labels.
        recipe: how features are made.
        coefficients: (1, m) or (k, m) coefficients of the features of the recipe.
        intercepts: (1,) or (k,) intercepts.
    """

    target: str
    classes: tuple[str, ...]
    recipe: Recipe
    coefficients: Float64[ndarray, "r m"]
    intercepts: Float64[ndarray, " r"]

    @property
    def heads(self) -> tuple[str, ...]:
        """The titles of the predictions: the class, and the scores."""
        scores = (
            ("score",) if len(self.intercepts) == 1 else tuple(f"score of {name}" for name in self.classes)
        )
        return ("prediction", *scores)

    @property
    def told(self) -> str:
        """Say how the predictions are made."""
        used = int(np.count_nonzero(np.any(self.coefficients != 0.0, axis=0)))
        meaning = (
            f"a positive score means {self.classes[1]}"
            if len(self.classes) == 2
            else "the largest score wins"
        )
        return f"{self.target} is predicted from {used} features; {meaning}"

    def records(self, X: Any) -> list[tuple[Any, ...]]:
        """Return the class and the scores of each row of the features (n, m), dense or sparse."""
        scores = self._scores(X)
        places = self._places(scores)
        return [
            (self.classes[place], *row) for place, row in zip(places.tolist(), scores.tolist(), strict=True)
        ]

    def score(self, X: Any, target: Any) -> str:
        """Say how many rows are classified correctly, where the target is one-hot without the first class."""
        block = np.asarray(target.toarray() if hasattr(target, "toarray") else target)
        places = (block @ np.arange(1.0, len(self.classes))).astype(np.int64)
        right = int(np.count_nonzero(self._places(self._scores(X)) == places))
        most = int(np.max(np.bincount(places)))
        return (
            f"{right} of {len(places)} rows are classified correctly, which is an accuracy of "
            f"{right / len(places):.4g}; the most frequent class of these rows has the share {most / len(places):.4g}."
        )

    def _scores(self, X: Any) -> Float64[ndarray, "n r"]:
        return np.asarray(X @ self.coefficients.T) + self.intercepts

    def _places(self, scores: Float64[ndarray, "n r"]) -> Int64[ndarray, " n"]:
        return (scores[:, 0] > 0.0).astype(np.int64) if scores.shape[1] == 1 else np.argmax(scores, axis=1)


def stored_classifier(data: Any) -> StoredClassifier:
    """Return the classifier in the stored results of `implicitbias margin`."""
    recipe = Recipe.of_record(json.loads(str(data["recipe"].item())))
    places = {name: j for j, name in enumerate(data["feature"].values.tolist())}
    coefficients = np.zeros((data.sizes["head"], len(recipe.features)))
    for j, name in enumerate(recipe.features):
        # A feature may come from the same column as one that is used, and have no coefficient itself.
        if name in places:
            coefficients[:, j] = data["coefficients"].values[:, places[name]]
    return StoredClassifier(
        str(data["target"].item()),
        tuple(data["class"].values.tolist()),
        recipe,
        coefficients,
        np.asarray(data["intercepts"].values, dtype=np.float64),
    )
