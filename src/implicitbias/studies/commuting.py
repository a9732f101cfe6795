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

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return "Every number below was computed in this run."


STUDY = Commuting()
