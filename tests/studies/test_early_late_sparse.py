"""How the study of early and late phases measures a transition, and the accuracy on test rows."""

import jax.numpy as jnp
import numpy as np

from implicitbias.studies._early_late_depth_claims import crossing, needed
from implicitbias.studies._early_late_depths import power_difference
from implicitbias.studies._early_late_settings import SMALL, labels


# By hand: the line through (1, -1) and (2, 3) is 0 at 1.25.
def test_a_transition_is_where_the_difference_changes_its_sign() -> None:
    places = np.array([0.0, 1.0, 2.0, 3.0])
    assert crossing(places, np.array([-2.0, -1.0, 3.0, -1.0])) == 1.25
    assert np.isnan(crossing(places, np.array([1.0, 2.0, 3.0, 4.0])))
    assert np.isnan(crossing(places, np.full(4, np.nan)))


# By hand: halfway between ln 4 and ln 16 is ln 8.
def test_the_number_of_samples_is_interpolated_in_its_logarithm() -> None:
    assert np.isclose(needed(np.array([1, 4, 16]), np.array([0.5, 0.8, 1.0])), 8.0)
    assert np.isnan(needed(np.array([1, 4]), np.array([0.5, 0.8])))


# By hand: 2^3 - 1 = 7 and (-1)^3 - 2^3 = -9.
def test_the_deep_network_is_a_difference_of_powers() -> None:
    theta = jnp.array([2.0, -1.0]), jnp.array([1.0, 2.0])
    assert power_difference(3)(theta, jnp.eye(2)).tolist() == [7.0, -9.0]


# By hand: the rule itself is always right, its negative never, and 0 has a tie in each row.
def test_ties_count_one_half() -> None:
    rule = np.zeros((SMALL.d, 3))
    rule[:3, 0], rule[:3, 1] = 1.0, -1.0
    np.testing.assert_array_equal(SMALL.accuracy(rule), [1.0, 0.0, 0.5])
    assert labels(np.array([[1.0, 1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])).tolist() == [1.0, -1.0]
