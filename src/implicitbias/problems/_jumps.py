"""A numerical test whether a model or its derivative has a jump on random lines through the parameters."""

from time import perf_counter
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.readouts import Readout
from implicitbias._core.trees import TreeShape

_LINES = 3
# Each line is divided into this many parts, which are searched simultaneously.
_PARTS = 8
_HALVINGS = 24
# The time limit after compilation. For a slow model only a part of the test is done.
_SECONDS = 3.0
# The lines pass the parameters at this distance in units of their scales: all lines through parameters of zeros meet
# the kinks of a homogeneous model at one point only, where its derivative may be continuous.
_ASIDE = 0.3
# The smallest scale of a parameter in the test, because training moves small parameters to about this size.
_SCALE = 0.3

# Positions on a line in units of the parameters' scale. They reach 10 units in both directions and are denser near 0.
# The small shift keeps them away from 0, where small parameters have their jumps: a jump at a grid point is not found.
_GRID = np.sinh(np.linspace(-3.0, 3.0, 8 * _PARTS) + 0.0137)


def jump_on_lines(readout: Readout, shape: TreeShape, flat: ndarray, noise: float) -> bool:
    """Return whether the predictions f or their derivative along a line have a jump on a random line.

    The directions v of the lines, and points theta near the parameters, are random with a fixed seed. On
    s -> f(theta + s v), each part of the line is searched by bisection: the interval with the largest second difference
    is halved 24 times, and the half with the larger second difference is kept. For a smooth function the second
    difference shrinks by a factor of 4 in each halving, but a jump does not shrink. A continuously differentiable model
    with a kink in f' (elu) counts as smooth.

    Args:
        readout: the function from parameters to predictions.
        shape: the layout of the parameters.
        flat: the entries of the parameters.
        noise: the relative rounding error of the model.
    """
    rng = np.random.default_rng(0)
    scales = _scales(shape, flat)
    _on_line(readout, shape, flat, scales, _GRID[: 2 * _PARTS])  # This call compiles the function.
    stop = perf_counter() + _SECONDS
    try:
        with np.errstate(
            all="ignore"
        ):  # A model may overflow far from the parameters; no jump is found there.
            lines = (
                _Line(
                    readout,
                    shape,
                    flat + _ASIDE * scales * rng.standard_normal(len(flat)),
                    scales * rng.standard_normal(len(flat)),
                    stop,
                )
                for _ in range(_LINES)
            )
            return any(line.jumps(max(1e-9, 1e4 * noise)) for line in lines)
    except TimeoutError:
        return False


class _Line:
    """The predictions f and their derivative along the line theta + s v."""

    def __init__(self, readout: Readout, shape: TreeShape, flat: ndarray, v: ndarray, stop: float) -> None:
        self.arguments, self.stop = (readout, shape, flat, v), stop

    def values(self, s: ndarray) -> ndarray:
        """Return f and f' at the positions, (len(s), 2, n k)."""
        pieces = []
        for part in s.reshape(-1, 2 * _PARTS):
            if perf_counter() > self.stop:
                raise TimeoutError
            pieces.append(np.asarray(_on_line(*self.arguments, part)))
        return np.concatenate(pieces)

    def jumps(self, floor: float) -> bool:
        """Return whether a jump larger than `floor`, relative to the local size of f or f', remains after bisection."""
        values = self.values(_GRID)
        left, middle, right = values[:-2], values[1:-1], values[2:]
        sizes = _norms(left) + _norms(middle) + _norms(right)
        bends = _relative(left - 2 * middle + right, sizes).max(axis=1)
        # Take the largest in each part of the line: near a zero of f, a smooth f has large relative differences too.
        parts = np.array_split(np.arange(len(bends)), _PARTS)
        at = np.array(
            [part[np.argmax(np.where(np.isfinite(bends[part]), bends[part], -1.0))] for part in parts]
        )
        ends = np.stack([_GRID[at], _GRID[at + 1], _GRID[at + 2]])
        triples = np.stack([left[at], middle[at], right[at]])
        changes = []
        for _ in range(_HALVINGS):
            ends, triples = self.halved(ends, triples, sizes[at])
            changes.append(_relative(triples[2] - triples[0], sizes[at]))
        late, last = changes[-1 - _HALVINGS // 3], changes[-1]
        # For a smooth function `last` is smaller than `late` by a factor of 2^8.
        return bool(np.any((last > floor) & (last > late / 4)))

    def halved(self, ends: ndarray, triples: ndarray, sizes: ndarray) -> tuple[ndarray, ndarray]:
        """Return the halves with the larger second difference, and f and f' at their ends and midpoints."""
        quarters = np.stack([ends[0] + ends[1], ends[1] + ends[2]]) / 2
        inner = self.values(quarters.ravel()).reshape(2, *triples.shape[1:])
        low = _relative(triples[0] - 2 * inner[0] + triples[1], sizes).max(axis=1)
        high = _relative(triples[1] - 2 * inner[1] + triples[2], sizes).max(axis=1)
        right = high > low
        new_ends = np.where(
            right, np.stack([ends[1], quarters[1], ends[2]]), np.stack([ends[0], quarters[0], ends[1]])
        )
        new_triples = np.where(
            right[:, None, None],
            np.stack([triples[1], inner[1], triples[2]]),
            np.stack([triples[0], inner[0], triples[1]]),
        )
        return new_ends, new_triples


def _scales(shape: TreeShape, flat: ndarray) -> ndarray:
    """Return the scale of each parameter: the root mean square of its leaf, but at least `_SCALE`."""
    sizes = np.asarray(shape.sizes)
    starts = np.cumsum(sizes) - sizes
    squares = [
        float(np.mean(flat[a : a + size] ** 2)) if size else 0.0
        for a, size in zip(starts, sizes, strict=True)
    ]
    return np.repeat(np.maximum(np.sqrt(squares), _SCALE), sizes)


def _norms(values: ndarray) -> ndarray:
    return np.linalg.norm(values, axis=-1)


def _relative(differences: ndarray, sizes: ndarray) -> ndarray:
    """Return the norms of the differences of f and of f', (positions, 2), relative to `sizes`; 0 if a size is 0."""
    return np.divide(_norms(differences), sizes, out=np.zeros_like(sizes), where=sizes > 0)


@eqx.filter_jit
def _on_line(readout: Readout, shape: TreeShape, flat: Any, v: Any, s: Any) -> jax.Array:
    """Return the predictions and their derivative in s, (len(s), 2, n k).

    The positions are evaluated one after another to save memory.
    """

    def at(position: jax.Array) -> jax.Array:
        f, slope = jax.jvp(
            lambda t: readout(shape.unflatten(flat + t * v)), (position,), (jnp.ones_like(position),)
        )
        return jnp.stack([f.ravel(), slope.ravel()])

    return jax.lax.map(at, s)
