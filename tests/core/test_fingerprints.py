"""Fingerprints: equal content gives equal prints in any process, and one changed bit gives another print."""

import functools
import itertools
import os
import subprocess
import sys
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

import implicitbias as ib
from implicitbias._core.fingerprints import fingerprint, shared_function
from implicitbias._core.values import Value

SCALE = 2.0


class Pair(NamedTuple):
    a: Any
    b: Any


class Own(ib.Loss):
    power: float

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(prediction - target) ** self.power)


class Other(ib.Loss):
    power: float

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(prediction + target) ** self.power)


class Box(Value):
    def __init__(self, content: Any) -> None:
        self._settle({"content": content})


def factor(c: Any) -> Any:
    def times(x: Any) -> Any:
        return c * jnp.tanh(x)

    return times


def scaled(x: Any) -> Any:
    return SCALE * x


def recursive(n: int) -> int:
    return 1 if n == 0 else n * recursive(n - 1)


# Values whose contents differ, some of them only slightly.
DIFFERENT: list[Any] = [
    None, True, 1, 1.0, "1", b"1", 0.0, -0.0, np.nextafter(1.0, 2.0), 1j, np.float32(1.0), np.int64(1), (), [], {},
    (1, 2), [1, 2], (1, (2,)), ((1,), 2), {"a": 1}, {"b": 1}, {1, 2}, {1, 3}, Pair(1, 2), slice(1, 2),
    np.array(1.0), np.array([1.0]), np.array([[1.0]]), np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1]),
    np.array([1.0], dtype=np.float32), np.array([True]), np.array(["1"]), np.array([np.nan]), np.zeros((0, 2)),
    sparse.csc_array([[1.0, 0.0]]), sparse.csc_array([[0.0, 1.0]]), ib.Status.CONVERGED, ib.Status.NOT_UNIQUE,
    factor(1.0), factor(2.0), factor(np.ones(2)), scaled, recursive, lambda x: x, lambda x: x + 1, lambda x: -x,
    jnp.tanh, jnp.sinh, np.tanh, len, jax.jit(scaled), jax.vmap(scaled), jax.vmap(lambda x: 3 * x),
    functools.partial(scaled, 1), functools.partial(scaled, 2), Own(1.5), Own(2.5), Other(1.5), Own, Other,
    ib.SquaredNorm(), ib.HyperbolicEntropy(1.0), ib.HyperbolicEntropy(2.0), ib.HadamardProduct(), ib.DeepDiagonal(3),
    ib.DeepDiagonal(4), ib.Coordinatewise(jnp.sinh), ib.Coordinatewise(jnp.tanh), Box(1), Box(2), np,
]  # fmt: skip


def test_different_contents_have_different_prints() -> None:
    prints = [fingerprint(value) for value in DIFFERENT]
    for (i, a), (j, b) in itertools.combinations(enumerate(prints), 2):
        assert a != b, (DIFFERENT[i], DIFFERENT[j])
    assert all(len(print_) == 64 and int(print_, 16) >= 0 for print_ in prints)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        (np.arange(6.0)[::2], np.array([0.0, 2.0, 4.0])),
        (np.arange(3.0), np.arange(3.0).astype(">f8")),
        (np.arange(3, dtype=np.float32), jnp.arange(3, dtype=jnp.float32)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (sparse.csr_array([[1.0, 0.0]]), sparse.coo_array(([0.5, 0.5], ([0, 0], [0, 0])), shape=(1, 2))),
        (factor(3.0), factor(3.0)),
        (factor(np.arange(3.0)), factor(np.arange(3.0))),
        (eqx.nn.Linear(2, 3, key=jax.random.key(0)), eqx.nn.Linear(2, 3, key=jax.random.key(0))),
        (ib.HyperbolicEntropy(0.5), ib.HyperbolicEntropy(np.array(0.5))),
        (ib.Coordinatewise(factor(2.0)), ib.Coordinatewise(factor(2.0))),
        (Box({"x": [1.0, None]}), Box({"x": [1.0, None]})),
    ],
)
def test_equal_contents_have_equal_prints(one: Any, other: Any) -> None:
    assert one is not other
    assert fingerprint(one) == fingerprint(other)


# Oracle: every single bit of a small array, flipped.
def test_one_bit_changes_the_print() -> None:
    array = np.array([1.0, -2.0])
    prints = {fingerprint(array)}
    for bit in range(128):
        changed = bytearray(array.tobytes())
        changed[bit // 8] ^= 1 << (bit % 8)
        prints.add(fingerprint(np.frombuffer(bytes(changed))))
    assert len(prints) == 129


def test_large_arrays_are_hashed_in_parts() -> None:
    large = np.arange(3 * 2**20, dtype=np.float64).reshape(3, -1)
    assert fingerprint(large) == fingerprint(np.asfortranarray(large))
    changed = large.copy()
    changed[-1, -1] = 0.0
    assert fingerprint(changed) != fingerprint(large)


def test_what_a_function_uses_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(scaled)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert fingerprint(scaled) != before


@pytest.mark.parametrize("value", [object(), iter([1]), (i for i in ()), jax.random.key(0), [1, object()]])
def test_what_has_no_print_is_said(value: Any) -> None:
    with pytest.raises(ib.InputError, match="whose content cannot be fingerprinted"):
        fingerprint(value)


def test_the_message_says_where() -> None:
    with pytest.raises(ib.InputError, match=r"^Box\.content\['a'\]\[1\] is a builtins\.object"):
        fingerprint(Box({"a": [1, object()]}))
    with pytest.raises(ib.InputError, match=r"^function\.c is a builtins\.object"):
        fingerprint(factor(object()))


PROCESS = """
import jax, jax.numpy as jnp, numpy as np, implicitbias as ib
from implicitbias._core.fingerprints import fingerprint
def model(params, X):
    return jnp.tanh(X @ params["W"]) @ params["a"]
rng = np.random.default_rng(0)
X, y = rng.standard_normal((5, 3)), rng.standard_normal(5)
names = {"b", "a", "c"}
values = [
    ib.LeastSquares(X, y), ib.Classification(X, y > 0), ib.Problem(model, X, y), ib.HadamardProduct(), names, model,
    ib.HyperbolicEntropy(0.1), ib.GradientFlow(ib.Problem(model, X, y), weight_decay=0.1), jax.vmap(model), jnp.tanh,
    ib.LeastSquares(X, y).reparametrize(ib.Coordinatewise(lambda u: u * jnp.abs(u))), ib.MinL1(),
]
print([fingerprint(value) for value in values])
"""


# Two interpreters with different hash seeds: nothing depends on addresses or on the order of sets.
def test_two_processes_give_one_print() -> None:
    answers = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROCESS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers.append(done.stdout)
    assert answers[0] == answers[1]


class TestSharedFunctions:
    def test_functions_of_equal_content_are_one(self) -> None:
        first = factor(7.0)
        assert shared_function(first) is first
        assert shared_function(factor(7.0)) is first
        assert shared_function(factor(8.0)) is not first

    # The closure of the first function was changed in place, so its content is no longer the remembered content.
    def test_a_changed_closure_is_noticed(self) -> None:
        array = np.full(3, 11.0)
        first = shared_function(factor(array))
        array[:] = 12.0
        fresh = factor(np.full(3, 11.0))
        assert shared_function(fresh) is fresh
        assert first is not fresh

    def test_what_has_no_print_stays_itself(self) -> None:
        function = factor(object())
        assert shared_function(function) is function
