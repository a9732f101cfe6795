"""The study of forecasts on digits: its gradient descent against a loop in NumPy, and settings out of range."""

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies._digits_evidence import Digits, descended


# Oracle: derivatives by hand, in a loop.
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_descent_is_that_of_a_plain_loop(activation: str) -> None:
    setting = Digits(activation, 8, 0.5, 3, images=20)
    problem, test, start = setting.drawn()
    run = descended(setting, 0.25)
    X, Y = np.asarray(problem.X), np.asarray(problem.y)
    W, b, V = (start[name].copy() for name in ("W", "b", "V"))

    def hidden(inputs: np.ndarray) -> np.ndarray:
        z = inputs @ W + b
        return np.tanh(z) if activation == "tanh" else np.maximum(z, 0.0)

    for step in range(101):
        place = np.flatnonzero(run.steps == step)
        if len(place):
            errors = [
                np.mean(np.argmax(hidden(one) @ V, 1) != np.argmax(two, 1)) for one, two in ((X, Y), test)
            ]
            assert [run.train[place[0]], run.test[place[0]]] == pytest.approx(errors, abs=1e-6)
            norm = np.sqrt(np.sum(W**2) + np.sum(b**2) + np.sum(V**2))
            assert run.norm[place[0]] == pytest.approx(norm, rel=1e-12)
        h = hidden(X)
        slopes = 1.0 - h**2 if activation == "tanh" else (h > 0.0).astype(float)
        residual = (h @ V - Y) / len(X)
        back = (residual @ V.T) * slopes
        W, b, V = (
            one - 0.02 * (gradient + 0.25 * one)
            for one, gradient in ((W, X.T @ back), (b, back.sum(0)), (V, h.T @ residual))
        )
    assert run.steps[-1] >= 1000


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"activation": "sine"}, "activation is 'sine', one of tanh, relu is expected"),
        ({"width": 0}, "width is 0"),
        ({"images": 5.5}, "images is 5.5"),
        ({"weight_decay": 0.0}, "weight_decay is 0.0, a number from 0.0005 on"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], words: str) -> None:
    study = ib.studies.load("grokking-digits")
    with pytest.raises(ib.InputError, match=words):
        study.measure({**study.settings(), **settings})
