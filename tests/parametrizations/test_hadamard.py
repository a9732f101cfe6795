"""Tests of the map w = u * v."""

import numpy as np
import pytest

import implicitbias as ib

G = ib.HadamardProduct()


# Oracle: by hand.
def test_the_map() -> None:
    assert G(([1, 2, 0], [3, -1, 5])).tolist() == [3, -2, 0]
    assert G([[2.0], [0.5]]).tolist() == [1.0]


# Oracle: central differences of <gradient, G(theta)>, which is quadratic in theta: exact up to rounding / step.
def test_the_pullback_is_the_transposed_jacobian() -> None:
    rng = np.random.default_rng(0)
    u, v, g = rng.standard_normal((3, 5))
    back_u, back_v = G.pullback((u, v), g)
    for i in range(5):
        e = 1e-3 * np.eye(5)[i]
        np.testing.assert_allclose(back_u[i], g @ (G((u + e, v)) - G((u - e, v))) / 2e-3, atol=1e-12)
        np.testing.assert_allclose(back_v[i], g @ (G((u, v + e)) - G((u, v - e))) / 2e-3, atol=1e-12)


# Oracle: theory 0.1, 0.2.
@pytest.mark.parametrize("alpha", [1e-100, 1e-3, 1.0, 7.0])
def test_the_scale_of_its_potential_is_alpha_squared(alpha: float) -> None:
    phi = G.potential((np.full(3, np.sqrt(2) * alpha), np.zeros(3)))
    np.testing.assert_allclose(phi.log_scale, 2 * np.log(alpha), rtol=1e-15, atol=1e-15)


# Oracle: a Runge-Kutta flow of (u, v) in SciPy, asked for 1e-12: the mirror of w moves by -int grad L (theory 0.1).
def test_its_flow_is_the_mirror_flow_of_its_potential() -> None:
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(1)
    problem = ib.LeastSquares(rng.standard_normal((4, 3)), rng.standard_normal(4))
    u, v = rng.standard_normal((2, 3))
    phi = G.potential((u, v))

    def field(_: float, state: np.ndarray) -> np.ndarray:
        theta = state[:3], state[3:6]
        gradient = problem.gradient(G(theta))
        return -np.concatenate([*G.pullback(theta, gradient), gradient])

    end = solve_ivp(field, (0, 3), np.concatenate([u, v, np.zeros(3)]), rtol=1e-12, atol=1e-12).y[:, -1]
    moved = phi.mirror(G((end[:3], end[3:6]))) - phi.mirror(G((u, v)))
    np.testing.assert_allclose(moved, end[6:], atol=1e-9)


def test_equal_sizes_have_no_such_potential() -> None:
    with pytest.raises(ib.InputError, match=r"never changes sign.*sqrt\(2\) \* alpha"):
        G.potential(([1.0, 2.0], [1.0, -3.0]))


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        (np.ones((2, 3)), "pair"),
        (([1.0],), "pair"),
        (([1.0, 2.0], [1.0]), "u has 2 entries and v has 1"),
        (([np.nan], [1.0]), "u holds"),
        (([1.0], [[1.0]]), "v has shape"),
        (None, "pair"),
    ],
)
def test_bad_parameters_are_refused(theta: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        G(theta)
