"""Training with a small weight decay and a loss of margins tends to the drift under margins like 1 / ln(1 / lam)."""

import numpy as np

import implicitbias as ib


def test_the_distance_to_the_drift_is_inversely_proportional_to_the_level() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 10))
    problem = ib.Classification(X, np.sign(X[:, 0] + X[:, 1]), "exponential").reparametrize(
        ib.SquareDifference()
    )
    ones, taus, gaps = np.ones(10), np.array([0.5, 1.0, 2.0, 4.0, 8.0]), []
    decays = np.array([1e-8, 1e-16, 1e-32, 1e-64])
    for weight_decay in decays:
        level = -np.log(weight_decay)
        fast = ib.simulate(ib.GradientFlow(problem), (ones, ones), log_t1=level).final
        drift = ib.simulate(ib.NormDrift(problem, margin=level), fast, times=taus, rtol=1e-5)
        flow = ib.GradientFlow(problem, float(weight_decay))
        run = ib.simulate(flow, (ones, ones), times=taus / weight_decay)
        w, limit = (
            problem.G(states.state(times)) for states, times in ((run, taus / weight_decay), (drift, taus))
        )
        gaps.append(np.max(np.linalg.norm(w - limit, axis=1) / np.linalg.norm(limit, axis=1)))
    # Theory 4.9: the relative distance is O(1 / ln(1 / lam)).
    slopes = np.diff(np.log(gaps)) / np.diff(np.log(-np.log(decays)))
    np.testing.assert_allclose(slopes, -1.0, atol=0.05)
    assert gaps[-1] < 0.02
