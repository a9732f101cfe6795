"""The hyperbolic entropy against 50-digit arithmetic, from tiny scales to large ones."""

import mpmath
import numpy as np
import pytest

import implicitbias as ib
from tests.potentials._formulas import slope

mpmath.mp.dps = 50

LOG_SCALES = [3.0, 0.0, -1.0, -20.0, -600.0, -745.0, -4605.0, -1e5]
POINTS = [0.0, 1e-300, 1e-200, 1e-60, 1e-9, 1e-3, 0.4, 1.0, 17.0, 1e4, 1e10]
SIGNED = np.array([*(-np.array(POINTS[:0:-1])), *POINTS])

# Formulas in float64: a few units of rounding.
CLOSE = 1e-14


def _mirror(w: float, log_scale: float) -> mpmath.mpf:
    return mpmath.asinh(mpmath.mpf(w) * mpmath.exp(-mpmath.mpf(log_scale))) / 2


def _value(w: float, log_scale: float) -> mpmath.mpf:
    # Up to 100 000 / ln 10 digits cancel in sqrt(w^2 + a^2) - a where |w| << a, none of them at 50 + 700 digits.
    with mpmath.workdps(750):
        w, a = mpmath.mpf(w), mpmath.exp(mpmath.mpf(log_scale))
        return (w * mpmath.asinh(w / a) - mpmath.sqrt(w * w + a * a) + a) / 2


def _resolution(log_scale: float) -> float:
    """Return the relative error of a that is caused only by the rounding of ln a, which is |ln a| 2^-53."""
    return CLOSE + abs(log_scale) * 2.0**-52


# Oracle: mpmath at 50 digits.
@pytest.mark.parametrize("log_scale", LOG_SCALES)
def test_the_mirror(log_scale: float) -> None:
    got = ib.HyperbolicEntropy(log_scale=log_scale).mirror(SIGNED)
    wanted = np.array([float(_mirror(w, log_scale)) for w in SIGNED])
    np.testing.assert_allclose(got, wanted, rtol=_resolution(log_scale), atol=0)
    np.testing.assert_array_equal(got, -got[::-1])


# Oracle: mpmath at 50 digits.
@pytest.mark.parametrize("log_scale", LOG_SCALES)
def test_the_inverse_mirror(log_scale: float) -> None:
    phi = ib.HyperbolicEntropy(log_scale=log_scale)
    z = np.array([float(_mirror(w, log_scale)) for w in SIGNED])
    exact = [mpmath.exp(mpmath.mpf(log_scale)) * mpmath.sinh(2 * mpmath.mpf(x)) for x in z]
    # exp(2|z| + ln a) carries the rounding of its argument, at most |ln a| + |ln w| <= 1e5 + 700.
    np.testing.assert_allclose(
        phi.inverse_mirror(z),
        [float(w) for w in exact],
        rtol=CLOSE + 2.0**-51 * np.max(np.abs(z)) * 2,
        atol=0,
    )


# Oracle: mpmath: d w / d z = 2 a cosh(2 z) = 2 sqrt(w^2 + a^2).
@pytest.mark.parametrize("log_scale", LOG_SCALES)
def test_the_slope_of_the_inverse_mirror(log_scale: float) -> None:
    phi = ib.HyperbolicEntropy(log_scale=log_scale)
    z = np.array([float(_mirror(w, log_scale)) for w in SIGNED])
    exact = [2 * mpmath.exp(mpmath.mpf(log_scale)) * mpmath.cosh(2 * mpmath.mpf(x)) for x in z]
    got = slope(phi, z)
    # Where a itself is subnormal (ln a = -745), so is the slope at 0.
    np.testing.assert_allclose(
        got, [float(w) for w in exact], rtol=CLOSE + 2.0**-51 * np.max(np.abs(z)) * 2, atol=1e-307
    )


# Oracle: mpmath at 750 digits. Relative to |w mirror(w)|, the larger of the two terms that are subtracted.
@pytest.mark.parametrize("log_scale", LOG_SCALES)
def test_the_value(log_scale: float) -> None:
    phi = ib.HyperbolicEntropy(log_scale=log_scale)
    for w in SIGNED:
        size = abs(float(w * _mirror(w, log_scale)))
        # Below 1e-290 products may leave the normal range of float64.
        np.testing.assert_allclose(
            phi.value([w]), float(_value(w, log_scale)), rtol=0, atol=size * _resolution(log_scale) + 1e-290
        )


# Oracle: the same scale, given as scale and as log_scale.
def test_scale_and_log_scale_agree() -> None:
    a = np.array([1e-8, 1.0, 30.0])
    w = [0.3, -2.0, 1e-12]
    by_scale, by_log = ib.HyperbolicEntropy(a), ib.HyperbolicEntropy(log_scale=np.log(a))
    np.testing.assert_array_equal(by_scale.mirror(w), by_log.mirror(w))
    np.testing.assert_allclose(by_scale.mirror(w), np.arcsinh(w / a) / 2, rtol=CLOSE)


# Oracle: theory 2.4 in its simplest form: phi_a(w) / ln(1/a) -> |w| / 2 as a -> 0, with error O(1 / ln(1/a)).
def test_it_tends_to_the_l1_norm() -> None:
    w = np.array([3.0, -1.0, 0.5])
    distances = [abs(ib.HyperbolicEntropy(log_scale=-k).value(w) / k - 2.25) * k for k in (1e2, 1e3, 1e4)]
    np.testing.assert_allclose(distances, distances[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "exactly one"),
        ({"scale": 1.0, "log_scale": 0.0}, "exactly one"),
        ({"scale": 0.0}, "positive"),
        ({"scale": -1e-3}, "positive"),
        ({"scale": [1.0, 0.0]}, "positive"),
        ({"scale": np.nan}, "positive"),
        ({"scale": np.inf}, "positive"),
        ({"log_scale": -np.inf}, "finite"),
        ({"log_scale": np.nan}, "finite"),
        ({"scale": [[1.0]]}, "shape"),
        ({"scale": "small"}, "scale"),
    ],
)
def test_bad_scales_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.HyperbolicEntropy(**arguments)


@pytest.mark.parametrize("method", ["value", "mirror", "inverse_mirror"])
@pytest.mark.parametrize(("point", "words"), [([np.nan], "NaN"), ([[1.0]], "shape"), (["x"], "numbers")])
def test_bad_points_are_refused(method: str, point: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        getattr(ib.HyperbolicEntropy(1.0), method)(point)


def test_a_point_of_another_length_than_the_scales_is_refused() -> None:
    with pytest.raises(ib.InputError):
        ib.HyperbolicEntropy([1.0, 2.0]).mirror([1.0, 2.0, 3.0])


def test_the_callers_precision_is_left_alone() -> None:
    import jax

    before = jax.config.jax_enable_x64
    got = ib.HyperbolicEntropy(log_scale=-50.0).mirror([0.1])
    assert jax.config.jax_enable_x64 == before
    assert got.dtype == np.float64
    assert type(got) is np.ndarray


# Oracle: 2 z = arcsinh(w / a) with mpmath, for w = exp(+-1e5) and beyond, which no float64 holds.
@pytest.mark.parametrize("log_scale", [-4605.0, -1.0, 0.0, 700.0])
@pytest.mark.parametrize("log_size", [-1e5, -5000.0, -1.0, 0.5, 5000.0, 1e5, 1e9])
def test_sizes_beyond_float64(log_scale: float, log_size: float) -> None:
    phi = ib.HyperbolicEntropy(log_scale=log_scale)
    z = phi.mirror_of_logs([1.0, -1.0], [log_size, log_size])
    with mpmath.workdps(60):
        ratio = mpmath.exp(mpmath.mpf(log_size) - mpmath.mpf(log_scale))
        expected = float(mpmath.asinh(ratio) / 2)
    np.testing.assert_allclose(z, [expected, -expected], rtol=1e-14, atol=1e-300)
    if abs(expected) > 1e-300:
        signs, logs = phi.inverse_mirror_logs(z)
        assert signs.tolist() == [1.0, -1.0]
        np.testing.assert_allclose(
            logs, log_size, rtol=1e-14, atol=4e-16 * (abs(log_scale) + 2 * abs(expected))
        )


@pytest.mark.parametrize(
    ("signs", "logs"), [([1.0], [0.0, 1.0]), ([2.0], [0.0]), ([np.nan], [0.0]), ([1.0], [np.inf])]
)
def test_signs_and_logarithms_that_are_none(signs: list[float], logs: list[float]) -> None:
    with pytest.raises(ib.InputError, match=r"signs|logs"):
        ib.HyperbolicEntropy(1.0).mirror_of_logs(signs, logs)
