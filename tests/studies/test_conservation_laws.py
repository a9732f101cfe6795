"""The study of conservation laws: its claims hold, fail where numbers are wrong, and rest on checked formulas."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.labelled import dataset
from implicitbias.studies._conservation_evidence import first_order
from implicitbias.studies._conservation_settings import (
    drawn_relu,
    layers,
    linear_rule,
    matrices,
    relu,
    with_biases,
)
from implicitbias.studies.conservation_laws import STUDY
from tests.studies.running import ClaimsHold, failing

NAME, POINT = "conservation-laws", "small"


class TestSmallNetworks(ClaimsHold):
    point = POINT

    # Oracle: by hand: each change makes the statement false that is named.
    @pytest.mark.parametrize(
        ("words", "changed"),
        [
            ("ReLU 2-2-1", {"count": lambda x: x + 1}),
            ("account for all", {"independent": lambda x: x - 1}),
            ("with tanh", {"count": lambda x: 0 * x + 2}),
            ("conserves all laws", {"flow_drift": lambda x: x + 1e-6}),
            ("in proportion", {"change": np.square}),
            ("integral of h(grad L)", {"first_order": lambda x: 1.01 * x}),
        ],
    )
    def test_each_claim_can_fail(self, data: Any, words: str, changed: dict[str, Any]) -> None:
        wrong = data.assign(
            {name: (data[name].dims, change(data[name].values)) for name, change in changed.items()}
        )
        assert any(words in statement for statement in failing(STUDY.claims(POINT, wrong)))

    # Oracle: the entries of U^T U - V V^T, which change by rate^2 h(grad L) in each step.
    def test_laws_are_those_of_balancedness(self, data: Any) -> None:
        theta0 = [0.7 * matrix for matrix in matrices(np.random.default_rng(2), (2, 2, 2))]
        laws = ib.conserved_quantities(lambda theta: theta[0] @ theta[1], theta0).laws
        U, V = theta0
        assert [str(law) for law in laws] == list(data["law"].values)
        balance = U.T @ U - V @ V.T
        np.testing.assert_allclose(
            sorted(abs(law(theta0)) for law in laws), sorted(np.abs(balance[np.triu_indices(2)])), rtol=1e-12
        )

    def test_its_figure(self, data: Any) -> None:
        (figure,) = STUDY.figures(POINT, data).values()
        assert figure.axes[0].get_xlabel() == "learning rate"


# Oracle: by hand: one wrong count among the networks, and laws that are missing.
def test_claims_about_drawn_networks() -> None:
    numbers = {"count": [3, 4], "rule": [3, 4], "independent": [3, 4]}
    data = dataset(
        {name: (("network",), np.array(values)) for name, values in numbers.items()}
        | {"network": (("network",), np.array(["linear 2-2-2", "ReLU 3-4-1"]))},
        {},
        {},
    )
    assert failing(STUDY.claims("drawn", data)) == []
    more = data.assign({"count": (("network",), np.array([3, 5]))})
    assert len(failing(STUDY.claims("drawn", more))) == 2
    assert any(
        "linear" in words for words in failing(STUDY.claims("drawn", data.assign(rule=data["rule"] + 1)))
    )


# Oracle: by hand: laws that tanh conserves too would be no laws of ReLUs.
def test_claims_about_units_can_fail(data: Any) -> None:
    units = data.assign({"control_drift": ((), np.array(0.5))})
    assert failing(STUDY.claims("units", units)) == []
    still = units.assign({"control_drift": ((), np.array(1e-9))})
    assert ["tanh" in words for words in failing(STUDY.claims("units", still))] == [True]


# Oracle: Marcotte, Gribonval & Peyre 2023: r (r + 1) / 2 laws of two factors of full rank r.
@pytest.mark.parametrize(("sizes", "count"), [((2, 2, 2), 3), ((3, 2, 3), 3), ((3, 3, 3), 6), ((1, 1, 1), 1)])
def test_the_rule_for_products(sizes: tuple[int, ...], count: int) -> None:
    assert linear_rule(matrices(np.random.default_rng(0), sizes)) == count


# Oracle: by hand: L = (u v - 1)^2 / 2 and h = u^2 - v^2 have h(grad L) = -(u v - 1)^2 h(theta); h(theta) is constant.
# The integral of (u v - 1)^2 is computed on a fine grid.
def test_the_drift_to_first_order() -> None:
    problem = ib.LeastSquares(np.ones((2, 1)), np.ones(2)).reparametrize(ib.HadamardProduct())
    theta0 = (np.array([0.9]), np.array([0.2]))
    found = ib.conserved_quantities(ib.HadamardProduct(), theta0)
    flow = ib.simulate(ib.GradientFlow(problem), theta0, 4.0, rtol=1e-9)
    times = np.linspace(0.0, 4.0, 20001)
    u, v = flow.state(times)
    squares = (u[:, 0] * v[:, 0] - 1.0) ** 2
    expected = -found.laws[0](theta0) * np.trapezoid(squares, times)
    np.testing.assert_allclose(first_order(problem, flow, found), [expected], rtol=1e-6)


# Oracle: by hand, row by row.
def test_networks() -> None:
    rng = np.random.default_rng(3)
    theta, X = with_biases(rng, layers(rng, (2, 3, 1))), rng.standard_normal((4, 2))
    hidden = np.maximum(X @ theta[0]["W"] + theta[0]["b"], 0.0)
    np.testing.assert_allclose(relu(theta, X), hidden @ theta[1]["W"], rtol=1e-6)
    drawn = drawn_relu(np.random.default_rng(5))
    assert drawn.rule == sum(layer["W"].shape[1] for layer in drawn.theta[:-1])
    assert "paper" in STUDY.notes()
