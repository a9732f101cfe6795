"""The closed form of two-layer diagonal flows against many-digit arithmetic."""

from typing import Any

import jax
import mpmath
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations import TwoLayerDiagonal

PRODUCT, DIFFERENCE = ib.HadamardProduct(), ib.SquareDifference()
maps = pytest.mark.parametrize("G", [PRODUCT, DIFFERENCE], ids=["u * v", "u^2 - v^2"])

STARTS = [
    (1.0, 0.3),
    (-0.5, 2.0),
    (0.7, 0.7),
    (0.7, -0.7),
    (0.0, 1.3),
    (1.3, 0.0),
    (1e-200, 0.0),
    (1e-200, 1e-200),
    (-1e-200, 3e-200),
    (1.0, 1.0 + 1e-9),
    (1e-30, 1.0),
    (1e-140, 1e140),
    (0.0, 0.0),
]
# (z, s): none, small, large enough to bring 1e-200 to the size of 1, and decay.
POINTS = [
    (0.0, 0.0),
    (1e-9, 0.0),
    (-0.3, 0.1),
    (5.0, 2.0),
    (-40.0, 0.0),
    (230.0, 0.0),
    (-461.0, 0.5),
    (0.0, 700.0),
]


def exact(G: TwoLayerDiagonal, start: tuple[float, float], z: float, s: float) -> dict[str, mpmath.mpf]:
    with mpmath.workdps(700):
        u, v = map(mpmath.mpf, start)
        product = isinstance(G, ib.HadamardProduct)
        root = mpmath.sqrt(2)
        p, q = ((u + v) / root, (u - v) / root) if product else (u, v)
        c, k = (1, mpmath.mpf(1) / 2) if product else (2, mpmath.mpf(1))
        p, q = p * mpmath.exp(c * mpmath.mpf(z) - s), q * mpmath.exp(-c * mpmath.mpf(z) - s)
        u, v = ((p + q) / root, (p - q) / root) if product else (p, q)
        w = k * (p * p - q * q)
        return {"w": w, "slope": 2 * c * k * (p * p + q * q), "decay": -2 * w, "u": u, "v": v}


def computed(G: TwoLayerDiagonal, start: tuple[float, float], z: float, s: float) -> dict[str, float]:
    flow = G.closed_form_flow((np.array([start[0]]), np.array([start[1]])))
    with double_precision():
        z = jax.numpy.asarray([z])
        u, v = flow.theta(z, s)
        values = {
            "w": flow.predictor(z, s),
            "slope": flow.slope(z, s),
            "decay": flow.decay_slope(z, s),
            "u": u,
            "v": v,
        }
        return {name: float(value[0]) for name, value in values.items()}


# Oracle: mpmath at 700 digits: u and v may be 280 orders of magnitude apart.
@maps
@pytest.mark.parametrize("start", STARTS, ids=str)
def test_against_exact_arithmetic(G: TwoLayerDiagonal, start: tuple[float, float]) -> None:
    for z, s in POINTS:
        got, wanted = computed(G, start, z, s), exact(G, start, z, s)
        # exp carries the rounding of its argument; u and v move as fast, w twice as fast.
        arguments = 2 * (461 + 2 * abs(z) + s)
        close = 1e-14 + 2.0**-51 * arguments
        for name, value in wanted.items():
            # A difference of sizes p and q that nearly balance after moving has rounded logarithms, not sizes.
            total = wanted["slope"] if name in ("w", "decay") else max(abs(wanted["u"]), abs(wanted["v"]))
            balance = 2.0**-52 * arguments * float(min(total, 1e300)) if z != 0.0 else 0.0
            if float(abs(value)) == np.inf:
                assert got[name] == float(value)
            else:
                np.testing.assert_allclose(
                    got[name],
                    float(value),
                    rtol=close,
                    atol=1e-307 + min(balance, 1e300),
                    err_msg=f"{name} at {z}, {s}",
                )


# Oracle: by hand. From u0 = v0 = alpha, u^2 - v^2 is 2 alpha^2 e^{-2s} sinh(4 z) (theory 0.3): full relative accuracy
# at any z, and likewise 2 alpha^2 e^{-2s} sinh(2 z) / 2 for u v from (sqrt2 alpha, 0).
@pytest.mark.parametrize("alpha", [1.0, 1e-3, 1e-100])
@pytest.mark.parametrize("z", [1e-300, 1e-12, -1e-5, 0.2499, 0.2501, 0.4999, 0.5001, -0.9999, -1.0001, 30.0])
def test_balanced_starts_lose_no_digit(alpha: float, z: float) -> None:
    with mpmath.workdps(60):
        squares = 2 * mpmath.mpf(alpha) ** 2 * mpmath.exp(-0.5) * mpmath.sinh(4 * mpmath.mpf(z))
        product = mpmath.mpf(alpha) ** 2 * mpmath.exp(-0.5) * mpmath.sinh(2 * mpmath.mpf(z))
    close = 1e-14 + 2.0**-51 * abs(2 * np.log(alpha)) + 2.0**-51 * abs(4 * z)
    np.testing.assert_allclose(
        computed(DIFFERENCE, (alpha, alpha), z, 0.25)["w"], float(squares), rtol=close, atol=1e-307
    )
    # sqrt(2) alpha is rounded once.
    np.testing.assert_allclose(
        computed(PRODUCT, (np.sqrt(2) * alpha, 0.0), z, 0.25)["w"], float(product), rtol=close, atol=1e-307
    )


# Oracle: a vanishing p0 or q0 stays exactly zero; then w never changes sign.
@pytest.mark.parametrize(("z", "s"), POINTS)
def test_what_starts_at_zero_stays_there(z: float, s: float) -> None:
    assert computed(DIFFERENCE, (0.0, 0.3), z, s)["u"] == 0.0
    assert computed(DIFFERENCE, (0.3, 0.0), z, s)["v"] == 0.0
    assert computed(DIFFERENCE, (0.3, 0.0), z, s)["w"] >= 0.0
    still = computed(PRODUCT, (0.4, 0.4), z, s)
    assert still["u"] == still["v"]
    still = computed(PRODUCT, (0.4, -0.4), z, s)
    assert still["u"] == -still["v"]
    for G in (PRODUCT, DIFFERENCE):
        assert set(computed(G, (0.0, 0.0), z, s).values()) <= {0.0}


# Oracle: the shapes: arrays of any number of dimensions, s a number.
@maps
def test_it_is_shaped_as_w(G: TwoLayerDiagonal) -> None:
    u, v = np.random.default_rng(0).standard_normal((2, 3, 2))
    flow = G.closed_form_flow((u, v))
    with double_precision():
        z = np.zeros((3, 2))
        np.testing.assert_allclose(flow.predictor(z, 0.0), G((u, v)), rtol=1e-13)
        np.testing.assert_allclose(flow.theta(z, 0.0), (u, v), rtol=1e-14)


@maps
def test_bad_starts_are_refused(G: Any) -> None:
    with pytest.raises(ib.InputError, match=r"theta0 must be a pair \(u, v\)"):
        G.closed_form_flow([1.0, 2.0, 3.0])
    with pytest.raises(ib.InputError, match=r"theta0 holds a magnitude of 1e\+160, at most 1e\+150"):
        G.closed_form_flow(([1e160], [1.0]))
