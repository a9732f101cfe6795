"""The example forecasts its networks, and gradient descent then does what was forecast."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import implicitbias as ib
from tests.architecture._source import ROOT

EXAMPLE = runpy.run_path(str(ROOT / "examples" / "forecast_your_model.py"))


@pytest.mark.slow
def test_the_forecasts_come_true(tmp_path: Path) -> None:
    found = EXAMPLE["main"](tmp_path)
    assert "equinox" in found
    for name, forecast in found.items():
        assert (tmp_path / f"forecast_{name}.png").stat().st_size > 10_000
        assert forecast.groks
        case = EXAMPLE[f"{name}_case"]()
        descent = ib.GradientDescent(case["problem"], case["learning_rate"], case["weight_decay"])
        times = case["learning_rate"] * np.round(forecast.grokking_step * np.array([0.5, 1.0, 2.0]))
        real = ib.simulate(descent, case["params"], times=times)
        X, y = case["test"]
        held_out = ib.Problem(case["problem"].model, X, y)
        for t in times:
            error = np.mean(held_out.predict(real.state(t)) * y <= 0)
            expected = np.interp(t, forecast.columns["t"], forecast.columns["test_error"])
            assert error == pytest.approx(expected, abs=0.01)
