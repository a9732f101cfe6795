"""What the argument `loss` may be; no JAX is loaded for a name."""

from difflib import get_close_matches
from typing import Any

from implicitbias._core.errors import InputError

MARGIN_NAMES = ("logistic", "exponential")
NAMES = ("squared", *MARGIN_NAMES, "cross_entropy")


def checked_loss(loss: Any, names: tuple[str, ...], own: bool) -> Any:
    """The name of a named loss, or (if `own`) an `ib.Loss`.

    Raises:
        InputError: anything else, among it a name that is not listed and a class in place of its instance.
    """
    listed = f"{', '.join(map(repr, names[:-1]))} or {names[-1]!r}"
    if isinstance(loss, str):
        if loss in names:
            return str(loss)
        # "hinge" resembles nothing; "Cross-Entropy" and "logstic" do.
        near = get_close_matches(loss.lower().replace("-", "_").replace(" ", "_"), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"loss is {loss!r}, {listed}{' or an ib.Loss' if own else ''} is expected{hint}")
    if own:
        from implicitbias.problems._loss import NAMED, Loss

        for name, kind in NAMED.items():
            if type(loss) is kind:  # its targets are checked as those of the name
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
