"""The assumptions of the theory of grokking, with the numbers that were measured on the model."""

from collections.abc import Iterable

import numpy as np

from implicitbias._core.claim import Assumption
from implicitbias.grokking._trust import Reason

# The measured reasons of trust that are assumptions of the theory, and what each of them assumes.
_MEASURED = {
    "separation of scales": (
        "the weight decay is far below the size of the first gradient relative to the parameters at memorization"
    ),
    "weight decay over gap": (
        "the weight decay is below the smallest non-zero eigenvalue of J J^T / n along the way"
    ),
    "missing rank": "the Jacobian J of the training predictions has full rank along the way",
    "kinks": "the loss has three continuous derivatives (0 for smooth models, 1 for models with kinks)",
    "learning rate times sharpness": "the sharpness is below 2 / learning rate along the way",
    "other optimizer": "training is gradient descent (0 if it is, 1 for another optimizer)",
}
# The reason that only losses of margins have. Without weight decay, their minimiser is at infinity.
_OF_MARGINS = "size of the predictions"


def assumptions_of(reasons: Iterable[Reason]) -> tuple[Assumption, ...]:
    """Return the assumptions, from the reasons of the trust in a forecast."""
    known = {reason.name: reason for reason in reasons}
    found = []
    for name, text in _MEASURED.items():
        if name in known and np.isnan(known[name].value):
            found.append(Assumption.not_checkable(text, known[name].sentence))
        elif name in known:
            found.append(Assumption.checked(text, known[name].value, at_most=known[name].bound))
    return (
        *found,
        Assumption.checked(
            "the loss has a finite minimiser without weight decay (1 for squared losses, 0 for losses of margins)",
            float(_OF_MARGINS not in known),
            at_least=1.0,
        ),
        Assumption.not_checkable(
            "training without weight decay stays bounded",
            "the forecast follows training with weight decay only",
        ),
        Assumption.not_checkable(
            "each step uses all training rows in float64", "the forecast does not see the training program"
        ),
    )
