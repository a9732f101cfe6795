"""The study of arXiv 2505.20172 on two-layer ReLU networks with one input: the function before and after grokking."""

from typing import Any

from implicitbias._core.claim import Claim
from implicitbias._core.progress import Progress
from implicitbias.studies._relu_claims import relu_claims
from implicitbias.studies._study import Study

_POINTS = ("6-inputs", "10-inputs")


class GrokkingRelu(Study):
    """The study that follows the function of a wide ReLU network from a large start, with and without weight decay."""

    def points(self) -> tuple[str, ...]:
        """Return a small network, and the size of the paper."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate the flows, find the limit of least norm, and return measurements of both."""
        # These imports are here, so that stored results can be judged without JAX.
        from implicitbias.studies._relu_evidence import relu_dataset
        from implicitbias.studies._relu_settings import SETTINGS

        return relu_dataset(SETTINGS[point], progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about phases, limits, least norms and starts."""
        return relu_claims(point, dataset)

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return figures of the function at three times, of errors, of the slow time, of starts and of distances."""
        from implicitbias.studies._relu_figures import relu_figures

        return relu_figures(point, dataset)

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The 100 hidden units with biases, the teacher of three ReLUs, the 10 inputs uniform on [-2, 2], the "
            "normal start of variance 4, the loss and the weight decay 1e-3 are from the paper. The draws and the step "
            "size are not known. The teacher has standard normal parameters here, and the network has no output bias. "
            "The small network has 30 units and 6 inputs. Seeds were chosen so that the network without weight decay "
            "does not generalise, that the limit has no kink at a training input, where the gradient that JAX returns "
            "need not give multipliers of a KKT point, and that the drift reaches the slow time 1, because it does not "
            "follow kinks. Errors are mean squares over the training inputs and over a grid of [-2, 2]. The data count "
            "as fitted at 1 % of the mean square of the teacher, and the network generalises at 10 % of it. The paper "
            "has one weight decay and one start. The run without weight decay, the sweeps, and the bounds of the least "
            "norm of networks of any width were added here. A network of ReLUs is not C^3, as the theory of the drift "
            "assumes. So the slope of the distance from the drift is reported in one of the claims and in a figure, "
            "and is not claimed. Starts of other scales are in units of that of the paper, and are trained with weight "
            "decay 1e-4. Every number below was computed in this run."
        )


STUDY = GrokkingRelu()
