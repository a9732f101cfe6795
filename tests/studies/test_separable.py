"""The study of arXiv 2406.12763: its claims hold, and fail where classifiers, flows or horizons are wrong."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import implicitbias as ib
from implicitbias.flows import _engine
from implicitbias.studies import Claim, _separable_descents
from implicitbias.studies._inseparable_claims import inseparable_claims
from implicitbias.studies._separable_claims import (
    angles_claim,
    control_claims,
    flow_claims,
    flows_of,
    gradient_claims,
)
from implicitbias.studies._separable_descents import arc_variables, descent_variables
from implicitbias.studies._separable_evidence import flows_dataset
from implicitbias.studies._separable_geometry import LOG_LEVELS, geometry_variables
from implicitbias.studies._separable_rates import arc_claims, descent_claims, horizon_claims
from implicitbias.studies._separable_settings import NAMED_GAUGES, PAPER, SETTINGS, Entry, Setting
from implicitbias.studies.separable import STUDY
from tests.studies.running import ClaimsHold, computed, failing, silent

NAME = "separable"


def small() -> Setting:
    """The plane with the three potentials of the paper."""
    plane = SETTINGS["plane"]
    return Setting(plane.data, lambda d: {name: plane.entries(d)[name] for name in PAPER})


@cache
def small_dataset() -> Any:
    """What the study stores about the plane, with fewer potentials and shorter steepest descents."""
    setting = small()
    problem = setting.problem()
    data = (
        flows_dataset(setting, silent)
        .assign(geometry_variables(setting.entries(2)))
        .assign(arc_variables(problem))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_separable_descents, "_CONSTANT", (0.01, 0.0, 1000))
        patch.setattr(_separable_descents, "_DECAYING", (0.5, 0.5, 1000))
        return data.assign(descent_variables(problem, NAMED_GAUGES))


@pytest.fixture
def data() -> Any:
    """A copy, which a test may change."""
    return small_dataset().copy(deep=True)


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return STUDY.claims("plane", small_dataset())


class TestThePlane(ClaimsHold):
    point = "plane"

    # Oracle: theory 2: what must be among the claims.
    @pytest.mark.parametrize(
        "words",
        [
            "the extrapolated margin is the largest one", "the extrapolated direction is the certified classifier",
            "L(w_t) <= L(w) + D(w, w_0) / t", "exponential and logistic loss have the same direction",
            "t L grows at most like ln(t)^2", "the direction converges like 1 / ln t", "choose different classifiers",
            "the sublevel sets converge like 1 / ln c", "at most ln(n) / s", "steps eta / sqrt k", "negative control",
        ],
    )  # fmt: skip
    def test_the_claims_are_those_of_the_paper(self, words: str, claims: list[Claim]) -> None:
        assert any(words in claim.statement for claim in claims)

    def test_its_data(self) -> None:
        data = small_dataset()
        assert data["node_w"].shape == (3, 3, 2)
        assert np.all(np.isfinite(data["node_w"]))
        margins = flows_of(data)[0].smallest("node_w")
        assert_allclose(margins[0] / margins, [1.0, 2.0, 4.0], rtol=1e-6)

    def test_its_figures(self) -> None:
        figures = STUDY.figures("plane", small_dataset())
        assert set(figures) == {f"plane-{name}" for name in ("figure", "balls", "descents", "shortfall")}
        assert len(figures["plane-figure"].axes) == 6


class TestTheClaimsCanFail:
    """The same claims about data that are wrong in one thing."""

    def test_a_classifier_of_another_horizon(self, data: Any) -> None:
        for name in ("limit_w", "limit_margin"):
            data[name].values[0] = data[name].values[1]
        texts = failing(flow_claims("p", data))
        assert any("squared l2" in text and "extrapolated margin" in text for text in texts)
        assert any("squared l2" in text and "extrapolated direction" in text for text in texts)

    def test_a_classifier_that_is_not_the_best(self, data: Any) -> None:
        data["limit_margin"].values[0] *= 0.999
        texts = failing(flow_claims("p", data))
        assert any("squared l2: no state of the flow" in text for text in texts)
        assert not any("hyperbolic" in text for text in texts)

    def test_a_gap_that_is_too_large_is_said(self, data: Any) -> None:
        data["limit_gap"].values[0] = 1e-3
        (claim,) = [claim for claim in flow_claims("p", data) if "squared l2" in claim.statement and
                    "extrapolated margin" in claim.statement]  # fmt: skip
        assert claim.verdict == "assumption fails"

    def test_a_flow_that_did_not_separate(self, data: Any) -> None:
        data["node_w"].values[2] = np.nan
        assert any(
            "cosh" in text and "extrapolated margin" in text for text in failing(flow_claims("p", data))
        )

    def test_a_loss_above_the_bound(self, data: Any) -> None:
        data["sample_log_loss"].values[1, 20] += 20.0
        assert [text[:18] for text in failing(flow_claims("p", data))] == ["hyperbolic entropy"]

    def test_a_logistic_loss_with_another_limit(self, data: Any) -> None:
        data["logistic_w"].values[0] = data["logistic_w"].values[0][:, ::-1]
        texts = failing(flow_claims("p", data))
        assert any("same margin" in text for text in texts)
        assert any("same direction" in text for text in texts)

    def test_a_direction_of_another_rate(self, data: Any) -> None:
        for name in ("node_log_time", "coarse_log_time"):
            data[name].values[0] **= 2
        assert any("like 1 / ln t" in text for text in failing(gradient_claims("p", data)))

    def test_a_loss_that_is_too_large(self, data: Any) -> None:
        data["sample_log_loss"].values[0] += 3.0 * np.log(np.maximum(1.0, data["sample_log_time"].values[0]))
        assert len(failing(gradient_claims("p", data))) == 2

    def test_classifiers_that_agree(self, data: Any) -> None:
        data["limit_w"].values[1] = data["limit_w"].values[0]
        assert not angles_claim("p", data).holds

    # Oracle: with its own horizon in place of another one, a potential must reach the margin.
    def test_a_control_that_is_none(self, data: Any) -> None:
        data["cross_size"].values[0, :, 0] = data["cross_size"].values[0, :, 1]
        data["cross_margin"].values[0, 0] = data["cross_margin"].values[0, 1]
        assert [text[:48] for text in failing(control_claims("p", data))] == [
            "negative control: squared l2 does not reach the "
        ]

    @pytest.mark.parametrize("potential", [0, 1, 2])
    def test_a_horizon_that_is_off(self, potential: int, data: Any) -> None:
        data["ball_radius"].values[potential] = data["ball_radius"].values[(potential + 1) % 3]
        assert len(failing(horizon_claims("p", data))) >= 1

    def test_descents_with_smaller_margins(self, data: Any) -> None:
        data["decaying_margin"].values[2] -= 10.0
        data["arc_margin"].values[20:] = 0.0
        assert [text[:24] for text in failing(descent_claims("p", data))] == ["steepest descent in linf"]
        assert len(failing(arc_claims("p", data))) == 2


# Oracle: by hand: cosh(r) - 1 = c on an axis, and 2 (cosh(r) - 1) = c on a diagonal.
def test_the_radii_of_sublevel_sets() -> None:
    found = geometry_variables({"cosh": Entry(ib.Cosh(), ib.gauges.LInf())})
    radii, angles = found["sublevel_radius"][1][0], found["ray_angle"][1]
    (axis,), (diagonal,) = (np.flatnonzero(np.isclose(angles, angle)) for angle in (0.0, np.pi / 4))
    for row, log_level in zip(radii, LOG_LEVELS, strict=True):
        expected = (log_level + np.log(2.0)) / (
            np.sqrt(2.0) * log_level
        )  # arccosh(1 + c) = ln(2 c) for a large c
        assert_allclose(row[axis] / row[diagonal], expected, rtol=1e-12)


class TestIris:
    def test_every_claim_holds(self) -> None:
        claims = STUDY.claims("iris", computed(NAME, "iris"))
        assert failing(claims) == []
        assert len(claims) == 6
        assert {a.state for claim in claims for a in claim.assumptions} == {"checked: holds"}
        assert set(STUDY.figures("iris", computed(NAME, "iris"))) == {"iris-norm"}

    def test_a_combination_that_proves_nothing(self) -> None:
        data = computed(NAME, "iris").copy(deep=True)
        data["combination"].values[1] = 1.0 / len(data["y"])
        assert [text[:30] for text in failing(inseparable_claims("p", data))] == [
            "the convex combination of y_i "
        ]

    def test_data_that_were_not_refused(self) -> None:
        data = computed(NAME, "iris").copy(deep=True)
        data["combination"].values[0] = np.nan
        assert any("refuses" in text for text in failing(inseparable_claims("p", data)))

    def test_a_flow_that_grows(self) -> None:
        data = computed(NAME, "iris").copy(deep=True)
        data["sample_w"].values[-1] *= 1.01
        assert len(failing(inseparable_claims("p", data))) == 2


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_engine, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flows_dataset(small(), silent)


# The first point is computed in the default run alone, by the laws of all studies.
@pytest.mark.parametrize(
    "point",
    [
        pytest.param(name, marks=pytest.mark.long if name == "matrices" else pytest.mark.slow)
        for name in STUDY.points()[1:]
    ],
)
def test_every_claim_of_every_setting_holds(point: str) -> None:
    claims = STUDY.claims(point, computed(NAME, point))
    assert failing(claims) == []
    assert {a.state for claim in claims for a in claim.assumptions} == {"checked: holds"}


def test_the_settings() -> None:
    assert STUDY.points() == (*SETTINGS, "iris")
    assert STUDY.points()[0] == "plane"
    assert "chosen here" in STUDY.notes()
    plane = SETTINGS["plane"].entries(2)
    assert set(PAPER) | {"p = 1.5", "p = 3", "p = 10", "quadratic form", "skewed cubic"} == set(plane)
    assert plane["skewed cubic"].potential.separable is None
