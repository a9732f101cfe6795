"""Claims about conservation laws, as functions of the stored datasets."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._grokking_claims import sharp_slope, slope_in
from implicitbias.studies._stored_claims import all_finished, number

PAPER = "marcotte2023abide"
# Along a flow at rtol = 1e-9 and below, laws change by less than this share of their terms.
_CONSERVED = 1e-7
# Changes from this share on are real.
_CHANGED = 1e-2
# Rounding errors and the order of dense output in the first-order drift, relative to it.
_QUADRATURE = 1e-6


def small_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about small networks, one for each, and about the drift of a linear network."""
    counts, rules = data["count"].values, data["rule"].values
    names = [str(name) for name in data["network"].values]
    claims = [
        close(point, f"{name}: the number of independent conserved quantities is that of the rule", PAPER,
              (rule, count, 0))
        for name, count, rule in zip(names, counts, rules, strict=True)
    ]  # fmt: skip
    with_units = [k for k, name in enumerate(names) if name.startswith("ReLU with biases")]
    smooth = [k for k, name in enumerate(names) if name.startswith("tanh")]
    return [
        *claims,
        _complete(point, data),
        at_most(point, "the same network with tanh conserves fewer quantities than with ReLUs (their number)", PAPER,
                (counts[smooth[0]], counts[with_units[0]] - 1)),
        *drift_claims(point, data),
    ]  # fmt: skip


def drawn_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about networks that were drawn at random."""
    names = np.array([str(name).split(" ")[0] for name in data["network"].values])
    claims = []
    for kind in ("linear", "ReLU"):
        some = names == kind
        wrong = np.sum(~(data["count"].values[some] == data["rule"].values[some]))
        claims.append(
            at_most(point, f"{kind} networks: the number of laws is that of the rule (networks with another number, "
                    f"of {int(np.sum(some))})", PAPER, (wrong, 0))
        )  # fmt: skip
    return [*claims, _complete(point, data)]


def units_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the drift of the laws of a network of ReLUs, and about tanh as a control."""
    return [
        *drift_claims(point, data),
        at_least(point, "along the flow of the same network with tanh, these laws change (largest change relative to "
                 "the size of the terms)", PAPER, (number(data, "control_drift"), _CHANGED), all_finished(data)),
    ]  # fmt: skip


def drift_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that a flow conserves the laws, and that gradient descent does so to first order."""
    rates, changes, first = (data[name].values for name in ("rate", "change", "first_order"))
    size = np.linalg.norm(changes, axis=1)
    found = slope_in(rates, size, np.full(len(rates), _CONSERVED * size[-1]))
    rest = np.linalg.norm(changes / rates[:, None] - first, axis=1)
    order = slope_in(rates, rest, np.full(len(rates), _QUADRATURE * np.linalg.norm(first)))
    moved = Assumption.checked(
        "the parameters move along the flow (relative distance)",
        number(data, "flow_moved"),
        at_least=_CHANGED,
    )
    return [
        at_most(point, "a gradient flow conserves all laws (largest change relative to the size of the terms)", PAPER,
                (np.max(np.abs(data["flow_drift"].values)), _CONSERVED), moved, all_finished(data)),
        close(point, "gradient descent changes the laws in proportion to its learning rate (slope 1, within its error "
              "bar)", PAPER, (1.0, found.value, found.bar), sharp_slope("the drift", found), all_finished(data)),
        close(point, "the drift of a law h is the learning rate times the integral of h(grad L) along the flow, up to "
              "terms of second order (slope 1 of the rest of their ratio, within its error bar)",
              "docs/theory.md, What training conserves", (1.0, order.value, order.bar),
              sharp_slope("the rest", order), all_finished(data)),
    ]  # fmt: skip


def _complete(point: str, data: Any) -> Claim:
    missing = np.sum(~(data["independent"].values == data["count"].values))
    return at_most(point, "polynomials of degree 2 account for all of them (networks for which some are missing)",
                   PAPER, (missing, 0))  # fmt: skip
