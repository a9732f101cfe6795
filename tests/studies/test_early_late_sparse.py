"""How the study of early and late phases measures a transition, and the accuracy on test rows."""

import numpy as np

from implicitbias.studies._early_late_settings import SMALL, labels
from implicitbias.studies.early_late_sparse import crossing


# By hand: the line through (1, -1) and (2, 3) is 0 at 1.25.
def test_a_transition_is_where_the_difference_changes_its_sign() -> None:
    places = np.array([0.0, 1.0, 2.0, 3.0])
    assert crossing(places, np.array([-2.0, -1.0, 3.0, -1.0])) == 1.25
    assert np.isnan(crossing(places, np.array([1.0, 2.0, 3.0, 4.0])))
    assert np.isnan(crossing(places, np.full(4, np.nan)))


# By hand: the rule itself is always right, its negative never, and 0 has a tie in each row.
def test_ties_count_one_half() -> None:
    rule = np.zeros((SMALL.d, 3))
    rule[:3, 0], rule[:3, 1] = 1.0, -1.0
    np.testing.assert_array_equal(SMALL.accuracy(rule), [1.0, 0.0, 0.5])
    assert labels(np.array([[1.0, 1.0, -1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]])).tolist() == [1.0, -1.0]
