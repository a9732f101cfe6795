"""`Growth` as a value: what it holds, its names and units of time, and what it refuses."""

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import implicitbias as ib

ONE, ZERO, ROOT = np.ones(3), np.zeros(3), np.full(3, np.sqrt(2.0))
PRODUCT = ib.HadamardProduct().growth_times((ROOT, ZERO))
DEEP = ib.DeepDiagonal(4).growth_times((ONE, 2 * ONE, ONE, -3 * ONE))


def test_it_unpacks_as_the_pair_of_its_thresholds() -> None:
    plus, minus = DEEP
    assert plus is DEEP.t_plus
    assert minus is DEEP.t_minus
    assert len(DEEP) == 2
    assert DEEP[0] is DEEP.t_plus
    assert_array_equal(np.asarray(tuple(DEEP)), [DEEP.t_plus, DEEP.t_minus])


def test_it_never_changes() -> None:
    with pytest.raises(FrozenInstanceError):
        DEEP.t_plus = ONE
    with pytest.raises(FrozenInstanceError):
        PRODUCT.split.log_plus = ONE
    with pytest.raises(ValueError, match="read-only"):
        DEEP.t_plus[0] = 1.0
    times = np.array([1.0, 2.0])
    growth = ib.Growth(times, times)
    times[0] = 7.0
    assert growth.t_plus.tolist() == [1.0, 2.0]


def test_it_survives_pickling() -> None:
    for growth in (PRODUCT, DEEP):
        copy = pickle.loads(pickle.dumps(growth))
        assert copy.fingerprint() == growth.fingerprint()
        assert not copy.t_plus.flags.writeable


# One network, named in several ways: one value, whatever the name.
def test_the_default_is_the_product_from_its_default_start() -> None:
    problem = ib.LeastSquares(np.eye(3), [1.0, 2.0, 3.0])
    default = ib.saddle_path(problem).growth
    assert default.fingerprint() == PRODUCT.fingerprint()
    assert default.fingerprint() == ib.DeepDiagonal(2).growth_times((ROOT, ZERO)).fingerprint()
    assert default.fingerprint() == ib.Growth.of(None, 3).fingerprint()


def test_another_network_has_another_fingerprint() -> None:
    others = [
        PRODUCT,
        ib.HadamardProduct().growth_times((ONE, ZERO)),  # other weights of the split
        ib.SquareDifference().growth_times((ONE, ONE)),
        ib.DeepDiagonal(3).growth_times((ONE, ONE, ONE)),
        ib.Growth(*PRODUCT),  # the same thresholds of an unknown network
        ib.Growth(ONE, np.nextafter(ONE, 2.0)),
    ]
    assert len({growth.fingerprint() for growth in others}) == len(others)


def test_two_processes_give_one_fingerprint() -> None:
    code = "import implicitbias as ib; print(ib.Growth([1.0, 2.0], [3.0, 4.0], 3).fingerprint())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == ib.Growth([1.0, 2.0], [3.0, 4.0], 3).fingerprint()


def test_it_needs_no_jax() -> None:
    code = "import implicitbias as ib, sys; ib.Growth([1.0], [1.0]).label; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Oracle: by hand.
@pytest.mark.parametrize(
    ("growth", "unit", "label"),
    [
        (PRODUCT, "ln(1/alpha)", r"slow time  $t \,/\, \ln(1/\alpha)$"),
        (ib.DeepDiagonal(3).growth_times((ONE, ONE, ONE)), "alpha^-1", r"slow time  $t \cdot \alpha$"),
        (DEEP, "alpha^-2", r"slow time  $t \cdot \alpha^{2}$"),
    ],
)
def test_slow_time_has_one_name(growth: ib.Growth, unit: str, label: str) -> None:
    assert growth.unit == unit
    assert growth.time_unit == f"slow time: flow time / {unit}"
    assert growth.label == label


def test_the_time_of_an_unknown_network_has_no_unit() -> None:
    growth = ib.Growth(ONE, ONE)
    assert growth.unit is None
    assert growth.label == "slow time"
    assert "unit of the growth times" in growth.time_unit
    with pytest.raises(ib.InputError, match=r"unit .* not known.*type growth_times=G\.growth_times"):
        growth.flow_time(1.0, scale=0.1)


# Oracle: by hand: t = ln(1/alpha) for two layers, alpha^(2 - D) for D.
def test_conversion_to_flow_time_and_back() -> None:
    assert PRODUCT.flow_time(2.0, scale=1e-3) == pytest.approx(2 * 3 * np.log(10), rel=1e-15)
    assert PRODUCT.flow_time(2.0, log_scale=-1000 * np.log(10)) == pytest.approx(2000 * np.log(10), rel=1e-15)
    assert DEEP.flow_time(2.0, scale=1e-3) == pytest.approx(2e6, rel=1e-13)
    assert DEEP.flow_time(2.0, log_scale=float(np.log(1e-3))) == pytest.approx(2e6, rel=1e-13)
    times = np.array([0.0, 0.3, 5.0])
    for growth in (PRODUCT, DEEP):
        for scale in ({"scale": 1e-7}, {"log_scale": -40.0}):
            there = growth.flow_time(times, **scale)
            assert isinstance(there, np.ndarray)
            assert_allclose(growth.slow_time(there, **scale), times, rtol=1e-14)
            assert np.log(there[2] / 5.0) == pytest.approx(growth.log_unit(**scale), rel=1e-13)


def test_a_flow_time_beyond_float64_is_refused_and_its_logarithm_is_not() -> None:
    with pytest.raises(ib.InputError, match=r"e\^4605.*type growth\.log_unit"):
        DEEP.flow_time(1.0, log_scale=-1000 * np.log(10))
    assert DEEP.log_unit(log_scale=-1000 * np.log(10)) == pytest.approx(2000 * np.log(10))


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ({}, "one of scale and log_scale"),
        ({"scale": 0.1, "log_scale": -2.0}, "one of scale and log_scale"),
        ({"scale": 0.0}, "scale is 0.0, a number between 0 and 1"),
        ({"scale": 1.0}, "scale is 1.0"),
        ({"scale": np.nan}, "scale is nan"),
        ({"scale": "0.1"}, "scale is '0.1'"),
        ({"log_scale": 0.5}, "log_scale is 0.5, a number between -inf and 0"),
        ({"log_scale": -np.inf}, "log_scale is -inf"),
    ],
)
def test_scales_that_are_none_are_refused(scales: dict[str, Any], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        PRODUCT.flow_time(1.0, **scales)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0, 2.0], [1.0]), r"t_plus has shape \(2,\) and t_minus has shape \(1,\)"),
        (([1.0], [-1.0]), "t_minus of growth_times is -1 at 0"),
        (([1.0], [1.0], 1), "order is 1.*at least 2"),
    ],
)
def test_values_that_are_no_growth_are_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.Growth(*arguments)


def test_a_growth_of_another_shape_is_refused() -> None:
    problem = ib.LeastSquares(np.eye(2), [1.0, 2.0])
    with pytest.raises(ib.InputError, match=r"w of shape \(3,\), but X has 2 columns.*one entry for each"):
        ib.saddle_path(problem, growth_times=PRODUCT)


@pytest.mark.parametrize("order", [2.5, np.float64(3.0)])
def test_an_order_that_is_no_whole_number_is_rejected(order: Any) -> None:
    with pytest.raises(ib.InputError, match="a whole number of at least 2 or None is expected"):
        ib.Growth([1.0], [1.0], order=order)


def test_a_time_that_is_no_number_is_rejected() -> None:
    with pytest.raises(ib.InputError, match="a number or an array of numbers is expected"):
        ib.Growth([1.0], [1.0], order=3).flow_time("soon", scale=0.1)
