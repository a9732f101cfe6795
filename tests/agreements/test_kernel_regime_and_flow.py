"""The early flow from a large start follows the kernel regime, which it approaches at the predicted rate."""

import numpy as np

import implicitbias as ib

_SHARE = 0.25


# Theory 4.2: at T- = (1 - c) ln(alpha) / lam the predictions over Z = ln(alpha^(2c) / lam) / gamma tend to those of the
# unit direction of the tangent-kernel machine, here with lam = 1 / alpha and two layers.
def test_the_early_flow_of_a_diagonal_network_is_the_tangent_kernel_machine() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((6, 10)), np.where(rng.standard_normal(6) > 0.0, 1.0, -1.0)
    data = ib.Classification(X, y, loss="exponential")
    problem = data.reparametrize(ib.SquareDifference())
    limit = ib.kernel_regime(problem, (np.ones(10), np.ones(10)))
    np.testing.assert_allclose(limit.margin, np.sqrt(8.0) * ib.max_margin(data, "l2").margin, rtol=1e-9)
    expected = limit.margin * limit.predict(X)
    logs = np.log(10.0) * np.array([2.0, 4.0, 8.0, 12.0])
    turned, missed, printed = [], [], []
    for log_alpha in logs:
        alpha = np.exp(log_alpha)
        flow = ib.GradientFlow(problem, weight_decay=1.0 / alpha)
        start = (np.full(10, alpha), np.full(10, alpha))
        run = ib.simulate(flow, start, t1=(1.0 - _SHARE) * alpha * log_alpha, rtol=1e-6)
        assert run.status.ok
        u, v = run.final
        f = X @ ((u - v) * (u + v))
        turned.append(np.linalg.norm(f / np.linalg.norm(f) - expected / np.linalg.norm(expected)))
        for sizes, power in ((missed, 2.0 * _SHARE), (printed, _SHARE)):
            Z = (power + 1.0) * log_alpha / limit.margin
            sizes.append(np.linalg.norm(f / Z - expected) / np.linalg.norm(expected))
    # The direction differs by O(1 / ln alpha), and the size by O(ln ln alpha / ln alpha).
    slope = np.polyfit(np.log(logs), np.log(turned), 1)[0]
    np.testing.assert_allclose(slope, -1.0, atol=0.05)
    assert np.all(np.diff(missed) < 0.0)
    assert missed[-1] < 0.1
    # The Z that the paper prints, ln(alpha^c / lam), does not tend to the predictions: it is 1.2 times too small.
    assert printed[-1] > printed[0]
    assert printed[-1] > 0.05
