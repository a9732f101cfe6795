"""The study of arXiv 2311.18817 on matrix completion: a multiplication table is fitted early and completed late."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._study import Study
from implicitbias.studies._table_claims import table_claims

_POINTS = ("20x20", "97x97")


class EarlyLateCompletion(Study):
    """The study that follows U U^T - V V^T from a large multiple of the identity, with and without weight decay."""

    def points(self) -> tuple[str, ...]:
        """Return a small table, and the size of the paper."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate the flows and solve the convex programs, and return measurements of both."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._table_evidence import table_dataset
        from implicitbias.studies._table_settings import SETTINGS

        return table_dataset(SETTINGS[point], progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the early phase, the transition, the late phase and the controls."""
        return table_claims(point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the figure of training and test errors of the sweep of the weight decay against lam t."""
        from implicitbias.plotting import curves_figure

        slow, errors = dataset["curve_slow"].values, dataset["curve_errors"].values
        names = [f"$\\lambda$ = {decay:g}" for decay in dataset["weight_decay"].values]
        panels = {
            label: {name: (slow, errors[i, :, part]) for i, name in enumerate(names)}
            for part, label in enumerate(("training error", "test error"))
        }
        return {f"{point}-collapse": curves_figure(panels, "slow time  $\\lambda t$")}

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The table ij / d^2 of size d = 97 with 470 observed entries, the start U = V = 10 I and the weight "
            "decay 1e-4 are from the paper, whose draw of the entries is not known. Its loss is twice ours, so "
            "that its weight decay is 5e-5 here and its times are doubled, while lam t does not change. The small "
            "table has size 20 and 80 observed entries. The test error is the mean square over the pairs of which "
            "neither (i, j) nor (j, i) is observed. The transition begins, is half done and ends where the test "
            "error has fallen to 90 %, 50 % and 10 % of its early value. The time T is where the move of the "
            "parameters that the tangent kernel predicts is as long as the decayed start. The sweeps, the "
            "asymmetric matrix, the bounds of the least nuclear norm, the run without weight decay and the small "
            "start were added here. Every number below was computed in this run."
        )


STUDY = EarlyLateCompletion()
