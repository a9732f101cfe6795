"""Test single runs of studies at settings of a sweep, against brute force, closed forms, and predicted times."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies._early_late_settings import Signs
from implicitbias.studies._early_late_settings import labels as rule


def measured(name: str, **settings: Any) -> Any:
    study = ib.studies.load(name)
    assert set(settings) <= set(study.settings())
    return study.measure(study.settings() | settings)


@pytest.mark.parametrize(("horizon", "order"), [("l1", 1), ("l2", 2), ("linf", np.inf)])
def test_flows_in_the_plane_reach_the_largest_margin_of_all_directions(horizon: str, order: float) -> None:
    data = measured("separable", horizon=horizon, n=14, seed=3)
    y = np.where(np.arange(14) < 7, 1.0, -1.0)
    X = np.random.default_rng(3).standard_normal((14, 2)) + np.outer(y, [1.6, 1.1])
    angles = np.linspace(0.0, 2 * np.pi, 200_001)
    every = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    margins = np.min(y[:, None] * (X @ every.T), axis=0) / np.linalg.norm(every, order, axis=1)
    np.testing.assert_allclose(data.limit_margin, np.max(margins), rtol=2e-4)
    w = data.w.values
    np.testing.assert_allclose(data.margin, np.min(y * (X @ w)) / np.linalg.norm(w, order))
    # What is missing from the largest margin falls like 1 / m in the smallest margin m.
    assert 0.0 < data.shortfall < 1.0 / data.smallest_margin
    assert data.cosine > 0.9999
    assert data.ended_well


def test_a_deep_network_nears_its_path_at_the_rate_of_its_depth() -> None:
    # Two layers: distances of jumps fall like 1 / ln(1 / alpha).
    far, near = (measured("deep-diagonal", depth=2, alpha=alpha) for alpha in (1e-40, 1e-80))
    assert far.jumps == near.jumps > 1
    assert far.jump_error / near.jump_error == pytest.approx(2.0, rel=0.02)
    np.testing.assert_allclose(near.end_norm, near.limit_norm, rtol=1e-6)
    np.testing.assert_allclose(near.end_l1_norm, near.end_norm, rtol=1e-9)  # growth times are 1
    assert near.integration_error < 0.05


@pytest.mark.slow
def test_three_layers_have_growth_times_and_the_rate_alpha() -> None:
    far, near = (measured("deep-diagonal", depth=3, alpha=alpha) for alpha in (1e-2, 1e-3))
    assert far.jump_error / near.jump_error == pytest.approx(10.0, rel=0.5)
    assert near.end_l1_norm < 0.8 * near.end_norm
    np.testing.assert_allclose(near.end_norm, near.limit_norm, rtol=1e-6)


def test_linear_regression_generalises_at_the_slow_time_of_its_closed_form() -> None:
    n, d, seed = 12, 60, 5
    data = measured("grokking-linear", n=n, d=d, seed=seed, weight_decay=1e-6, scale=2.0)
    rng = np.random.default_rng(seed)
    strong = np.linalg.qr(rng.standard_normal((d, 3)))[0]
    X = rng.standard_normal((n, 3)) @ strong.T + np.sqrt(0.05) * rng.standard_normal((n, d))
    teacher, start = strong @ np.array([1.5, -1.0, 0.5]), 2.0 * rng.standard_normal(d)
    onto = np.linalg.pinv(X) @ X
    # As lam -> 0, the interpolant of least norm plus e^(-tau) times what the rows do not see.
    tau = data.slow_time.values
    w = onto @ teacher + np.exp(-tau)[:, None] * (start - onto @ start)
    covariance = strong @ strong.T + 0.05 * np.eye(d)
    apart = w - teacher
    errors = np.sum((apart @ covariance) * apart, axis=1) / (teacher @ covariance @ teacher)
    late = tau > 1e-2
    np.testing.assert_allclose(data.test[late], errors[late], rtol=1e-3)
    generalised = data.generalisation_time.values
    assert generalised == tau[np.argmax(errors <= 0.2)] if np.any(errors <= 0.2) else np.isnan(generalised)
    assert data.memorization_time < 1e-3
    assert data.ridge_distance < 1e-6


def test_diagonal_networks_turn_from_l2_to_l1_near_the_predicted_time() -> None:
    runs = [measured("early-late-sparse", n=24, d=80, seed=2, weight_decay=lam) for lam in (1e-3, 1e-6)]
    for run in runs:
        assert run.ended_well
        assert run.cos_l2.sel(place=-2.0) > 0.98
        assert run.cos_l1.values[-1] > 0.95
        assert run.fit.values[-1] > 0.0
        assert run.predicted > 2.0
    # The transition is at T up to a shift in lam t, which falls with lam.
    assert 0.0 < runs[1].turn < runs[0].turn < 1.0
    assert runs[0].limit_gap < 1e-6


@pytest.mark.slow
def test_the_largest_l2_margin_predicts_better_on_data_with_a_gap() -> None:
    run = measured("early-late-margin", n=10, d=200, gap=8.0)
    assert run.early_score > run.late_score
    np.testing.assert_allclose(run.early_score, run.l2_score, atol=0.01)
    assert run.l1_score < run.l2_score


def test_seeds_change_the_rows_and_seed_0_gives_those_of_the_study() -> None:
    first, other = Signs(5, 7, 3).rows(), Signs(5, 7, 3, seed=1).rows()
    np.testing.assert_array_equal(first, np.random.default_rng(0).choice([-1.0, 1.0], (5, 7)))
    assert np.any(first != other)
    assert rule(first).shape == (5,)


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("separable", {"horizon": "l3"}, "one of l1, l2, linf is expected"),
        ("separable", {"n": 1}, "at least 2 is expected"),
        ("separable", {"log_time": -1.0}, "the logarithm of a time"),
        ("deep-diagonal", {"depth": 1}, "from 2 to 8"),
        ("deep-diagonal", {"alpha": 2.0}, "between 0 and 1"),
        ("grokking-linear", {"weight_decay": 0.0}, "a positive number"),
        ("grokking-linear", {"d": 2}, "at least 3"),
        ("early-late-sparse", {"alpha": 0.0}, "a positive number"),
        ("early-late-sparse", {"weight_decay": 1.0}, "between 0 and 1"),
        ("early-late-margin", {"gap": -1.0}, "at least 0"),
        ("early-late-margin", {"n": 0}, "a positive whole number"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ib.InputError, match=told):
        measured(name, **settings)
