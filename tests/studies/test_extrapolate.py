"""Extrapolations and slopes with error bars."""

import numpy as np
from numpy.testing import assert_allclose

from implicitbias.studies._extrapolate import late_slope, limit_at_zero


# Oracle: by hand.
class TestLimit:
    def test_a_line_is_extrapolated_exactly_and_its_correction_is_the_bar(self) -> None:
        x = np.array([0.1, 0.2, 0.4])
        limit = limit_at_zero(x, 3.0 - 2.0 * x)
        assert_allclose(limit.value, 3.0, rtol=1e-14)
        assert_allclose(limit.bar, 0.2, rtol=1e-13)

    def test_a_faster_sequence_is_within_its_bar(self) -> None:
        x = np.array([0.1, 0.2, 0.4])
        limit = limit_at_zero(x, 3.0 - x**2)
        assert_allclose(limit.value, 3.0 + 0.02, rtol=1e-13)
        # The line through the two earlier values ends at 3 + 0.08.
        assert_allclose(limit.bar, 0.06, rtol=1e-12)

    def test_arrays_have_one_bar_in_the_euclidean_norm(self) -> None:
        x = np.array([0.5, 1.0])
        limit = limit_at_zero(x, np.array([[1.5, 2.0], [2.0, 4.0]]))
        assert_allclose(limit.value, [1.0, 0.0])
        assert_allclose(limit.bar, np.hypot(0.5, 2.0))

    def test_nan_stays(self) -> None:
        assert np.isnan(limit_at_zero(np.array([0.1, 0.2, 0.4]), np.full(3, np.nan)).bar)


# Oracle: by hand.
class TestSlope:
    def test_a_power(self) -> None:
        x = np.geomspace(1.0, 1e6, 11)
        slope = late_slope(x, 7.0 * x**-0.5)
        assert_allclose(slope.value, -0.5, rtol=1e-12)
        assert slope.bar < 1e-12

    def test_two_powers(self) -> None:
        x = np.geomspace(1e-3, 1e3, 21)
        slope = late_slope(x, np.where(x < 1.0, x**-1.0, x**-3.0))
        assert_allclose(slope.value, -3.0, atol=0.01)
        assert_allclose(slope.bar, 2.0, atol=0.02)
