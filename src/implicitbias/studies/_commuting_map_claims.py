"""Claims about flows of commuting maps, and about the way back, as functions of the stored datasets."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most
from implicitbias.studies._commuting_claims import CERTIFIED, DIFFERENT, PAPER, SAME, relative
from implicitbias.studies._stored_claims import all_finished, number

# The largest measure of brackets that are rounding errors.
_COMMUTE = 1e-10
# The square of the largest relative distance of an end, which is the size of its divergence.
_SQUARED = 1e-14
# The conversion of a potential to a table is accurate to about this.
_TABLE = 1e-9


def certified(data: Any, name: str = "gap") -> Assumption:
    """Return the assumption that the predicted ends are certified."""
    text = "the predicted ends are certified (largest relative duality gap)"
    return Assumption.checked(text, np.max(data[name].values), at_most=CERTIFIED)


def maps_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that gradient flow in theta is mirror flow in w."""
    names, closed = data["map"].values, data["closed"].values
    done = all_finished(data)
    theta, mirror = data["theta_w"].values, data["mirror_w"].values
    moved = Assumption.checked(
        "w moves (least relative distance of the start from the end)", np.min(data["limit_moved"].values),
        at_least=DIFFERENT,
    )  # fmt: skip
    switched = Assumption.checked(
        "w moves while the loss changes (least relative distance)", np.min(data["switched_moved"].values),
        at_least=DIFFERENT,
    )  # fmt: skip
    claims = [
        at_most(point, "the gradients of all maps commute (largest relative bracket)", PAPER,
                (np.max(np.abs(data["bracket"].values)), _COMMUTE)),
        at_most(point, "the mirror map of the induced potential is 0 at the start (largest entry)", PAPER,
                (np.max(np.abs(data["mirror_of_start"].values)), _COMMUTE)),
    ]  # fmt: skip
    for k, name in enumerate(names):
        claims += [
            at_most(point, f"{name}: gradient flow of least squares in theta is mirror flow in w (largest relative "
                    "distance at all times)", PAPER, (relative(theta[k], mirror[k]), SAME), moved, done),
            at_most(point, f"{name}: training ends at the interpolant of least Bregman divergence (relative distance)",
                    PAPER, (np.abs(data["limit_apart"].values[k]), SAME), certified(data, "limit_gap"), moved, done),
            at_most(point, f"{name}: the flows also agree after the loss has changed twice (relative distance)", PAPER,
                    (np.abs(data["switched_apart"].values[k]), SAME), switched, done),
        ]  # fmt: skip
    for k, name in enumerate(closed):
        claims += [
            at_most(point, f"{name}: gradient flow of the logistic loss is mirror flow (largest relative distance)",
                    PAPER, (np.abs(data["margin_apart"].values[k]), SAME), done),
            at_most(point, f"{name}: on overlapping classes it stays bounded and converges to the minimiser of the "
                    "logistic loss (relative distance)", PAPER, (np.abs(data["margin_limit_apart"].values[k]), SAME),
                    done),
            *_descent(point, f"{name}, least squares", data["divergence"].values[k], done),
            *_descent(point, f"{name}, logistic loss", data["margin_divergence"].values[k], done),
        ]  # fmt: skip
    return [
        *claims,
        at_most(point, "u * v: gradient flow of the cross-entropy of three classes is mirror flow of matrices (largest "
                "relative distance)", PAPER, (np.abs(number(data, "cross_entropy_apart")), SAME), done),
    ]  # fmt: skip


def _descent(point: str, name: str, values: ndarray, done: Assumption) -> list[Claim]:
    """Return the claims that the divergence of the end from w_t decreases to 0, so that the flow converges."""
    largest = np.float64(values[0])
    return [
        at_most(point, f"{name}: the Bregman divergence of the end from w_t never grows (largest step up, relative to "
                "the first divergence)", PAPER, (np.max(np.diff(values)) / largest, _SQUARED), done),
        at_most(point, f"{name}: this divergence tends to 0, so that the bounded flow converges (last, relative to the "
                "first)", PAPER, (np.abs(values[-1]) / largest, _SQUARED), done),
    ]  # fmt: skip


def designs_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the way from a potential to a map and back, and about designed regularisers."""
    claims = [
        claim
        for k, name in enumerate(data["potential"].values)
        for claim in (
            at_most(point, f"{name}: the potential that its map induces has its mirror map (largest relative "
                    "difference)", PAPER, (np.abs(data["mirror_error"].values[k]), SAME),
                    Assumption.checked("the tables of the maps are accurate (largest relative error)",
                                       np.max(data["table_error"].values), at_most=_TABLE)),
            at_most(point, f"{name}: its values above the start are Bregman divergences from it (largest relative "
                    "difference)", PAPER, (np.abs(data["value_error"].values[k]), SAME)),
        )
    ]  # fmt: skip
    arrived = Assumption.checked(
        "training has arrived (largest relative residual)", np.max(data["design_left"].values), at_most=SAME
    )
    for k, (p, closeness) in enumerate(zip(data["p"].values, data["closeness"].values, strict=True)):
        name = f"a regulariser designed for the l{p:g} norm and an excess of {closeness:g}"
        norm, least, bound = (data[f"design_{part}"].values[k] for part in ("norm", "least", "bound"))
        claims += [
            at_most(point, f"{name}: training ends within the bound (excess of the norm over a lower bound of the "
                    "least norm, in units of the excess that the design allows for it)", PAPER,
                    ((norm / least - 1.0) / np.float64(max(bound, SAME)), 1.0),
                    arrived, all_finished(data)),
            at_most(point, f"{name}: training ends at the interpolant of its potential (relative distance)", PAPER,
                    (np.abs(data["design_apart"].values[k]), SAME), certified(data, "design_gap"), arrived,
                    all_finished(data)),
        ]  # fmt: skip
        if p < 2.0:
            claims.append(
                at_least(point, f"{name}: the minimum of the l2 norm would have a larger l{p:g} norm (its excess)",
                         PAPER, (data["design_euclidean"].values[k] / least - 1.0, closeness))
            )  # fmt: skip
    return claims


def diabetes_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the diabetes data."""
    trained, predicted = data["trained"].values, data["predicted"].values
    arrived = Assumption.checked(
        "training has arrived (largest relative residual)", np.max(data["left"].values), at_most=SAME
    )
    norms = np.sum(np.abs(predicted), axis=1)
    return [
        *(
            at_most(point, f"12 patients, 65 features, u^2 - v^2 at the scale {scale:g}: training ends at the "
                    "interpolant of least hyperbolic entropy (relative distance)", PAPER,
                    (relative(trained[k], predicted[k]), SAME), certified(data), arrived, all_finished(data))
            for k, scale in enumerate(data["scale"].values)
        ),
        at_least(point, "from the largest to the smallest scale the l1 norm of the end decreases (relative decrease)",
                 "woodworth2020kernel", (norms[0] / norms[-1] - 1.0, DIFFERENT)),
        at_most(point, "442 patients, logistic loss: gradient flow of u * v is mirror flow (largest relative "
                "distance at all times)", PAPER,
                (relative(data["classifier_w"].values, data["classifier_mirror"].values), SAME), all_finished(data)),
        at_most(point, "the classes overlap, and the bounded flow converges to the minimiser of the loss (relative "
                "distance)", PAPER, (relative(data["classifier_w"].values[-1], data["classifier_best"].values), SAME),
                all_finished(data)),
        *_descent(point, "442 patients", data["classifier_divergence"].values, all_finished(data)),
    ]  # fmt: skip


def digits_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the table of counts."""
    trained, predicted, raked = (data[name].values for name in ("trained", "predicted", "raked"))
    table = data["table"].values.ravel()
    apart = [np.linalg.norm(w - table) for w in trained]
    return [
        *(
            claim
            for k, name in enumerate(("the constant table", "the table of the first half"))
            for claim in (
                at_most(point, f"w = u * u from {name} ends at the interpolant of its induced potential (relative "
                        "distance)", PAPER, (relative(trained[k], predicted[k]), SAME), certified(data),
                        all_finished(data)),
                at_most(point, f"from {name} this is the table of least relative entropy, by iterative proportional "
                        "fitting (relative distance)", PAPER, (relative(trained[k], raked[k]), SAME),
                        all_finished(data)),
            )
        ),
        at_most(point, "from the constant table it is the table of independence, the product of the sums over the "
                "total (relative distance)", PAPER, (relative(trained[0], data["independent"].values), SAME),
                all_finished(data)),
        at_most(point, "the start is remembered: from the table of the first half the end is nearer to the true table "
                "(ratio of the distances)", "this library", (apart[1] / np.float64(apart[0]), 0.5),
                all_finished(data)),
    ]  # fmt: skip
