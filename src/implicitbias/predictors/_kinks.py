"""Find the piecewise linear units of a traced model, and evaluate the model with given slopes of these units.

Each unit is r(z) = max(z, 0) of a pre-activation z. The operations max, min, abs, clamp, `jnp.where(z > 0, t, f)` with
t - f proportional to z, products with `(z > 0)`, and maxima over axes or windows are sums of such units and of
operations without kinks.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# The primitives whose inner program is evaluated operation by operation.
_INLINED = frozenset({"jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "remat2"})
# A rule of differentiation is replaced by the program of its function only if the program consists of these.
_LINEAR_UNITS = frozenset({"max", "min", "abs", "clamp", "neg"})
# The operations that may have kinks.
_KINKED = frozenset(
    {"max", "min", "abs", "clamp", "reduce_max", "reduce_min", "reduce_window_max", "select_n"}
)
# A loop of at most this many turns is evaluated turn by turn, which finds the units in its body.
_UNROLLED = 32
_COMPARISONS = {"gt": 1, "ge": 1, "lt": -1, "le": -1}


class Node(NamedTuple):
    """A value of the program, whether it depends on the parameters, and the comparison that it came from.

    A comparison (a, b, sign) stands for a > b if sign is 1 and for a < b if sign is -1.
    """

    value: Any
    moves: bool
    compared: tuple["Node", "Node", int] | None = None


class Units(NamedTuple):
    """What is recorded during an evaluation: the pre-activations of the units, and facts about each operation.

    Attributes:
        inputs: the pre-activations z, one flat array for each group of operations that share them.
        groups: the group of each operation.
        factors: for each operation the values of z and of the difference v of its branches; None if v = z.
    """

    inputs: list[Any]
    groups: list[int]
    factors: list[Any]


class Evaluation:
    """One evaluation of a program in which each unit is `slope * z + shift`.

    Args:
        plan: for each operation the factor kappa of its unit, and 0 for an operation that is left as it is; None to
            treat each operation as a unit and record it.
        slopes: the slopes of all units (m,); None for the slopes 0 and 1 of max(z, 0).
        shifts: the shifts of all units (m,); None for zeros.
        widths: the half widths (m,) over which max(z, 0) is rounded; None for its kink, and for given slopes.
    """

    def __init__(self, plan: tuple[float, ...] | None, slopes: Any, shifts: Any, widths: Any = None) -> None:
        self.plan, self.slopes, self.shifts, self.widths = plan, slopes, shifts, widths
        self.found = Units([], [], [])
        self._operations, self._filled = 0, 0
        self._places: dict[Any, tuple[int, Any]] = {}
        self._kept: list[Any] = []

    def run(self, jaxpr: Any, constants: Any, nodes: list[Node]) -> list[Node]:
        """Return the results of a program."""
        env: dict[Any, Node] = {
            var: Node(value, False) for var, value in zip(jaxpr.constvars, constants, strict=True)
        }
        env.update(zip(jaxpr.invars, nodes, strict=True))

        def read(var: Any) -> Node:
            return Node(var.val, False) if hasattr(var, "val") else env[var]

        for equation in jaxpr.eqns:
            results = self._apply(jaxpr, equation, [read(var) for var in equation.invars])
            env.update(zip(equation.outvars, results, strict=True))
        return [read(var) for var in jaxpr.outvars]

    def _apply(self, jaxpr: Any, equation: Any, nodes: list[Node]) -> list[Node]:
        name, moves = equation.primitive.name, any(node.moves for node in nodes)
        if name == "scan" and moves and _can_be_unrolled(equation):
            return self._unrolled(equation, nodes)
        inner = _inlined(equation, name) if moves else None
        if inner is not None:
            return self.run(inner.jaxpr, inner.consts, nodes)
        if moves:
            out = self._unit_of(equation, name, nodes)
            if out is not None:
                return [Node(out, True)]
        results = _plainly(jaxpr, equation, [node.value for node in nodes])
        compared = None
        if name in _COMPARISONS and moves and equation.invars[0].aval.dtype == jnp.result_type(float):
            compared = (nodes[0], nodes[1], _COMPARISONS[name])
        elif name == "convert_element_type":
            compared = nodes[0].compared
        return [Node(value, moves, compared) for value in results]

    def _unrolled(self, equation: Any, nodes: list[Node]) -> list[Node]:
        """Return the results of a loop over the first axis of arrays, turn by turn."""
        params, body = equation.params, _closed(equation.params["jaxpr"])
        fixed, carried = params["num_consts"], params["num_carry"]
        constants, carry, rows = nodes[:fixed], nodes[fixed : fixed + carried], nodes[fixed + carried :]
        turns = list(range(params["length"]))
        made: list[list[Node]] = []
        for i in reversed(turns) if params["reverse"] else turns:
            given = [*constants, *carry, *(Node(row.value[i], row.moves) for row in rows)]
            results = self.run(body.jaxpr, body.consts, given)
            carry = results[:carried]
            made.append(results[carried:])
        made = made[::-1] if params["reverse"] else made
        stacked = [
            Node(jnp.stack([node.value for node in column]), any(node.moves for node in column))
            for column in zip(*made, strict=True)
        ]
        return [*carry, *stacked]

    def _unit_of(self, equation: Any, name: str, nodes: list[Node]) -> Any:
        """Return the result of an operation as a sum with units, or None if it has none."""
        kind = getattr(equation.outvars[0].aval, "dtype", None)
        if kind != jnp.result_type(float):
            return None
        if name in ("max", "min"):
            return self._larger(*nodes) if name == "max" else self._smaller(*nodes)
        if name == "abs":
            unit = self._unit(nodes[0], Node(0.0, False), None)
            return None if unit is None else 2 * unit - nodes[0].value
        if name == "clamp":
            lower = self._larger(nodes[1], nodes[0])
            inner = jnp.maximum(nodes[1].value, nodes[0].value) if lower is None else lower
            upper = self._smaller(Node(inner, True), nodes[2])
            return jnp.minimum(inner, nodes[2].value) if upper is None else upper
        if name in ("reduce_max", "reduce_min"):
            return self._fold(_spread(nodes[0].value, equation.params["axes"]), name == "reduce_max")
        if name == "reduce_window_max":
            windows = _windows(nodes[0].value, equation.params)
            return None if windows is None else self._fold(windows, largest=True)
        if name == "select_n" and len(nodes) == 3 and nodes[0].compared:
            return self._chosen(nodes[0], nodes[1].value, nodes[2].value)
        if name == "mul":
            for step, other in (nodes, nodes[::-1]):
                if step.compared:
                    return self._chosen(step, jnp.zeros_like(other.value), other.value)
        return None

    def _larger(self, a: Node, b: Node) -> Any:
        """Return max(a, b) = b + r(a - b)."""
        unit = self._unit(a, b, None)
        return None if unit is None else b.value + unit

    def _smaller(self, a: Node, b: Node) -> Any:
        """Return min(a, b) = a - r(a - b)."""
        unit = self._unit(a, b, None)
        return None if unit is None else a.value - unit

    def _chosen(self, chooser: Node, otherwise: Any, chosen: Any) -> Any:
        """Return the branch that a comparison a > b chooses, as low + kappa r(a - b)."""
        assert chooser.compared is not None
        a, b, sign = chooser.compared
        low, high = (otherwise, chosen) if sign > 0 else (chosen, otherwise)
        unit = self._unit(a, b, high - low)
        return None if unit is None else low + unit

    def _fold(self, parts: Any, largest: bool) -> Any:
        """Return the maximum or the minimum over the first axis, by halves."""
        while len(parts) > 1:
            half = len(parts) // 2
            a, b = Node(parts[:half], True), Node(parts[half : 2 * half], True)
            joined = self._larger(a, b) if largest else self._smaller(a, b)
            if joined is None:
                return None
            parts = jnp.concatenate([joined, parts[2 * half :]])
        return parts[0]

    def _unit(self, a: Node, b: Node, branch: Any) -> Any:
        """Return kappa r(a - b) for the next operation, or None if the plan leaves it as it is.

        `branch` is the difference of the branches of a choice, which should be kappa (a - b).
        """
        key = _identity(a), _identity(b)
        if any(isinstance(part, float) and not np.isfinite(part) for part in key):
            return None  # The maximum with -inf is no unit.
        shape = np.broadcast_shapes(jnp.shape(a.value), jnp.shape(b.value))
        if branch is not None and shape != jnp.shape(branch):
            return None  # One comparison chooses between whole arrays.
        index = self._operations
        self._operations += 1
        if self.plan is not None and self.plan[index] == 0.0:
            return None
        self._kept.append((a, b))  # The key holds identities, which are valid while the values exist.
        if key not in self._places:
            z = a.value - b.value
            self._places[key] = len(self.found.inputs), self._response(z)
            self.found.inputs.append(jnp.ravel(z))
        group, unit = self._places[key]
        if self.plan is not None:
            return self.plan[index] * unit
        self.found.groups.append(group)
        z = jnp.broadcast_to(a.value - b.value, jnp.shape(unit))
        self.found.factors.append(
            None if branch is None else (jnp.ravel(z), jnp.ravel(jnp.broadcast_to(branch, z.shape)))
        )
        # While units are recorded, a choice gets the right value and the unit's dependence on its shift.
        return unit if branch is None else jnp.where(z > 0, branch, 0.0) + unit - jax.lax.stop_gradient(unit)

    def _response(self, z: Any) -> Any:
        first, last = self._filled, self._filled + int(np.prod(z.shape))
        self._filled = last
        if self.widths is not None:
            return _rounded(z, jnp.asarray(self.widths)[first:last].reshape(z.shape))
        slope = (
            jnp.where(z > 0, 1.0, 0.0) if self.slopes is None else self.slopes[first:last].reshape(z.shape)
        )
        shift = 0.0 if self.shifts is None else self.shifts[first:last].reshape(z.shape)
        return slope * z + shift


def _rounded(z: Any, width: Any) -> Any:
    """Return max(z, 0) with the parabola between -width and width that continues it and its derivative."""
    inside = jnp.abs(z) < width
    parabola = (z + width) ** 2 / jnp.where(inside, 4 * width, 1.0)
    return jnp.where(inside, parabola, jnp.where(z > 0, z, 0.0))


def _identity(node: Node) -> Any:
    """Return a key that is equal for the same value of the program."""
    value = node.value
    if isinstance(value, (float, int, np.generic)) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return float(value)
    return id(value)


def _inlined(equation: Any, name: str) -> Any:
    """Return the closed inner program that is evaluated operation by operation, or None."""
    if name in _INLINED:
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    elif name == "custom_jvp_call" and _has_only_units(equation.params["call_jaxpr"]):
        inner = equation.params["call_jaxpr"]
    else:
        return None
    return _closed(inner)


class _Closed(NamedTuple):
    jaxpr: Any
    consts: Any


def _closed(program: Any) -> _Closed:
    return _Closed(getattr(program, "jaxpr", program), getattr(program, "consts", ()))


def _can_be_unrolled(equation: Any) -> bool:
    """Return whether a loop is short and has units in its body."""
    return 0 < equation.params["length"] <= _UNROLLED and has_kinks(equation.params["jaxpr"])


def has_kinks(program: Any) -> bool:
    """Return whether a program, or a program inside it, has operations that may have kinks."""
    for equation in _closed(program).jaxpr.eqns:
        if equation.primitive.name in _KINKED or any(has_kinks(inner) for inner in _inside(equation)):
            return True
    return False


def untracked(program: Any) -> frozenset[str]:
    """Return the operations whose inner programs have kinks that no unit stands for, such as a long scan."""
    names: set[str] = set()
    for equation in _closed(program).jaxpr.eqns:
        name, inner = equation.primitive.name, _inside(equation)
        unrolled = name == "scan" and _can_be_unrolled(equation)
        if name in _INLINED or unrolled:
            names.update(*(untracked(one) for one in inner))
        elif name != "custom_jvp_call" and any(has_kinks(one) for one in inner):
            names.add(name)
    return frozenset(names)


def _inside(equation: Any) -> list[Any]:
    """Return the programs inside an operation."""
    values = [
        part
        for value in equation.params.values()
        for part in (value if isinstance(value, tuple) else (value,))
    ]
    return [value for value in values if hasattr(getattr(value, "jaxpr", value), "eqns")]


def _has_only_units(program: Any) -> bool:
    """Return whether a program consists of piecewise linear operations."""
    return all(
        _has_only_units(equation.params["jaxpr"])
        if equation.primitive.name in _INLINED
        else equation.primitive.name in _LINEAR_UNITS
        for equation in _closed(program).jaxpr.eqns
    )


def _plainly(jaxpr: Any, equation: Any, values: list[Any]) -> list[Any]:
    """Return the results of one operation, evaluated as a program of one line."""
    inputs = {
        var: value for var, value in zip(equation.invars, values, strict=True) if not hasattr(var, "val")
    }
    line = jaxpr.replace(constvars=[], invars=list(inputs), outvars=equation.outvars, eqns=[equation])
    return list(jax.core.eval_jaxpr(line, (), *inputs.values()))


def _spread(value: Any, axes: tuple[int, ...]) -> Any:
    """Return an array whose first axis runs over the entries of some axes."""
    rest = [axis for axis in range(value.ndim) if axis not in axes]
    return jnp.transpose(value, (*axes, *rest)).reshape(-1, *(value.shape[axis] for axis in rest))


def _windows(value: Any, params: dict[str, Any]) -> Any:
    """Return an array whose first axis runs over the windows' entries, or None for windows with holes."""
    window, strides, padding = (params[key] for key in ("window_dimensions", "window_strides", "padding"))
    plain = all(size == 1 for size in (*params["base_dilation"], *params["window_dilation"]))
    plain &= all(min(pair) >= 0 and max(pair) < size for pair, size in zip(padding, window, strict=True))
    if not plain:
        return None
    # A window that has a padded place also has the entry at the edge, so a copy of that does not change its maximum.
    value = jnp.pad(value, padding, mode="edge")
    counts = [(n - w) // s + 1 for n, w, s in zip(value.shape, window, strides, strict=True)]
    return jnp.stack(
        [
            jax.lax.slice(
                value,
                place,
                [p + (c - 1) * s + 1 for p, c, s in zip(place, counts, strides, strict=True)],
                strides,
            )
            for place in np.ndindex(*window)
        ]
    )
