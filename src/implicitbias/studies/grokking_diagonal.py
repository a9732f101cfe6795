"""The study of arXiv 2505.20172 on diagonal networks, whose slow phase has a dual formula."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_most, close
from implicitbias._core.progress import Progress
from implicitbias.studies._grokking_claims import (
    PAPER,
    baseline_claims,
    drift_claims,
    fast_claims,
    junction_claims,
    kkt_claims,
    limit_claims,
    phase_claims,
    scale_claims,
    violation_claim,
)
from implicitbias.studies._grokking_saddle_claims import saddle_claims
from implicitbias.studies._stored_claims import number
from implicitbias.studies._study import Study

_POINT, _SADDLE = "fourier", "saddle"
# The drift is compared with the dual formula up to this condition number of J J^T, to this relative distance.
_CONDITION, _DISTANCE = 1e6, 1e-8
# The largest relative gap of the linear program and of its feasibility.
_GAP = 1e-8
_FORMULA = "docs/theory.md, The limit of a small weight decay"
_ENDS = "docs/theory.md, The end at a fixed weight decay"


class GrokkingDiagonal(Study):
    """The study that compares training of diagonal networks with weight decay with its limits and dual formula."""

    def points(self) -> tuple[str, ...]:
        """Return the setting of the paper, and a network whose drift ends at a saddle of the norm."""
        return (_POINT, _SADDLE)

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate training with several weight decays and starts, and return measurements."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias._core.labelled import dataset

        if point == _SADDLE:
            from implicitbias.studies._grokking_saddle import saddle_variables

            return dataset({}, {}, {}).assign(saddle_variables(progress))
        from implicitbias.studies._grokking_evidence import grokking_variables, simulated
        from implicitbias.studies._grokking_oracles import diagonal_variables
        from implicitbias.studies._grokking_settings import diagonal_model

        model = diagonal_model()
        runs = simulated(model, progress)
        variables = grokking_variables(model, runs, progress) | diagonal_variables(model, runs, progress)
        return dataset({}, {}, {"rtol": model.sweep.rtol}).assign(variables)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims that all studies of grokking share, and those about the dual formula and the ends."""
        if point == _SADDLE:
            return saddle_claims(point, dataset)
        return [
            *dual_claims(point, dataset),
            *phase_claims(point, dataset),
            *baseline_claims(point, dataset),
            *fast_claims(point, dataset),
            *junction_claims(point, dataset),
            *drift_claims(point, dataset),
            *kkt_claims(point, dataset),
            *limit_claims(point, dataset),
            *end_claims(point, dataset),
            *scale_claims(point, dataset),
            violation_claim(point, dataset),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the shared figures, and the distance of the drift from its dual formula."""
        from implicitbias.plotting import curves_figure
        from implicitbias.studies._grokking_figures import grokking_figures, saddle_figures

        if point == _SADDLE:
            return saddle_figures(point, dataset)

        condition = dataset["dual_condition"].values
        apart = {"drift": (condition, dataset["dual_apart"].values)}
        figures = grokking_figures(point, dataset)
        figures[f"{point}-dual"] = curves_figure(
            {"distance from the dual formula": apart}, "condition number of $J J^\\top$", level=_DISTANCE
        )
        return figures

    def settings(self) -> dict[str, Any]:
        """Return the scale of the start, the weight decay, the sizes of the data, and the seed."""
        return {"alpha": 1.0, "weight_decay": 1e-4, "n": 20, "d": 40, "sparsity": 2, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return the training and test errors along one flow."""
        from implicitbias.studies._grid_runs import diagonal_run

        return diagonal_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The network u v, a sparse teacher in Fourier features and a start of variance 0.1 are from the paper, and "
            "its weight decay of 1e-4 is one of the sweep. The paper does not give the number of points and features: "
            "30 points on the circle, one in each of 30 equal parts, and 50 cosines and 50 sines were chosen here, and "
            "a teacher of three of them. The training error is the mean of (f - y)^2 / 2, and the test error is its "
            "mean over the circle. Memorization is a training error of 1 % of the first one, and generalisation is a "
            "test error of 10 % of that of w = 0. The constant c of the fast phase and of the junction bounds the "
            "negative eigenvalues of the Hessian between the runs with and without weight decay: it is the largest "
            "entry of the gradient in w. Every flow is integrated at rtol = 1e-8, and once more at 1e-7 to measure its "
            "error; the drift that is compared with the dual formula has rtol = 1e-10. The slow times of starts of "
            "other scales are those of the drift, in which only a = |u^2 - v^2| / 2 counts, so that the slope in "
            "ln(scale) is exactly 1. The second setting has two units and one target, f = theta_1^4 + theta_2^4 + "
            "theta_2^3 / 2. It was chosen so that training without weight decay ends where the norm is largest on the "
            "curve f = 1; its start was found by following the flow backwards. Every number "
            "below was computed in this run."
        )


def dual_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the drift is that of the dual formula."""
    condition, apart = data["dual_condition"].values, data["dual_apart"].values
    within = condition <= _CONDITION
    worst = np.max(apart[within]) if np.any(within) else np.nan
    reached = Assumption.checked("slow times with such a condition number", np.sum(within), at_least=10)
    return [
        at_most(point, "the drift is that of the dual formula while cond(J J^T) <= 1e6 (largest relative distance)",
                _FORMULA, (worst, _DISTANCE), reached),
        at_most(point, "u^2 - v^2 falls like e^(-2 tau) along the drift (largest relative distance, bounded by "
                "rtol)", _FORMULA, (number(data, "balance_apart"), number(data, "dual_rtol"))),
    ]  # fmt: skip


def end_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the l1 norm of the limit and about the ends of the runs."""
    norm, least = np.sum(np.abs(data["kkt_w"].values)), number(data, "least_norm")
    lasso, ends = data["oracle_w"].values, data["end_w"].values
    size = np.max(np.abs(lasso), axis=1)
    apart, rtol = np.max(np.max(np.abs(ends - lasso), axis=1) / size), float(data.attrs["rtol"])
    teacher = data["teacher"].values
    return [
        close(point, "the limit has the least l1 norm of all w that fit the data (ratio to the bound of a linear "
              "program; the tolerance is that of the program)", PAPER, (1.0, norm / least, _GAP)),
        at_most(point, "the limit is the sparse teacher (largest relative distance, bounded by rtol)", PAPER,
                (np.max(np.abs(data["kkt_w"].values - teacher)) / np.max(np.abs(teacher)), rtol)),
        at_most(point, "the runs end at the solutions of the Lasso with penalty lam (largest relative distance, "
                "bounded by rtol)", _ENDS, (apart, rtol),
                Assumption.checked("these are the solutions of the Lasso (largest dual beside the support)",
                                   np.max(data["oracle_dual"].values), at_most=1.0)),
    ]  # fmt: skip


STUDY = GrokkingDiagonal()
