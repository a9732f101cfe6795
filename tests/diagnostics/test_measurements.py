"""Measurements: distances, angles and margins as observables and as stopping rules, against NumPy by hand."""

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.diagnostics import Measurement, angle_to, direction, distance_to, margin_in

PROBLEM = ib.Classification([[2.0, 1.0], [-2.0, 1.0], [1.0, 3.0]], [1, -1, 1], loss="exponential")


def limit(point: list[float], margin: float | None) -> ib.Limit:
    certificate = ib.Certificate("a test", 0.0, {}, 1e-9)
    return ib.Limit(PROBLEM, np.array(point), 1.0, certificate, ib.Status.CONVERGED, margin=margin)


def test_distances() -> None:
    w = np.array([3.0, 4.0])
    assert distance_to(limit([3.0, 0.0], None))(1.0, w) == pytest.approx(4.0 / 3.0)
    assert distance_to(limit([0.0, 0.0], None))(1.0, w) == 5.0
    assert distance_to(limit([0.0, 7.0], 2.0))(1.0, w) == pytest.approx(np.hypot(0.6, 0.2))
    assert distance_to(limit([0.0, 7.0], 2.0))(1.0, 0 * w) == 1.0


def test_angles() -> None:
    assert angle_to([1.0, 0.0])(0.0, [-1.0, 0.0]) == pytest.approx(180.0)
    assert angle_to([1.0, 0.0])(0.0, [1.0, 1e-7]) == pytest.approx(np.degrees(1e-7), rel=1e-4)
    assert angle_to(np.eye(2))(0.0, 3 * np.eye(2)) == 0.0
    with pytest.raises(ib.InputError, match="point is 0"):
        angle_to([0.0, 0.0])


def test_directions_of_any_size() -> None:
    for unit in (1e-300, 1.0, 1e300):
        np.testing.assert_allclose(direction(np.array([3.0, 4.0]) * unit), [0.6, 0.8], rtol=1e-14)
    assert direction([0.0, 0.0]).tolist() == [0.0, 0.0]


def test_margins() -> None:
    measure = margin_in(PROBLEM, ib.gauges.L1())
    assert measure(0.0, [1.0, 1.0]) == 0.5
    assert measure(0.0, [0.0, 0.0]) == 0.0
    with pytest.raises(ib.InputError, match="a Classification and a Gauge"):
        margin_in(PROBLEM, "l1")
    with pytest.raises(ib.InputError, match="a Limit is expected"):
        distance_to(np.ones(2))


def test_a_measurement_is_an_observable_and_a_stopping_rule() -> None:
    norm = Measurement("norm", lambda w: float(np.linalg.norm(w)))
    flow = ib.MirrorFlow(PROBLEM, ib.SquaredNorm())
    run = ib.simulate(flow, np.zeros(2), log_t1=100.0, observe={"norm": norm}, until=norm > 5.0)
    assert run.status is ib.Status.STOPPED_BY_CALLER
    assert run.observables["norm"][-1] == pytest.approx(5.0, rel=1e-6)
    assert (norm < 6.0)(0.0, run.final)
    assert not (norm < 5.0 - 1e-3)(0.0, run.final)
