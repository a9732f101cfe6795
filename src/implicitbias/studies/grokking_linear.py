"""The study of arXiv 2505.20172 on linear regression, where everything has a closed form."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Claim, at_most
from implicitbias._core.progress import Progress
from implicitbias.studies._grokking_claims import (
    PAPER,
    baseline_claims,
    drift_claims,
    equal_claim,
    fast_claims,
    junction_claims,
    kkt_claims,
    limit_claims,
    phase_claims,
    scale_claims,
    violation_claim,
)
from implicitbias.studies._stored_claims import number
from implicitbias.studies._study import Study

_POINT = "regression"


class GrokkingLinear(Study):
    """The study that compares training with weight decay in linear regression with its limits and closed forms."""

    def points(self) -> tuple[str, ...]:
        """Return the only setting."""
        return (_POINT,)

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate training with several weight decays and starts, and return measurements."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias._core.labelled import dataset
        from implicitbias.studies._grokking_evidence import grokking_variables, simulated
        from implicitbias.studies._grokking_oracles import linear_variables
        from implicitbias.studies._grokking_settings import linear_model

        model = linear_model()
        runs = simulated(model, progress)
        variables = grokking_variables(model, runs, progress) | linear_variables(model, runs)
        return dataset({}, {}, {"rtol": model.sweep.rtol}).assign(variables)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims that all studies of grokking share, and those about the closed form."""
        return [
            *closed_form_claims(point, dataset),
            *phase_claims(point, dataset),
            *baseline_claims(point, dataset),
            *fast_claims(point, dataset),
            *junction_claims(point, dataset),
            *drift_claims(point, dataset),
            *kkt_claims(point, dataset),
            *limit_claims(point, dataset),
            *scale_claims(point, dataset),
            violation_claim(point, dataset),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return figures of errors against t and lam t, of scales of the start, and of the distances from the drift."""
        from implicitbias.studies._grokking_figures import grokking_figures

        return grokking_figures(point, dataset)

    def settings(self) -> dict[str, Any]:
        """Return the weight decay, the scale of the start, the sizes of the data, and the seed."""
        return {"weight_decay": 1e-4, "scale": 1.0, "n": 30, "d": 200, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return the errors of one run over slow time."""
        from implicitbias.studies._grid_regressions import linear_run

        return linear_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The paper has no experiment on linear regression, in which its two phases have a closed form, so that all "
            "settings were chosen here: 30 inputs in 200 dimensions with variance 1.05 in three directions and 0.05 in "
            "the others, targets without noise from a teacher in the strong directions, and a standard normal start. "
            "The training error is the mean of (f - y)^2 / 2, and the test error is its mean over the distribution of "
            "the inputs. Memorization is a training error of 1 % of the first one, and generalisation is a test error "
            "of 20 % of that of w = 0. The bound of the fast phase has c = 0, because the loss is convex, and the "
            "junction is at the c of its Lipschitz constant. Every flow is integrated at rtol = 1e-8, and once more at "
            "1e-7 to measure its error. The slow times of starts of other scales are those of the drift. Every number "
            "below was computed in this run."
        )


def closed_form_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that flows, drift and ends are those of the closed form."""
    excess = np.max(data["flow_apart"].values / data["flow_error"].values)
    ridge, ends = data["oracle_w"].values, data["end_w"].values
    apart = np.max(np.linalg.norm(ends - ridge, axis=1) / np.linalg.norm(ridge, axis=1))
    rtol = float(data.attrs["rtol"])
    theory = "docs/theory.md, The limit of a small weight decay"
    return [
        at_most(point, "the runs follow the closed form (largest relative distance, in units of the difference from "
                "runs at ten times the tolerance)", theory, (excess, 1.0)),
        at_most(point, "training without weight decay ends at the projection of the start on the interpolants "
                "(relative distance, bounded by rtol)", theory, (number(data, "phi_distance"), rtol)),
        equal_claim(point, "the drift is the projection plus e^(-tau) times the rest of the start",
                    number(data, "drift_apart"), number(data, "drift_error")),
        at_most(point, "the runs end at the solutions of ridge regression (largest relative distance, bounded by rtol)",
                PAPER, (apart, rtol)),
    ]  # fmt: skip


STUDY = GrokkingLinear()
