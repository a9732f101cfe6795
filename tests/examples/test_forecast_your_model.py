"""The example forecasts its networks, and gradient descent then does what was forecast."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from tests.architecture._source import ROOT

EXAMPLE = runpy.run_path(str(ROOT / "examples" / "forecast_your_model.py"))


@pytest.mark.slow
def test_the_forecasts_come_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The case of PyTorch has a test of its own, which runs where it is installed.
    find = EXAMPLE["find_spec"]
    monkeypatch.setitem(
        EXAMPLE["main"].__globals__, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    found = EXAMPLE["main"](tmp_path)
    assert set(found) == {"equinox", "flax"}
    for name, forecast in found.items():
        assert (tmp_path / f"forecast_{name}.png").stat().st_size > 10_000
        assert_comes_true(EXAMPLE[f"{name}_case"](), forecast)


@pytest.mark.slow
def test_the_forecast_of_a_torch_module_comes_true() -> None:
    pytest.importorskip("torch", reason='PyTorch is not installed; type pip install -e ".[torch]"')
    case = EXAMPLE["torch_case"]()
    assert_comes_true(case, ib.forecast_grokking(**case))


def assert_comes_true(case: dict[str, Any], forecast: ib.Forecast) -> None:
    """Run gradient descent to twice the grokking time, and compare its test error with the forecast."""
    assert forecast.groks
    descent = ib.GradientDescent(case["problem"], case["learning_rate"], case["weight_decay"])
    times = case["learning_rate"] * np.round(forecast.grokking_step * np.array([0.5, 1.0, 2.0]))
    real = ib.simulate(descent, case["params"], times=times)
    X, y = case["test"]
    held_out = ib.Problem(case["problem"].model, X, y)
    for t in times:
        error = np.mean(held_out.predict(real.state(t)) * y <= 0)
        expected = np.interp(t, forecast.columns["t"], forecast.columns["test_error"])
        assert error == pytest.approx(expected, abs=0.01)
