"""The study of arXiv 2505.20172 on matrix completion: weight decay leads to the matrix of least nuclear norm."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._completion_claims import completion_claims
from implicitbias.studies._study import Study

_POINTS = ("8x8", "20x20")


class GrokkingCompletion(Study):
    """The study that follows the factors of a matrix from a large start, with and without weight decay."""

    def points(self) -> tuple[str, ...]:
        """Return a small matrix, and the size of the paper."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate the flows and the drift, solve the convex programs, and return measurements of all."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._completion_evidence import completion_dataset
        from implicitbias.studies._completion_settings import SETTINGS

        return completion_dataset(SETTINGS[point], progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about phases, drift, limits, nuclear norms and starts."""
        return completion_claims(point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return figures of errors, of singular values, of the collapse on the slow time, of starts and of rates."""
        from implicitbias.studies._completion_figures import completion_figures

        return completion_figures(point, dataset)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The size 20 x 20, the rank 3, the width 40 of the factors and the weight decay 1e-3 are from the paper, "
            "whose observed entries, start and step size are not known. Here 300 entries are observed, which "
            "determines the matrix by its nuclear norm, and the factors start as standard normal. The small matrix "
            "has size 8 x 8, rank 1 and 48 observed entries. Errors are mean squares of entries. The data count as "
            "fitted at 1 % of the mean square of all entries, and the model generalises at 10 % of it. The paper has "
            "one weight decay and one start. The run without weight decay, the sweeps of the weight decay and of "
            "the scale of the start, and the certificates were added here. The slope of the distance from the drift "
            "is claimed up to the slow time T at which the largest weight decay reaches a tenth of the smallest "
            "eigenvalue of J J^T / n. Later this eigenvalue tends to 0, because the rank of the matrix falls, so "
            "that the theory does not cover the factors there. Claims about the ends are therefore about the matrix, "
            "not about its factors. Every number below was computed in this run."
        )


STUDY = GrokkingCompletion()
