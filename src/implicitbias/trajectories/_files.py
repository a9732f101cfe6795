"""Saving and loading of trajectories: an NPZ archive with arrays and one JSON string, without pickled code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.archive import FileKind, damage_told, read_archive, write_archive
from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias.trajectories._clock import Clock
from implicitbias.trajectories._dense_output import DenseOutput, StateShape, Stats

_KIND = FileKind("implicitbias.Trajectory", 1, "trajectory")
_OBSERVABLE = "observable:"


@dataclass(frozen=True)
class SavedShape:
    """The names and shapes of leaves, and their containers if these are tuples, lists and dicts only."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    layout: Any

    def numpy_tree(self, flat: ndarray) -> Any:
        """Return the pytree, or {name: leaf} if the containers had other types."""
        edges = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)])
        leaves = [
            frozen(flat[..., a:b].reshape((*flat.shape[:-1], *shape)))
            for a, b, shape in zip(edges[:-1], edges[1:], self.shapes, strict=True)
        ]
        if self.layout is None:
            return dict(zip(self.names, leaves, strict=True))
        return _filled(self.layout, leaves)


@dataclass(frozen=True, eq=False)
class KeptStates(DenseOutput):
    """The states and dual variables at the kept times."""

    times: Float64[ndarray, " m"]
    states: Float64[ndarray, "m d"]
    duals: ndarray | None

    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return self.states[np.searchsorted(self.times, times)]

    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m k"] | None:
        return None if self.duals is None else self.duals[np.searchsorted(self.times, times)]


def write(trajectory: Any, path: Path) -> None:
    """Write a `Trajectory` to one NPZ file; if writing fails, no incomplete file is left.

    Raises:
        InputError: an observable has values of different shapes.
    """
    shape = trajectory.shape
    header = {
        "status": trajectory.status.name,
        "stats": list(trajectory.stats),
        "notes": list(trajectory.notes),
        "names": None if shape is None else list(shape.names),
        "shapes": None if shape is None else [list(leaf) for leaf in shape.shapes],
        "layout": None if shape is None else _layout(shape),
    }
    arrays = {"times": trajectory.times, "states": trajectory.flat_states}
    arrays["start"], arrays["final"] = _flat(trajectory.start), _flat(trajectory.final)
    if trajectory.readings is not None:
        arrays["log_times"] = trajectory.log_times
    dual = trajectory.dense.dual(trajectory.kept_readings)
    if dual is not None:
        arrays["duals"] = dual
    for name, values in trajectory.observables.items():
        if values.dtype == object:
            raise InputError(
                f"observable {name!r} has values of different shapes, which cannot be saved; "
                "return values of one shape from its function"
            )
        arrays[_OBSERVABLE + name] = values
    write_archive(path, _KIND, header, arrays)


def read(path: Path, like: Any) -> dict[str, Any]:
    """Return the fields of the `Trajectory` in a file that `write` has written.

    Raises:
        InputError: the file does not exist or is not a saved trajectory, or `like` has another structure.
    """
    header, arrays = read_archive(path, _KIND)
    with damage_told(path, _KIND):
        shape = _shape(header, like)
        tree = (lambda flat: flat) if shape is None else shape.numpy_tree
        observables = {
            name.removeprefix(_OBSERVABLE): values
            for name, values in arrays.items()
            if name.startswith(_OBSERVABLE)
        }
        logs = arrays.get("log_times")
        # The clock of a loaded trajectory has the time of its first step as its unit.
        clock = Clock() if logs is None else Clock(_first_finite(logs))
        readings = arrays["times"] if logs is None else clock.readings_of_logs(logs)
        return {
            "times": arrays["times"],
            "start": tree(arrays["start"]),
            "final": tree(arrays["final"]),
            "status": Status[header["status"]],
            "stats": _stats(header["stats"]),
            "observables": observables,
            "dense": KeptStates(readings, arrays["states"], arrays.get("duals")),
            **({} if logs is None else {"clock": clock, "readings": readings}),
            "sampled": True,
            "shape": shape,
            "notes": tuple(header["notes"]),
        }


def _stats(values: list[Any]) -> Stats:
    stats = Stats(*values)
    return stats._replace(algebras=tuple((name, count) for name, count in stats.algebras))


def _shape(header: dict[str, Any], like: Any) -> StateShape | None:
    if header["names"] is None:
        return None
    names = tuple(header["names"])
    shapes = tuple(tuple(shape) for shape in header["shapes"])
    if like is None:
        return SavedShape(names, shapes, header["layout"])
    from implicitbias._core.trees import tree_shape

    found, _ = tree_shape(like, "like")
    if (found.names, found.shapes) != (names, shapes):
        raise InputError(
            f"like has the leaves {dict(zip(found.names, found.shapes, strict=True))}, "
            f"but the file holds {dict(zip(names, shapes, strict=True))}"
        )
    return found


def _first_finite(logs: ndarray) -> float:
    finite = logs[np.isfinite(logs)]
    return float(finite[0]) if len(finite) else 0.0


def _flat(tree: Any) -> ndarray:
    import jax

    leaves = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, ndarray) and leaf.dtype.kind == "f"]
    return np.concatenate([leaf.ravel() for leaf in leaves])


def _layout(shape: StateShape) -> Any:
    """Return the containers as JSON with the index of each leaf, or None if they are not tuples, lists and dicts."""
    sizes = [int(np.prod(leaf)) for leaf in shape.shapes]
    places = np.repeat(np.arange(len(sizes)), sizes).astype(np.float64)
    if 0 in sizes:
        return None
    try:
        return _plain(shape.numpy_tree(places))
    except TypeError:
        return None


def _plain(node: Any) -> Any:
    # Only floating-point arrays are saved, so another array, for instance a mask, ends in the error below.
    if isinstance(node, ndarray) and node.dtype.kind == "f":
        return int(node.flat[0])
    if type(node) is dict and all(isinstance(key, str) for key in node):
        return {"dict": [[key, _plain(value)] for key, value in node.items()]}
    if type(node) in (list, tuple):
        return {type(node).__name__: [_plain(value) for value in node]}
    raise TypeError(f"{type(node).__name__} is not a tuple, a list or a dict")


def _filled(layout: Any, leaves: list[ndarray]) -> Any:
    if isinstance(layout, int):
        return leaves[layout]
    ((kind, content),) = layout.items()
    if kind == "dict":
        return {key: _filled(value, leaves) for key, value in content}
    parts = [_filled(value, leaves) for value in content]
    return tuple(parts) if kind == "tuple" else parts
