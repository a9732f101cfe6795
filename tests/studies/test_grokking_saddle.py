"""The point of the study on diagonal networks whose drift ends at a saddle of the norm."""

import numpy as np
import pytest

from implicitbias.studies import Claim
from implicitbias.studies._grokking_saddle import saddle, slope, start_of, two_units
from implicitbias.studies._grokking_saddle_claims import saddle_claims
from implicitbias.studies.grokking_diagonal import STUDY
from tests.studies.running import ClaimsHold, computed, failing

NAME, ONE = "grokking-diagonal", np.ones((1, 1))


@pytest.fixture(scope="module")
def claims() -> list[Claim]:
    return STUDY.claims("saddle", computed(NAME, "saddle"))


# Oracle: the curve f = 1 near the saddle, on which the norm is found by bisection.
def test_the_saddle_and_its_rate() -> None:
    point, rate = saddle()
    assert two_units(point, ONE)[0] == pytest.approx(1.0, abs=1e-14)

    def half_square(first: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if two_units((first, middle), ONE)[0] < 1.0 else (low, middle)
        return (first**2 + low**2) / 2

    step = 1e-3
    before, here, after = (half_square(point[0] + k * step) for k in (-1, 0, 1))
    normal = slope(point)
    length = np.linalg.norm(normal) / normal[1]  # of the curve, for a unit of the first parameter
    assert abs(after - before) / (2 * step) < 1e-4
    assert -(after - 2 * here + before) / step**2 / length**2 == pytest.approx(rate, rel=1e-4)


def test_the_start_of_the_saddle_is_off_the_curve() -> None:
    assert two_units(start_of(saddle()[0]), ONE)[0] < 0.5


class TestSaddle(ClaimsHold):
    point = "saddle"

    # Oracle: by hand: each change breaks the statement that is named.
    @pytest.mark.parametrize(
        ("words", "name", "factor"),
        [
            ("ends at the saddle", "baseline_end", 1.001),
            ("stays at the saddle", "drift_end", 1.001),
            ("runs leave", "escape_rate", 1.01),
            ("runs leave", "escape_time", np.nan),
            ("smaller norm", "end", 2.0),
        ],
    )
    def test_claims_can_fail(self, words: str, name: str, factor: float) -> None:
        data = computed(NAME, "saddle")
        found = failing(saddle_claims("saddle", data.assign({name: data[name] * factor})))
        assert any(words in statement for statement in found)
