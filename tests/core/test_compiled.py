"""Compilation with a setting of XLA that compiles fast."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicitbias._core import compiled as module
from implicitbias._core.compiled import compiled


def _softmax_of_product(X: jax.Array, w: jax.Array) -> jax.Array:
    return jax.nn.softmax(jnp.tanh(X @ w))


# Oracle: the same formula in NumPy.
@pytest.mark.parametrize("known", [True, False], ids=["setting known", "setting unknown"])
def test_a_compiled_function_returns_the_same_numbers(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not known:
        monkeypatch.setattr(module, "_FAST", {"xla_cpu_no_such_setting": False})
        monkeypatch.setattr(module, "_options", module._options.__wrapped__)
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((5, 3)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    powers = np.exp(np.tanh(X @ w))
    np.testing.assert_allclose(compiled(_softmax_of_product)(X, w), powers / powers.sum(), rtol=1e-5)


def test_the_setting_is_known_to_this_version() -> None:
    assert module._options() == module._FAST
    monkeypatched = {"xla_cpu_no_such_setting": False}
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_setting"):
        jax.jit(lambda x: x, compiler_options=monkeypatched).lower(0.0).compile()


def test_static_arguments_may_be_numbers_that_decide_the_program() -> None:
    @partial(compiled, static_argnums=0)
    def power(count: int, x: jax.Array) -> jax.Array:
        return jnp.prod(jnp.stack([x] * count))

    assert float(power(3, jnp.asarray(2.0))) == 8.0
    assert float(power(5, jnp.asarray(2.0))) == 32.0


def test_leaves_that_are_no_arrays_are_constants_and_new_numbers_do_not_compile_again() -> None:
    traced: list[int] = []

    @compiled
    def scaled(tree: dict[str, object], *, count: int) -> jax.Array:
        traced.append(count)
        return count * tree["function"](tree["x"])  # type: ignore[operator]

    x = np.arange(3.0, dtype=np.float32)
    for function, count, name in ((jnp.sin, 2, np.sin), (jnp.cos, 2, np.cos), (jnp.sin, 3, np.sin)):
        for shift in (0.0, 1.0):
            at = x + np.float32(shift)
            found = scaled({"function": function, "x": at}, count=count)
            np.testing.assert_allclose(found, count * name(at), rtol=1e-5, atol=1e-6)
    assert traced == [2, 2, 3]


def test_constants_that_are_equal_but_of_other_types_have_their_own_programs() -> None:
    @compiled
    def kind(x: jax.Array, constant: object) -> jax.Array:
        return x * {bool: 2.0, int: 3.0, float: 5.0}[type(constant)]

    x = np.ones(1, dtype=np.float32)
    assert [float(kind(x, constant)[0]) for constant in (True, 1, 1.0, True)] == [2.0, 3.0, 5.0, 2.0]
