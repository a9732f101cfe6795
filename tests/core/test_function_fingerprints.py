"""Fingerprints of functions: whatever can change what a function computes changes its print."""

import functools
import sys
import time
import types
from enum import Enum
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicitbias._core.fingerprints import fingerprint, shared_function

# Each text defines f in a fresh namespace, as a notebook cell does when it is run again; only NUMBER is changed.
CELLS = {
    "gradient of a custom_vjp": """
@jax.custom_vjp
def f(x):
    return x * x
f.defvjp(lambda x: (x * x, x), lambda x, g: (NUMBER * x * g,))
""",
    "tangent of a custom_jvp": """
@jax.custom_jvp
def f(x):
    return x * x
f.defjvp(lambda p, t: (p[0] * p[0], NUMBER * p[0] * t[0]))
""",
    "class attribute of a module": """
class Net(eqx.Module):
    a: float
    scale = NUMBER
    def __call__(self, x):
        return self.scale * x
f = Net(1.0)
""",
    "special method of a module": """
class Net(eqx.Module):
    a: float
    def __matmul__(self, x):
        return NUMBER * x
f = Net(1.0)
""",
    "attribute of a wrapper": """
class Scaled:
    def __init__(self, function, factor):
        functools.update_wrapper(self, function)
        self.factor = factor
    def __call__(self, x):
        return self.factor * self.__wrapped__(x)
f = Scaled(lambda x: x, NUMBER)
""",
    "attribute of a function": """
def f(x):
    return f.scale * x
f.scale = NUMBER
""",
    "constructor of a class in use": """
class Part:
    def __init__(self, a):
        self.a = NUMBER * a
def f(x):
    return Part(x).a
""",
    "class attribute in use": """
class Part:
    c = NUMBER
def f(x):
    return Part.c * x
""",
    "member of an enumeration": """
class Kind(Enum):
    A = NUMBER
def f(x):
    return Kind.A.value * x
""",
    "which errors are caught": """
def f(x):
    try:
        return jnp.sin(x)
    except (ValueError, TypeError)[NUMBER - 2]:
        return x
""",
}


def cell(text: str, **names: Any) -> Any:
    """Return the f that the text defines."""
    space: dict[str, Any] = {
        "jax": jax,
        "jnp": jnp,
        "eqx": eqx,
        "functools": functools,
        "Enum": Enum,
        "__name__": "__main__",
    }
    space.update(names)
    exec(text, space)
    return space["f"]


@pytest.mark.parametrize("text", CELLS.values(), ids=CELLS.keys())
def test_a_changed_number_gives_another_print(text: str) -> None:
    two = fingerprint(cell(text.replace("NUMBER", "2")))
    assert fingerprint(cell(text.replace("NUMBER", "2"))) == two
    assert fingerprint(cell(text.replace("NUMBER", "3"))) != two


# The gradient of the second function would have been that of the first one.
def test_another_gradient_is_not_shared() -> None:
    text = CELLS["gradient of a custom_vjp"]
    slopes = [
        float(jax.grad(shared_function(cell(text.replace("NUMBER", number))))(1.0)) for number in ("2", "3")
    ]
    assert slopes == [2.0, 3.0]


@pytest.mark.parametrize(
    "text",
    ["def f(x):\n    return settings.c * x", "def f(x):\n    import settings\n    return settings.c * x"],
    ids=["global", "imported inside"],
)
def test_variables_of_an_own_module_count(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = types.ModuleType("settings")
    settings.c, settings.other = 2.0, 5.0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "settings", settings)
    f = cell(text, settings=settings)
    two = fingerprint(f)
    settings.other = 6.0  # type: ignore[attr-defined]
    assert fingerprint(f) == two
    settings.c = 3.0  # type: ignore[attr-defined]
    assert fingerprint(f) != two


# JAX compiled the first function with c = 2. Neither it nor a new definition may run that program with c = 3.
def test_a_changed_global_variable_is_noticed() -> None:
    space: dict[str, Any] = {"c": 2.0, "__name__": "__main__"}
    text = "def f(x):\n    return c * x + 17.0"
    exec(text, space)
    results = [float(jax.jit(shared_function(space["f"]))(1.0))]
    space["c"] = 3.0
    results.append(float(jax.jit(shared_function(space["f"]))(1.0)))
    exec(text, space)
    results.append(float(jax.jit(shared_function(space["f"]))(1.0)))
    assert results == [19.0, 20.0, 20.0]


def test_masks_count() -> None:
    values = [1.0, 2.0]
    assert fingerprint(np.ma.array(values, mask=[0, 1])) != fingerprint(np.ma.array(values, mask=[1, 0]))


def test_booleans_of_numpy_are_booleans() -> None:
    assert fingerprint(np.True_) == fingerprint(True)


def test_functions_of_jax_numpy_have_prints() -> None:
    assert fingerprint(jnp.add) != fingerprint(jnp.multiply)


# Without memory of what was written, the work doubles with each function or two: here beyond 1e9 functions.
def test_functions_that_use_each_other_are_written_once() -> None:
    lines = ["def f0(x): return x", "def f1(x): return f0(x)"]
    lines += [f"def f{i}(x): return f{i - 1}(x) + f{i - 2}(x)" for i in range(2, 45)]
    begin = time.perf_counter()
    assert fingerprint(cell("\n".join([*lines, "f = f44"]))) == fingerprint(
        cell("\n".join([*lines, "f = f44"]))
    )
    assert time.perf_counter() - begin < 20.0
