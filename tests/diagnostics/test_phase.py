"""`ib.diagnostics.phase` on diagonal networks, whose course is known, and on a model that is not homogeneous."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

_RNG = np.random.default_rng(0)
N, D = 16, 40
X = np.sign(_RNG.standard_normal((N, D)))
Y = np.sign(X[:, 0] + X[:, 1] + X[:, 2])
DATA = ib.Classification(X, Y)
PROBLEM = DATA.reparametrize(ib.SquareDifference())
# lam (t - T), from the kernel regime to the end.
PLACES = np.array([-2.0, 0.0, 1.0, 40.0])


def course(alpha: float, lam: float) -> tuple[Any, list[Any], float]:
    """Return the start, checkpoints at the places, and the predicted time T, computed from the l2 margin."""
    start = (np.full(D, alpha), np.full(D, alpha))
    # By hand: the features of u^2 - v^2 at u = v = alpha have margin sqrt(8) alpha gamma for the l2 margin gamma of w.
    margin = np.sqrt(8.0) * alpha * ib.max_margin(DATA, "l2").margin
    T = np.log(margin * alpha * np.sqrt(2.0 * D) / np.log(1.0 / lam)) / (2.0 * lam)
    times = T + PLACES / lam
    run = ib.simulate(ib.GradientFlow(PROBLEM, weight_decay=lam), start, t1=times[-1], times=times, rtol=1e-5)
    return start, [run.state(t) for t in times], T


@pytest.fixture(scope="module")
def courses() -> list[tuple[float, float, Any]]:
    return [(alpha, lam, course(alpha, lam)) for alpha, lam in ((10.0, 1e-3), (1e3, 1e-3))]


@pytest.fixture(scope="module")
def found(courses: Any) -> list[tuple[ib.diagnostics.Phase, ...]]:
    phases = []
    for alpha, lam, (start, checkpoints, T) in courses:
        some = ib.diagnostics.phase(PROBLEM, checkpoints, start, weight_decay=lam, late=False, X_new=X)
        np.testing.assert_allclose(some[0].transition_time, T, rtol=1e-8)
        np.testing.assert_allclose(some[0].paper_time, np.log(alpha) / lam, rtol=1e-12)
        phases.append(some)
    return phases


def test_the_verdict_follows_the_predicted_time(found: Any) -> None:
    for some in found:
        assert [one.verdict for one in some] == ["lazy", "on the way", "on the way", "rich"]
        assert all(abs(one.degree - 2.0) < 1e-9 and one.defect < 1e-9 for one in some)
        assert all(np.diff([one.moved for one in some]) > 0.0)
        assert all(np.diff([one.kernel_change for one in some]) > 0.0)
        assert some[0].kernel_cosine > 0.99
        assert some[0].prediction_cosine > 0.95
        assert some[-1].kernel_cosine < 0.7
        assert some[0].start_output == 0.0
        assert some[0].notes == ()


# Oracle: by hand, moved = (m / M) e^(L lam (t - T)) in the lazy phase, with the smallest margin m of the checkpoint in
# place of the limit M = ln(1 / lam).
def test_a_lazy_checkpoint_says_how_far_the_transition_is(found: Any, courses: Any) -> None:
    for some, (_, lam, (_, checkpoints, _)) in zip(found, courses, strict=True):
        u, v = checkpoints[0]
        least = float(np.min(Y * (X @ (u**2 - v**2))))
        left = 2.0 * 2.0 - np.log(least / np.log(1.0 / lam))
        np.testing.assert_allclose(-np.log(some[0].moved), left, rtol=0.03)
        assert "is left until the transition" in some[0].reason
        assert "not lazy" in some[1].reason
        assert "at least 2" in some[-1].reason
        assert some[0].reason in str(some[0])


def test_courses_of_all_scales_agree_on_the_axis_of_the_predicted_time(found: Any) -> None:
    for name in ("moved", "kernel_change", "kernel_cosine"):
        near, far = ([getattr(one, name) for one in some] for some in found)
        np.testing.assert_allclose(near, far, rtol=0.02, atol=0.005)


# Oracle: at rest the flow is at the least l1 norm under its margins, which is a KKT point of the least norm.
def test_the_end_of_training_is_near_the_late_point() -> None:
    start, checkpoints, _ = course(10.0, 1e-3)
    end = ib.diagnostics.phase(PROBLEM, checkpoints[-1], start, weight_decay=1e-3)
    assert end.late_cosine > 0.95
    assert end.verdict == "rich"
    assert "rich" in str(end)


# Oracle: by hand: u^2 - v^2 has degree 2, and tanh is not homogeneous.
def test_at_the_start_the_degree_is_that_of_the_gradients() -> None:
    start = (np.full(D, 10.0), np.full(D, 10.0))
    found = ib.diagnostics.phase(PROBLEM, start, start, weight_decay=1e-3, late=False)
    assert found.verdict == "lazy"
    assert abs(found.degree - 2.0) < 1e-9
    assert found.defect < 1e-9
    margin = np.sqrt(8.0) * 10.0 * ib.max_margin(DATA, "l2").margin
    T = np.log(margin * 10.0 * np.sqrt(2.0 * D) / np.log(1e3)) / 2e-3
    np.testing.assert_allclose(found.transition_time, T, rtol=1e-8)
    assert found.notes == ()
    heavy = ib.diagnostics.phase(PROBLEM, start, start, weight_decay=1.0, late=False)
    assert np.isnan(heavy.transition_time)
    assert "The weight decay is 1, and one below 1 is expected" in " ".join(heavy.notes)
    small = (np.full(D, 0.1), np.full(D, 0.1))
    none = ib.diagnostics.phase(PROBLEM, small, small, weight_decay=1e-3, late=False)
    assert none.transition_time < 0.0
    assert "no early phase" in " ".join(none.notes)
    params = {"W": np.ones((D, 2)), "b": np.zeros(2), "a": np.array([1.0, -1.0])}
    paired = ib.diagnostics.phase(ib.Problem(biased, X, Y), params, params, late=False)
    assert paired.defect > 1e-3
    assert "not homogeneous" in " ".join(paired.notes)


def biased(params: Any, X: Any) -> jax.Array:
    return jnp.tanh(X @ params["W"] + params["b"]) @ params["a"]


def test_what_breaks_the_assumptions_is_said() -> None:
    params = {"W": _RNG.standard_normal((D, 6)), "b": np.zeros(6), "a": _RNG.standard_normal(6)}
    problem = ib.Problem(biased, X, Y)
    moved = jax.tree.map(lambda leaf: leaf + 0.1, params)
    found = ib.diagnostics.phase(problem, moved, params, weight_decay=1e-3)
    notes = " ".join(found.notes)
    assert found.defect > 1e-3
    assert "not homogeneous" in notes
    assert found.start_output > 0.1
    assert "the difference of two copies" in notes
    assert np.isnan(found.late_cosine)
    assert "There is no late point" in notes
    none = ib.diagnostics.phase(problem, moved, params, late=False)
    assert np.isnan(none.transition_time)
    mixed = ib.Classification(_RNG.standard_normal((30, 2)), np.resize([1, -1], 30))
    lost = ib.diagnostics.phase(mixed, np.ones(2), np.array([1.0, 0.5]), weight_decay=1e-3, late=False)
    assert np.isnan(lost.kernel_cosine)
    assert "do not separate the data" in " ".join(lost.notes)


def test_bad_input_is_refused() -> None:
    start = (np.ones(D), np.ones(D))
    with pytest.raises(ib.InputError, match=r"weight_decay is -1\.0"):
        ib.diagnostics.phase(PROBLEM, start, start, weight_decay=-1.0)
    with pytest.raises(ib.InputError, match="that of the start is expected"):
        ib.diagnostics.phase(PROBLEM, np.ones(D), start)
    with pytest.raises(ib.InputError, match="gives w of shape"):
        ib.diagnostics.phase(PROBLEM, (np.ones(3), np.ones(3)), start)
    with pytest.raises(ib.InputError, match="a problem is expected"):
        ib.diagnostics.phase(X, start, start)
