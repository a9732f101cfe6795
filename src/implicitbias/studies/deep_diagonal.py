"""The study of arXiv 2607.12332: deep and general diagonal networks follow the path of their growth times."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._deep_claims import network_claims
from implicitbias.studies._study import Study

_POINTS = ("four-features", "depth-2", "depth-3", "depth-4", "depth-5")


class DeepDiagonalNetworks(Study):
    """The study that predicts the path from growth times and compares the flow of deep networks with it."""

    def points(self) -> tuple[str, ...]:
        """Return the paper's example, and our own design at four depths."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Predict the path, simulate the flow, and return measurements of both."""
        # These imports are here, so that stored results can be judged without numba and JAX.
        from implicitbias.studies._deep_evidence import deep_dataset, predicted, simulated
        from implicitbias.studies._deep_settings import SETTINGS

        setting = SETTINGS[point]
        path = predicted(setting)
        progress(0.02, f"{path.n_jumps} jumps predicted")
        return deep_dataset(path, setting.network, simulated(path, setting.network, progress))

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the path, its end, and the simulations."""
        return network_claims(point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return figures of the path, of the path over simulations, and of the rates of convergence."""
        from implicitbias.plotting import rate_figure
        from implicitbias.studies._stored_figures import path_figures

        D = int(dataset["order"])
        scales = 10.0 ** -dataset["exponent"].values
        errors = {f"jump {k}": e for k, e in enumerate(dataset["jump_error"].values.T, start=1)}
        if D == 2:
            small, label, rate = 1.0 / dataset["unit"].values, r"$1 / \ln(1/\mathrm{scale})$", 1.0
        else:
            small, label, rate = scales, "scale", D - 2.0
        figures = path_figures(point, dataset)
        y_label = "distance of jump times from their limit"
        figures[f"{point}-rates"] = rate_figure(small, errors, label, y_label, rate)
        if D > 2:
            rest = {f"saddle {k}": e for k, e in enumerate(dataset["off_support"].values.T)}
            y_label = r"largest $|w_i|$ off the support of the saddle"
            figures[f"{point}-off-support"] = rate_figure(small, rest, label, y_label, float(D))
        return figures

    def settings(self) -> dict[str, Any]:
        """Return the scale of the start, the depth, the sizes of the data, and the seed."""
        return {"alpha": 1e-3, "depth": 3, "n": 4, "d": 6, "seed": 9}

    def measure(self, settings: dict[str, Any]) -> Any:
        """Return the distance of one flow from its limit path."""
        from implicitbias.studies._grid_regressions import deep_run

        return deep_run(**settings)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The design, the target and the end of the four-feature example are from the paper, and so are the "
            "Hessian eigenvalues 2 and -2 of its maps. The four maps and the direction of the start were chosen here. "
            "The paper prints growth times of 1 for this example. Eigenvalues of 2 give growth times of 1/2, which "
            "halves all times and does not change the saddles. The paper computes with 200 decimal digits from a "
            "scale of 1e-60. These simulations use float64. This is accurate if a quantity that shrinks while another "
            "one grows is not needed later, or is a separate parameter. The map of feature 2 was chosen for this "
            "reason, because the force on this feature changes sign while the feature is still small. In the settings "
            "by depth, the design, the targets, the directions and the scales were chosen here. Depth 2 is integrated "
            "in dual variables, the other depths in theta. Slow time is t / ln(1/scale) for two-layer maps and t * "
            "scale^(D-2) for D >= 3 layers. Every number below was computed in this run."
        )


STUDY = DeepDiagonalNetworks()
