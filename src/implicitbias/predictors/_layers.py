"""Dense layers in a traced model of one row: which leaves of the parameters enter by a matrix product or as a bias.

For one row, a leaf W that enters the model once, in a product z = a W with an activation a, has the derivative
a_a D_kb, where D is the derivative of the outputs in z. A leaf that is added to z has the derivative D, and a leaf that
multiplies an activation entry by entry has the derivative D times that activation. All other leaves are called loose.
"""

from collections import Counter
from typing import Any, NamedTuple

from implicitbias.predictors._flat_program import Constant, FlatProgram, Operation

# Operations that keep all entries of an array and may change their order and shape.
_SHAPES = frozenset({"reshape", "transpose", "squeeze", "expand_dims", "rev", "copy", "copy_p"})


class Entry(NamedTuple):
    """The place where a leaf enters the program.

    Attributes:
        kind: "product" for a matrix product with an activation, "bias" for a sum, "gain" for a product by entries.
        activation: the operand that is the activation, its position in the operation.
        sign: -1.0 if a bias is subtracted, else 1.0.
        scales: numbers by which the leaf is multiplied first: pairs of an operand and whether it divides.
    """

    leaf: int
    kind: str
    activation: int
    sign: float
    scales: tuple[tuple[Any, bool], ...]


class Layer(NamedTuple):
    """Leaves with a common factor D, the derivative of the outputs in the response of the layer.

    Attributes:
        operation: the position in the program of the operation in which the first leaf enters.
        end: the position of the operation whose result is the response: the one that adds the last bias.
        size: the number of entries of the response.
        entry: the leaf that enters first.
        biases: leaves that are added to the result of the operation and to nothing else.
    """

    operation: int
    end: int
    size: int
    entry: Entry
    biases: tuple[Entry, ...] = ()


class _View(NamedTuple):
    """A value that has exactly the entries of a leaf, times some numbers."""

    leaf: int
    scales: tuple[tuple[Any, bool], ...] = ()


def layers_of(program: FlatProgram, leaves: int) -> tuple[Layer, ...]:
    """Return the dense layers of the model of one row; its first `leaves` inputs are the leaves of the parameters."""
    found = _Search(program, leaves)
    for index, operation in enumerate(program.operations):
        found.visit(index, operation)
    return found.layers()


class _Search:
    """A search for the entries of leaves, operation after operation."""

    def __init__(self, program: FlatProgram, leaves: int) -> None:
        self.views = {number: _View(leaf) for leaf, number in enumerate(program.inputs[:leaves])}
        self.uses = Counter(
            item
            for operation in program.operations
            for item in operation.operands
            if not isinstance(item, Constant)
        )
        self.uses.update(item for item in program.outputs if not isinstance(item, Constant))
        self.entries: dict[int, list[tuple[int, int, Entry, int | None]]] = {}
        self.loose: set[int] = {self.views[n].leaf for n in program.outputs if n in self.views}
        # The layer (by the position of its operation) of which a value is the result in another shape.
        self.result_of: dict[int, int] = {}

    def visit(self, index: int, operation: Operation) -> None:
        """Note what an operation does with views of leaves."""
        views = [self._view(item) for item in operation.operands]
        if _keeps_entries(operation) and len(operation.operands) == 1:
            self._pass_on(operation, views[0])
            return
        held = [position for position, view in enumerate(views) if view is not None]
        if not held:
            return
        large = [position for position in held if operation.size(position) > 1]
        view = views[large[0] if large else held[0]]
        assert view is not None
        scaled = _scaled(operation, large[0], view) if len(large) == 1 else None
        if scaled is not None:
            self.views[operation.results[0]] = scaled
            # A leaf of one entry that multiplies another leaf is loose.
            self.loose.update(v.leaf for v in views if v is not None and v is not view)
            return
        entry = _entry(operation, held[0], view) if len(held) == 1 else None
        if entry is None:
            self.loose.update(v.leaf for v in views if v is not None)
            return
        activation = operation.operands[entry.activation]
        below = None
        if entry.kind == "bias" and not isinstance(activation, Constant):
            below = self.result_of.get(activation)
        size = operation.result_size
        self.entries.setdefault(view.leaf, []).append((index, size, entry, below))
        if entry.kind == "product" and self.uses[operation.results[0]] == 1:
            self.result_of[operation.results[0]] = index
        elif below is not None and self.uses[operation.results[0]] == 1 and entry.sign == 1.0:
            self.result_of[operation.results[0]] = below

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers of all leaves that enter exactly once."""
        once = [
            places[0]
            for leaf, places in sorted(self.entries.items())
            if len(places) == 1 and leaf not in self.loose
        ]
        layers = {
            index: Layer(index, index, size, entry) for index, size, entry, _ in once if entry.kind != "bias"
        }
        for index, size, entry, below in once:
            if entry.kind != "bias":
                continue
            if below in layers:
                layer = layers[below]
                end = max(layer.end, index)
                layers[below] = layer._replace(end=end, biases=(*layer.biases, entry))
            else:
                layers[index] = Layer(index, index, size, entry)
        return tuple(layers[index] for index in sorted(layers))

    def _view(self, item: Any) -> _View | None:
        return None if isinstance(item, Constant) else self.views.get(item)

    def _pass_on(self, operation: Operation, view: _View | None) -> None:
        source, result = operation.operands[0], operation.results[0]
        if view is not None:
            self.views[result] = view
        elif source in self.result_of and self.uses[result] == 1:
            self.result_of[result] = self.result_of[source]


def _keeps_entries(operation: Operation) -> bool:
    same = operation.name == "broadcast_in_dim" and operation.size(0) == operation.result_size
    return same or operation.name in _SHAPES


def _scaled(operation: Operation, held: int, view: _View) -> _View | None:
    """Return the view times a number if that is the result of the operation, else None."""
    if operation.name not in ("mul", "div"):
        return None
    other = 1 - held
    if operation.size(other) != 1 or (operation.name == "div" and held == 1):
        return None
    return view._replace(scales=(*view.scales, (operation.operands[other], operation.name == "div")))


def _entry(operation: Operation, held: int, view: _View) -> Entry | None:
    """Return how the leaf enters in this operation, or None if it enters in another way."""
    name, other = operation.name, 1 - held
    if name == "dot_general":
        return (
            Entry(view.leaf, "product", other, 1.0, view.scales) if _contracts_all(operation, other) else None
        )
    if name not in ("add", "sub", "add_any", "mul") or len(operation.operands) != 2:
        return None
    if not operation.size(0) == operation.size(1) == operation.result_size:
        return None
    kind = "gain" if name == "mul" else "bias"
    return Entry(view.leaf, kind, other, -1.0 if name == "sub" and held == 1 else 1.0, view.scales)


def _contracts_all(operation: Operation, activation: int) -> bool:
    """Return whether the product sums over all entries of the activation, and over as many of the leaf."""
    contracted, batch = operation.equation.params["dimension_numbers"]
    shape = operation.equation.invars[activation].aval.shape
    size = 1
    for axis in contracted[activation]:
        size *= shape[axis]
    alone = all(shape[axis] == 1 for axis in batch[activation])
    return alone and size == operation.size(activation)
