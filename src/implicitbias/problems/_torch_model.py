"""A model that was exported from PyTorch: a list of operators, which JAX evaluates without PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias._core.errors import InputError, first_line
from implicitbias.problems._torch_operators import CHECK, OPERATORS


class Ref(NamedTuple):
    """A reference to the result of an earlier call, a parameter, a constant or the inputs."""

    name: str


class Call(NamedTuple):
    """One operator with its arguments, in which a `Ref` stands for a value; `place` says where it comes from."""

    name: str
    operator: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    place: str


class Rows(NamedTuple):
    """What the inputs of a model look like.

    Attributes:
        name: the name of the inputs in the calls.
        shape: the shape of one row.
        kind: "float", or the name of an integer type or of "bool".
        single: the calls take a single row, and JAX maps them over the rows.
        least: the smallest number of rows for which the module was exported.
        most: the largest number of rows; None if there is no limit.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    single: bool
    least: int = 1
    most: int | None = None


@dataclass(frozen=True, eq=False)
class TorchModel:
    """The function model(params, X) of a module of PyTorch, evaluated by JAX.

    Attributes:
        name: the name of the module's class.
        rows: what X looks like.
        parameters: the name in `params` of each parameter in the calls.
        constants: buffers, constants and parameters that are not trained.
        calls: the operators in the order of their evaluation.
        output: the name of the result.
    """

    name: str
    rows: Rows
    parameters: Mapping[str, str]
    constants: Mapping[str, ndarray]
    calls: tuple[Call, ...]
    output: str

    def __call__(self, params: Any, X: Any) -> Any:
        """Return the predictions of the module for the rows X.

        Raises:
            InputError: X or the parameters do not fit the module.
        """
        missing = sorted(set(self.parameters.values()) - set(params))
        if missing:
            raise InputError(
                f"params has no array {missing[0]!r}; the dict that ib.from_torch returned is expected, which has "
                f"{', '.join(map(repr, self.parameters.values()))}"
            )
        rows = _checked_rows(self.rows, jnp.asarray(X))
        if self.rows.single:
            return jax.vmap(lambda row: self._output(params, row[None])[0])(rows)
        return self._output(params, rows)

    def _output(self, params: Any, X: Any) -> Any:
        """Return the output for inputs that have been checked."""
        values = {name: jnp.asarray(array) for name, array in self.constants.items()}
        values |= {name: jnp.asarray(params[key]) for name, key in self.parameters.items()}
        values[self.rows.name] = X
        checks = []
        for call in self.calls:
            values[call.name] = _evaluated(call, values)
            checks += [values[call.name]] if call.operator == CHECK else []
        # A traced function cannot raise. Where the module would, for instance for a token that does not exist, it
        # returns NaN, which the library reports.
        output = values[self.output]
        return jnp.where(jnp.all(jnp.stack(checks)), output, jnp.nan) if checks else output

    def __repr__(self) -> str:
        return f"TorchModel({self.name}, {len(self.parameters)} arrays, {len(self.calls)} operators)"


def _is_ref(item: Any) -> bool:
    return isinstance(item, Ref)


def _evaluated(call: Call, values: dict[str, Any]) -> Any:
    arguments, options = jax.tree.map(
        lambda item: values[item.name] if _is_ref(item) else item,
        (call.arguments, call.options),
        is_leaf=_is_ref,
    )
    try:
        return OPERATORS[call.operator](*arguments, **options)
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"the operator {call.operator}{call.place} cannot be evaluated with these arguments: {first_line(error)}; "
            "write this part of the module with other operators, or write the model with jax.numpy"
        ) from error


def _checked_rows(rows: Rows, X: Any) -> Any:
    if X.shape[1:] != rows.shape or X.ndim == 0:
        raise InputError(
            f"X has shape {X.shape}, rows of shape {rows.shape} are expected as in the example; "
            "for rows of another shape type model, params = ib.from_torch(module, X)"
        )
    if len(X) < rows.least or (rows.most is not None and len(X) > rows.most):
        limits = f"at least {rows.least}" + ("" if rows.most is None else f" and at most {rows.most}")
        raise InputError(
            f"X has {len(X)} rows, {limits} are expected, because the forward of the module treats other numbers of "
            "rows in another way; type model, params = ib.from_torch(module, X), or do not use the number of rows there"
        )
    if rows.kind == "float":
        return X.astype(jnp.result_type(float))
    if jnp.issubdtype(X.dtype, jnp.floating):
        raise InputError(
            f"X holds floating-point numbers, {rows.kind} is expected as in the example; type X = X.astype(int)"
        )
    # The result may depend on the type: `~x` of numbers is not that of truth values.
    return X.astype(jax.dtypes.canonicalize_dtype(rows.kind))
