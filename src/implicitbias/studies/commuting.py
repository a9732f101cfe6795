"""The study of arXiv 2207.04036: a commuting reparametrization of gradient flow is a mirror flow."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._commuting_claims import scales_claims
from implicitbias.studies._commuting_map_claims import (
    designs_claims,
    diabetes_claims,
    digits_claims,
    maps_claims,
)
from implicitbias.studies._commuting_product_claims import products_claims
from implicitbias.studies._study import Study

_CLAIMS = {
    "scales": scales_claims,
    "products": products_claims,
    "maps": maps_claims,
    "designs": designs_claims,
    "diabetes": diabetes_claims,
    "digits": digits_claims,
}


class Commuting(Study):
    """The study that compares training of reparametrised linear models with mirror flows and their ends."""

    def points(self) -> tuple[str, ...]:
        """Return the parts of the study."""
        return tuple(_CLAIMS)

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate the flows and compute their potentials and ends, and return measurements."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._commuting_designs import designs_dataset
        from implicitbias.studies._commuting_maps import maps_dataset
        from implicitbias.studies._commuting_products import products_dataset
        from implicitbias.studies._commuting_real import diabetes_dataset, digits_dataset
        from implicitbias.studies._commuting_scales import scales_dataset

        parts = {
            "scales": scales_dataset,
            "products": products_dataset,
            "maps": maps_dataset,
            "designs": designs_dataset,
            "diabetes": diabetes_dataset,
            "digits": digits_dataset,
        }
        return parts[point](progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims of one part."""
        return _CLAIMS[point](point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the figures of one part; the way back from potentials to maps has none."""
        from implicitbias.studies._commuting_figures import FIGURES

        return FIGURES[point](point, dataset) if point in FIGURES else {}

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The paper proves these statements and has no experiments, so that all settings were chosen here. "
            "Flows of theta see every map as a user's function: they are integrated in theta at rtol = 1e-9 to "
            "1e-11 and share no formula with the mirror flows, which are integrated in dual variables. Distances "
            "are relative to the largest entry of w. `scales` trains u * v and u^2 - v^2 from w = 0 on 4 "
            "equations in 10 unknowns. `products` compares U U^T and U V^T of 2 x 2 matrices with u^2 - v^2. "
            "`maps` has three unknowns; the mixture is a matrix times (sinh(a), b c, d^2 - e^2), whose potential "
            "is no sum over entries; the loss that changes is squared, then logistic (for maps without a closed "
            "form: squared with other targets), then the first one again. `designs` goes from potentials to maps "
            "and back, and trains designed regularisers. `diabetes` has 12 of the 442 patients with 65 features "
            "(10 columns and their products) for regression, and all patients with four columns (sex, body mass "
            "index, blood pressure, s5) and progress above or below the median for classification. `digits` is "
            "the table of pixel counts by digit and by row of the image: from its sums, w = u * u finds the table "
            "of least relative entropy from its start, which statistics calls raking. Every number below was "
            "computed in this run."
        )


STUDY = Commuting()
