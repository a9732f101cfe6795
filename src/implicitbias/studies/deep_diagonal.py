"""The study of arXiv 2607.12332: deep and general diagonal networks follow the path of their growth times."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._deep_claims import network_claims
from implicitbias.studies._study import Study

_POINTS = ("four-features", "depth-2", "depth-3", "depth-4", "depth-5")


class DeepDiagonalNetworks(Study):
    """Growth times from the direction, the path from the growth times, and the flow compared with both."""

    def points(self) -> tuple[str, ...]:
        """Return the paper's example, and a design of our own at four depths."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Predict the path, simulate the flow, and store what is measured of both."""
        # What is judged again later needs neither numba nor JAX.
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
        """Return the path, the path over simulations, and the rates of jump times and of what rests at 0."""
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
            y_label = r"largest $|w_i|$ that rests at 0"
            figures[f"{point}-off-support"] = rate_figure(small, rest, label, y_label, float(D))
        return figures

    def notes(self) -> str:
        """Return which settings are the paper's and which are ours."""
        return (
            "Design, target and end of the four-feature example are the paper's, and so are the Hessian eigenvalues 2 "
            "and -2 of its maps; the four maps themselves and the direction of the start are chosen here. The paper "
            "prints growth times of 1 for that example; eigenvalues of 2 give 1/2, which halves all times and leaves "
            "the path as it is. The paper computes with 200 decimal digits from a scale of 1e-60; these simulations "
            "use float64. That works as long as what shrinks while something else grows is not needed again, or is a "
            "parameter of its own, which decided the choice of the map for feature 2: its force changes sign while it "
            "is still small. Design, targets, directions and scales of the settings by depth are chosen. Depth 2 is "
            "integrated in dual variables, the others in theta. Slow time is t / ln(1/scale) for two-layer maps and "
            "t * scale^(D-2) for D >= 3 layers. Every number below was computed in this run."
        )


STUDY = DeepDiagonalNetworks()
