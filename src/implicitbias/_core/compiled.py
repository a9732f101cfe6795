"""Compilation by JAX with a setting of XLA that compiles fast.

On a CPU, XLA's newer way to compile loops over arrays takes each of them through several layers of intermediate code.
The older way takes half the processor time, and the programs of flows are about as fast with it. The first call of
`simulate` for a model compiles for longer than most integrations take.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

# The setting that chooses between the two ways. Its default is True.
_FAST = {"xla_cpu_use_fusion_emitters": False}
# What stands for an array among the constants of a program. A type keeps its identity and has a hash.
_ARRAY = type("Array", (), {})
_NO_CONSTANT = (_ARRAY, None)


def compiled(function: Callable[_P, _T], static_argnums: int | None = None) -> Callable[_P, _T]:
    """Return the function, compiled with the setting that compiles fast, if this version of XLA knows it.

    Leaves of the arguments that are no arrays are constants of the program, as with `equinox.filter_jit`, whose calls
    take longer than a small program. If `static_argnums` is given, it names the constants, and all other leaves are
    arrays. JAX accepts settings for whole programs only, so that the result cannot be called in another compiled
    function.
    """

    @cache
    def program() -> Callable[..., Any]:
        import jax

        options = _options()
        if static_argnums is None:
            return _split(function, options)
        return jax.jit(function, static_argnums=static_argnums, compiler_options=options)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        found: _T = program()(*args, **kwargs)
        return found

    return call


def _split(function: Callable[..., Any], options: dict[str, bool] | None) -> Callable[..., Any]:
    """Return the function, compiled for each layout of its arguments and each value of leaves that are no arrays."""
    import jax
    import numpy as np

    arrays = (np.ndarray, np.generic, jax.Array)

    def whole(changing: list[Any], layout: Any, constants: tuple[tuple[type, Any], ...]) -> Any:
        numbers = iter(changing)
        leaves = [next(numbers) if kind is _ARRAY else leaf for kind, leaf in constants]
        args, kwargs = jax.tree.unflatten(layout, leaves)
        return function(*args, **kwargs)

    whole.__name__ = getattr(function, "__name__", whole.__name__)
    program = jax.jit(whole, static_argnums=(1, 2), compiler_options=options)

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, layout = jax.tree.flatten((args, kwargs))
        # Without their types, True and 1.0 would be the constant 1, and take its program.
        constants = tuple(
            [_NO_CONSTANT if isinstance(leaf, arrays) else (type(leaf), leaf) for leaf in leaves]
        )
        return program([leaf for leaf in leaves if isinstance(leaf, arrays)], layout, constants)

    return call


@cache
def _options() -> dict[str, bool] | None:
    """Return the setting, or None if XLA refuses its name."""
    import jax

    try:
        jax.jit(lambda x: x, compiler_options=_FAST).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return _FAST
