"""The study of arXiv 2307.00144: the quantities that training conserves, their number and their drift."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._conservation_claims import drawn_claims, small_claims, units_claims
from implicitbias.studies._study import Study

_CLAIMS = {"small": small_claims, "units": units_claims, "drawn": drawn_claims}


class ConservationLaws(Study):
    """The study that counts conservation laws of networks, and follows them along flows and gradient descent."""

    def points(self) -> tuple[str, ...]:
        """Return small networks, a network of ReLUs in training, and networks that are drawn at random."""
        return tuple(_CLAIMS)

    def compute(self, point: str, progress: Progress) -> Any:
        """Count laws, simulate flows and gradient descent, and return measurements."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._conservation_evidence import drawn_dataset, small_dataset, units_dataset

        parts = {"small": small_dataset, "units": units_dataset, "drawn": drawn_dataset}
        return parts[point](progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims of one part."""
        return _CLAIMS[point](point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the figure of the drift along gradient descent against its learning rate."""
        if "change" not in dataset:
            return {}
        import numpy as np

        from implicitbias.plotting import rate_figure

        rates, changes = dataset["rate"].values, dataset["change"].values
        rest = changes / rates[:, None] - dataset["first_order"].values
        curves = {
            "change of the laws": np.linalg.norm(changes, axis=1),
            "rest of the change, divided by the rate": np.linalg.norm(rest, axis=1),
        }
        label = "learning rate"
        return {f"{point}-drift": rate_figure(rates, curves, label, "norm over all laws", 1.0)}

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The rules for the numbers of laws, and the random networks of the last point, are from the paper: linear "
            "networks of 2 to 4 matrices with sizes from 2 to 5, and ReLU networks with sizes from 2 to 9, half of "
            "them with biases. The paper draws 50 of each kind, and 20 are drawn here; `benchmarks/conserved.py` "
            "draws all of them. Networks are examined on three random rows for each parameter. The small networks, the "
            "training problems, the learning rates and the networks with tanh were chosen here. Every number below was "
            "computed in this run."
        )


STUDY = ConservationLaws()
