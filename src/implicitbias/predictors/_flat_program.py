"""A traced program as one flat list of operations, in which calls of inner programs are replaced by their bodies."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from jax.core import eval_jaxpr
from jax.extend.core import Jaxpr, Literal

# Calls that only wrap an inner program, which may be replaced by the body of that program.
_WRAPPERS = frozenset({"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"})


class Constant(NamedTuple):
    """An operand of an operation that is a number or an array, and not the result of another operation."""

    value: Any


class Operation(NamedTuple):
    """An operation: its equation in the jaxpr, its operands, the numbers of its results, and JAX's debug information.

    An operand is a `Constant` or the number of an earlier result.
    """

    equation: Any
    operands: tuple[Any, ...]
    results: tuple[int, ...]
    debug_info: Any

    @property
    def name(self) -> str:
        """The name of the primitive of JAX."""
        name: str = self.equation.primitive.name
        return name

    def size(self, position: int) -> int:
        """Return the number of entries of an operand."""
        return int(self.equation.invars[position].aval.size)

    @property
    def result_size(self) -> int:
        """The number of entries of the first result."""
        return int(self.equation.outvars[0].aval.size)

    def run(self, values: list[Any]) -> list[Any]:
        """Return the results for these values of the operands."""
        variables = [item for item in self.equation.invars if not isinstance(item, Literal)]
        equation = self.equation
        alone = Jaxpr([], variables, equation.outvars, [equation], equation.effects, self.debug_info)
        given = zip(self.equation.invars, values, strict=True)
        return list(eval_jaxpr(alone, [], *(value for item, value in given if not isinstance(item, Literal))))


class FlatProgram(NamedTuple):
    """Operations in the order in which they run; only those that the outputs depend on.

    Attributes:
        operations: the operations.
        inputs: the numbers of the inputs.
        outputs: the outputs, each a `Constant` or a number.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[Any, ...]

    @classmethod
    def of(cls, closed: Any) -> "FlatProgram":
        """Return the flat form of a closed jaxpr."""
        flattener = _Flattener()
        inputs = [flattener.new() for _ in closed.jaxpr.invars]
        outputs = flattener.body(closed.jaxpr, closed.consts, inputs)
        return cls(tuple(_needed(flattener.operations, outputs)), tuple(inputs), tuple(outputs))


class _Flattener:
    """A counter of results and the operations that were found so far."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.count = 0

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def body(self, jaxpr: Any, constants: Any, arguments: list[Any]) -> list[Any]:
        """Append the operations of a jaxpr at these arguments, and return its outputs."""
        held = [item if isinstance(item, Constant) else Constant(item) for item in constants]
        known = dict(zip(jaxpr.constvars, held, strict=True)) | dict(
            zip(jaxpr.invars, arguments, strict=True)
        )

        def operand(variable: Any) -> Any:
            return Constant(variable.val) if isinstance(variable, Literal) else known[variable]

        for equation in jaxpr.eqns:
            operands = [operand(variable) for variable in equation.invars]
            inner = equation.params.get("jaxpr") if equation.primitive.name in _WRAPPERS else None
            if inner is None:
                results = [self.new() for _ in equation.outvars]
                self.operations.append(Operation(equation, tuple(operands), tuple(results), jaxpr.debug_info))
            elif hasattr(inner, "consts"):
                results = self.body(inner.jaxpr, inner.consts, operands)
            else:
                results = self.body(inner, [], operands)
            known.update(zip(equation.outvars, results, strict=True))
        return [operand(variable) for variable in jaxpr.outvars]


def _needed(operations: list[Operation], outputs: list[Any]) -> Iterator[Operation]:
    """Yield the operations that the outputs depend on, in their order."""
    needed = {output for output in outputs if not isinstance(output, Constant)}
    kept = []
    for operation in reversed(operations):
        if needed.intersection(operation.results):
            kept.append(operation)
            needed.update(item for item in operation.operands if not isinstance(item, Constant))
    return reversed(kept)
