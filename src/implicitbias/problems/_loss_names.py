"""Check of the argument `loss`; JAX is not loaded if the loss is given by its name."""

from difflib import get_close_matches
from typing import Any

from implicitbias._core.errors import InputError

MARGIN_NAMES = ("logistic", "exponential")
NAMES = ("squared", *MARGIN_NAMES, "cross_entropy")


def checked_loss(loss: Any, names: tuple[str, ...], own: bool) -> Any:
    """Return the name of a loss, or the loss itself if it is an `ib.Loss`.

    Args:
        loss: the argument of the user.
        names: the accepted names.
        own: whether an `ib.Loss` is accepted.

    Raises:
        InputError: any other object, for instance an unknown name, or a class instead of an instance.
    """
    listed = f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"
    if isinstance(loss, str):
        if loss in names:
            return str(loss)
        # A hint is given for names such as "Cross-Entropy" and "logstic", but not for "hinge".
        near = get_close_matches(loss.lower().replace("-", "_").replace(" ", "_"), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"loss is {loss!r}, {listed}{' or an ib.Loss' if own else ''} is expected{hint}")
    if own:
        from implicitbias.problems._loss import NAMED, Loss

        for name, kind in NAMED.items():
            if type(loss) is kind:  # With the name, the targets get the checks of this loss.
                return name
        if isinstance(loss, Loss):
            return loss
        if isinstance(loss, type) and issubclass(loss, Loss):
            raise InputError(
                f"loss is the class {loss.__name__}, an instance is expected: type {loss.__name__}()"
            )
        listed += " or an ib.Loss"
    hint = (
        "; for a loss of your own type class MyLoss(ib.Loss) with a method value(self, prediction, target)"
        if own
        else "; for another loss type ib.Problem(lambda w, X: X @ w, X, y, loss=...)"
    )
    raise InputError(f"loss is {loss!r}, {listed} is expected{hint}")
