"""Claims about U U^T and U V^T, whose gradients do not commute, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_least, at_most
from implicitbias.studies._commuting_claims import DIFFERENT, EXACT, PAPER, QUADRATURE, SAME, relative
from implicitbias.studies._stored_claims import all_finished, number


def products_claims(point: str, data: Any) -> list[Claim]:
    """Return every claim about the negative controls."""
    return [*bracket_claims(point, data), *metric_claims(point, data), *integral_claims(point, data)]


def bracket_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that brackets of products of matrices are not 0, and that they move W."""
    found = [
        claim
        for k, name in enumerate(("U U^T", "U V^T"))
        for claim in (
            at_least(point, f"the gradients of the entries of {name} do not commute (largest relative bracket)", PAPER,
                     (data["bracket"].values[k], DIFFERENT)),
            at_least(point, f"brackets of {name} move W, so that no potential describes its flow for every loss "
                     "(cosine with a gradient of an entry)", PAPER, (data["motion"].values[k], DIFFERENT)),
        )
    ]  # fmt: skip
    return [
        *found,
        at_most(point, "the control u^2 - v^2 commutes (largest relative bracket)", PAPER,
                (np.abs(data["bracket"].values[2]), EXACT)),
    ]  # fmt: skip


def metric_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that say why: the metric is no Hessian, or no function of W."""
    place = ", ".join(str(int(k)) for k in data["asymmetry_place"].values)
    square = data["square_metric"].values
    return [
        at_most(point, "the metric J J^T of U U^T depends on W alone: U and U O have the same one (largest relative "
                "difference)", PAPER, (relative(data["square_turned"].values, square), EXACT)),
        at_most(point, "it is the linear function of W of the theory page (largest relative difference)",
                "docs/theory.md, Maps that do not commute",
                (relative(data["square_formula"].values, square), EXACT)),
        at_least(point, "its inverse g, as a function of W, is no Hessian: d_k g_ij differs from d_i g_kj (relative, "
                 f"the largest is at (i, j, k) = ({place}))", "docs/theory.md, Maps that do not commute",
                 (number(data, "asymmetry"), DIFFERENT)),
        at_most(point, "the same test finds no asymmetry for the metric of a rotated product, which commutes",
                "docs/theory.md, Maps that do not commute", (np.abs(number(data, "control_asymmetry")), EXACT)),
        at_least(point, "the metric of U V^T is no function of W: factors of one W have different metrics (largest "
                 "relative difference)", "docs/theory.md, Maps that do not commute",
                 (relative(data["product_stretched"].values, data["product_metric"].values), DIFFERENT)),
    ]  # fmt: skip


def integral_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the integrals of grad L along the flows of two losses to one end."""
    fine, coarse = data["integral"].values, data["integral_coarse"].values
    error = max(relative(coarse[k, m], fine[k, m]) for k in (0, 1) for m in (0, 1))
    sharp = Assumption.checked(
        "the integrals are accurate (largest relative difference from those at 100 times the tolerance)", error,
        at_most=QUADRATURE,
    )  # fmt: skip
    ends, target = data["end"].values, data["target"].values
    return [
        at_most(point, "two losses lead U U^T from one start to one W (largest relative distance from it)", PAPER,
                (max(relative(end, target) for end in ends[0]), SAME), all_finished(data)),
        at_most(point, "the same two losses lead u^2 - v^2 to one w (largest relative distance from it)", PAPER,
                (max(relative(end, target) for end in ends[1]), SAME), all_finished(data)),
        at_least(point, "for U U^T the integrals of grad L differ, although a mirror map would make them equal "
                 "(largest relative difference)", PAPER, (relative(fine[0, 1], fine[0, 0]), DIFFERENT), sharp),
        at_most(point, "for u^2 - v^2 the integrals of grad L are equal (largest relative difference)", PAPER,
                (relative(fine[1, 1], fine[1, 0]), QUADRATURE), sharp),
    ]  # fmt: skip
