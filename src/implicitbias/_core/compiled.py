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


def compiled(function: Callable[_P, _T], static_argnums: int | None = None) -> Callable[_P, _T]:
    """Return the function, compiled with the setting that compiles fast, if this version of XLA knows it.

    `equinox.filter_jit` compiles it. If `static_argnums` is given, `jax.jit` does so, whose calls are faster. JAX
    accepts settings for whole programs only, so that the result cannot be called in another compiled function.
    """

    @cache
    def program() -> Callable[..., Any]:
        import equinox as eqx
        import jax

        options = _options()
        if static_argnums is None:
            make: Any = eqx.filter_jit  # its annotations leave out the arguments that it passes to `jax.jit`
            whole: Callable[..., Any] = make(function, compiler_options=options)
            return whole
        return jax.jit(function, static_argnums=static_argnums, compiler_options=options)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        found: _T = program()(*args, **kwargs)
        return found

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
