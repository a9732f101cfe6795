"""The study of arXiv 2607.12332: its claims hold, and fail where the path or the simulations are not the right ones."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import implicitbias as ib
from implicitbias.flows import _engine
from implicitbias.studies import Claim
from implicitbias.studies._deep_claims import (
    deep_claims,
    end_claims,
    not_plain_claim,
    paper_claims,
    two_layer_claims,
)
from implicitbias.studies._deep_evidence import Growths, deep_dataset, in_w, predicted, simulated
from implicitbias.studies._deep_settings import SETTINGS
from implicitbias.studies._path_evidence import modified_norm
from implicitbias.studies.deep_diagonal import STUDY
from tests.studies.running import ClaimsHold, computed, failing, silent

NAME = "deep-diagonal"
Simulated = tuple[ib.SaddlePath, Growths]


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return STUDY.claims("depth-4", computed(NAME, "depth-4"))


@pytest.fixture(scope="module")
def deep() -> Simulated:
    path = predicted(SETTINGS["depth-4"])
    return path, simulated(path, SETTINGS["depth-4"].network, silent)


@pytest.fixture(scope="module")
def two_layers() -> Simulated:
    path = predicted(SETTINGS["depth-2"])
    return path, simulated(path, SETTINGS["depth-2"].network, silent)


def stored(point: str, growths: Growths, path: ib.SaddlePath) -> Any:
    """What the study stores about the same simulations, held against a path."""
    sweep, coarse = (dataclasses.replace(part, path=path) for part in growths)
    return deep_dataset(path, SETTINGS[point].network, Growths(sweep, coarse))


class TestDepthFour(ClaimsHold):
    point = "depth-4"

    # Oracle: theory 1.6: what must be among the claims.
    @pytest.mark.parametrize(
        "words",
        ["scale^(D-2)", "scale^D", "sum t+ w+ + t- w-", "larger than the least", "the flow from scale"],
    )
    def test_the_claims_are_those_of_the_paper(self, words: str, claims: list[Claim]) -> None:
        assert any(words in claim.statement for claim in claims)

    def test_its_data(self) -> None:
        path, data = predicted(SETTINGS["depth-4"]), computed(NAME, "depth-4")
        np.testing.assert_array_equal(data["time"], path.times)
        np.testing.assert_array_equal((data["t_plus"], data["t_minus"]), path.growth_times)
        assert data.attrs["time_unit"] == "slow time: flow time / alpha^-2"
        assert np.all(np.isfinite(data["jump_error"]))

    def test_its_figures(self) -> None:
        figures = STUDY.figures("depth-4", computed(NAME, "depth-4"))
        names = ("path", "simulations", "rates", "off-support")
        assert set(figures) == {f"depth-4-{name}" for name in names}
        assert figures["depth-4-path"].axes[-1].get_xlabel() == SETTINGS["depth-4"].network.growth.label


class TestTheClaimsCanFail:
    """The same claims about a path, or simulations, that are wrong in one thing."""

    def test_they_hold_for_the_right_ones(self, deep: Simulated, two_layers: Simulated) -> None:
        data = stored("depth-4", deep[1], deep[0])
        assert failing([*end_claims("p", data), *deep_claims("p", data)]) == []
        data = stored("depth-2", two_layers[1], two_layers[0])
        assert failing([*end_claims("p", data), *two_layer_claims("p", data)]) == []

    def test_growth_times_that_are_off(self, deep: Simulated, two_layers: Simulated) -> None:
        path, growths = deep
        plus, minus = path.growth_times or (np.empty(0), np.empty(0))
        wrong = ib.saddle_path(path.problem, growth_times=(plus * [1, 1.01, 1, 1.01, 1, 1.01], minus))
        assert any(
            "jump times" in text for text in failing(deep_claims("p", stored("depth-4", growths, wrong)))
        )
        halves = ib.saddle_path(two_layers[0].problem, growth_times=(0.5, 0.5))
        data = stored("depth-2", two_layers[1], halves)
        assert any("jump times" in text for text in failing(two_layer_claims("p", data)))

    def test_a_saddle_that_is_off(self, deep: Simulated, two_layers: Simulated) -> None:
        table = np.array(two_layers[0].coefficients)
        table[2] *= 1.001
        data = stored("depth-2", two_layers[1], _with_coefficients(two_layers[0], table))
        assert any("reached fast" in text for text in failing(two_layer_claims("p", data)))
        table = np.array(deep[0].coefficients)
        table[2][np.flatnonzero(table[2])[0]] = 0.0  # as if it rested there
        data = stored("depth-4", deep[1], _with_coefficients(deep[0], table))
        assert any("off the support of a saddle" in text for text in failing(deep_claims("p", data)))

    def test_an_end_of_another_norm(self, deep: Simulated) -> None:
        path, growths = deep
        plain = ib.saddle_path(path.problem)
        table = np.vstack([path.coefficients[:-1], plain.coefficients[-1]])
        data = stored("depth-4", growths, _with_coefficients(path, table))
        claims = end_claims("p", data)
        # A minimiser of the loss it is; of the norm it is not.
        assert len(failing(claims)) == 2
        assert not any("every saddle" in text for text in failing(claims))
        assert not not_plain_claim("p", data).holds
        assert not_plain_claim("p", stored("depth-4", growths, path)).holds

    def test_a_flow_that_ends_elsewhere(self, deep: Simulated) -> None:
        path, growths = deep
        final = ib.saddle_path(path.problem).coefficients[-1]
        *first, last = growths.sweep.trajectories
        moved = (*first, dataclasses.replace(last, final=final))
        sweep = dataclasses.replace(growths.sweep, trajectories=moved)
        data = stored("depth-4", Growths(sweep, growths.coarse), path)
        assert any("ends at the least norm" in text for text in failing(deep_claims("p", data)))

    def test_an_integration_that_is_too_coarse(self, deep: Simulated) -> None:
        # The assumption fails, and says so; the claims are measured all the same.
        path, growths = deep
        late = dataclasses.replace(
            growths.coarse, trajectories=growths.sweep.trajectories[:1], units=growths.sweep.units[:1] * 1.01
        )
        data = stored("depth-4", Growths(growths.sweep, late), path)
        states = [a for claim in deep_claims("p", data) for a in claim.assumptions if "rtol" in a.text]
        assert {assumption.state for assumption in states} == {"checked: fails"}

    def test_a_jump_that_the_flow_never_makes(self, deep: Simulated) -> None:
        path, growths = deep
        losses = np.append(path.losses[:-1], -10.0)
        data = stored("depth-4", growths, dataclasses.replace(path, losses=losses))
        (jumps,) = [claim for claim in deep_claims("p", data) if "jump times" in claim.statement]
        assert not jumps.holds
        assert np.isnan(jumps.measured)

    def test_another_example_than_the_papers(self) -> None:
        data = computed(NAME, "four-features")
        assert failing(paper_claims("p", data)) == []
        path = ib.saddle_path(SETTINGS["four-features"].problem(), growth_times=(0.5, 0.3))
        boundary = np.zeros(path.coefficients.shape, dtype=int)
        for row, places in zip(boundary, path.equicorrelation_sets, strict=True):
            row[places] = 1
        force = np.array([path.problem.residual(w) @ path.problem.X for w in path.coefficients])
        axes = ("jump", "feature")
        other = path.to_dataset().assign(boundary=(axes, boundary), force=(axes, force))
        assert len(failing(paper_claims("p", other))) >= 3


def _with_coefficients(path: ib.SaddlePath, table: np.ndarray) -> ib.SaddlePath:
    return dataclasses.replace(path, coefficients_sparse=sparse.csr_array(table))


# Oracle: by hand.
def test_the_modified_norm() -> None:
    problem = ib.LeastSquares(np.eye(3), [1.0, -1.0, 1.0])
    path = ib.saddle_path(problem, growth_times=([1.0, 2.0, 3.0], [4.0, np.inf, 6.0]))
    assert modified_norm(path, np.array([2.0, 1.0, -1.0])) == 2.0 + 2.0 + 6.0
    assert modified_norm(path, np.array([0.0, -1.0, 0.0])) == np.inf
    assert modified_norm(ib.saddle_path(problem), np.array([2.0, 1.0, -1.0])) == 4.0


# Oracle: the map, state by state.
def test_a_trajectory_seen_in_w() -> None:
    G = ib.DeepDiagonal(3)
    problem = ib.LeastSquares(np.eye(2), [1.0, -1.0]).reparametrize(G)
    theta0 = (np.array([0.3, 0.2]), np.array([0.5, -0.4]), np.array([0.6, 0.7]))
    trajectory = ib.simulate(ib.GradientFlow(problem), theta0, t1=5.0)
    seen = in_w(trajectory, G)
    np.testing.assert_allclose(seen.start, G(theta0), rtol=1e-15)
    np.testing.assert_allclose(seen.final, G(trajectory.final), rtol=1e-15)
    for t in (0.0, 1.3, 5.0):
        np.testing.assert_allclose(seen.state(t), G(trajectory.state(t)), rtol=1e-14)
    assert seen.states.shape == (len(trajectory.times), 2)


def test_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_engine, "advance", interrupted)
    setting = SETTINGS["depth-2"]
    with pytest.raises(KeyboardInterrupt):
        simulated(predicted(setting), setting.network, silent)


# Oracle: by hand.
def test_units_of_slow_time() -> None:
    by_name = {name: setting.network for name, setting in SETTINGS.items()}
    np.testing.assert_allclose(
        by_name["depth-2"].units(), np.log(1 / by_name["depth-2"].scales()), rtol=1e-13
    )
    np.testing.assert_allclose(by_name["depth-5"].units(), by_name["depth-5"].scales() ** -3.0, rtol=1e-13)
    labels = {name: network.growth.label for name, network in by_name.items()}
    assert labels["depth-3"].endswith(r"\alpha$")
    assert labels["depth-5"].endswith(r"\alpha^{3}$")
    assert r"\ln(1/" in labels["four-features"]


@pytest.mark.slow
@pytest.mark.parametrize(("point", "words"), [
    ("four-features", "(0, 0, 10/7, -10/49)"),
    ("depth-2", "1/ln(1/scale)"),
    ("depth-3", "scale^(D-2)"),
    ("depth-5", "scale^(D-2)"),
])  # fmt: skip
def test_every_claim_of_every_setting_holds(point: str, words: str) -> None:
    claims = STUDY.claims(point, computed(NAME, point))
    assert failing(claims) == []
    assert any(words in claim.statement for claim in claims)
    assert {a.state for claim in claims for a in claim.assumptions} == {"checked: holds"}


def test_the_slow_test_misses_no_setting() -> None:
    assert set(SETTINGS) == {"four-features", "depth-2", "depth-3", "depth-4", "depth-5"}
    assert STUDY.points() == tuple(SETTINGS)
    assert "were chosen here" in STUDY.notes()
