"""Does a model, or its derivative, jump? A numerical test on random lines through the parameters."""

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
_PLACES = 8  # looked at on each line, all at a time
_HALVINGS = 24
_SECONDS = 3.0  # after compiling; a model too slow for the whole test is looked at as far as this goes
_SCALE = 0.3  # of a weight that counts: training takes small ones there

# Positions on a line in units of the parameters' scale, denser near them: 0 to 10 each way. Off
# centre, as small parameters have their jumps near 0, and none is seen where it falls on a point of the search.
_GRID = np.sinh(np.linspace(-3.0, 3.0, 8 * _PLACES) + 0.0137)


def jump_on_lines(readout: Readout, shape: TreeShape, flat: ndarray, noise: float) -> bool:
    """Whether predictions f, or their derivative along the line, jump somewhere on random lines; seeded.

    On s -> f(theta + s v) the place of largest second difference of each part of the line is halved 24 times, each
    time towards the larger second difference: the part of a smooth function shrinks by 4 each time, a jump stays. A
    model that is continuously differentiable with a kink in f' (elu) passes as smooth.

    Args:
        readout: parameters to predictions.
        shape: of the parameters.
        flat: their entries.
        noise: the relative rounding of the model.
    """
    rng = np.random.default_rng(0)
    scales = _scales(shape, flat)
    _on_line(readout, shape, flat, scales, _GRID[: 2 * _PLACES])  # compiles
    stop = perf_counter() + _SECONDS
    try:
        with np.errstate(all="ignore"):  # a model may overflow far out, where nothing is then seen
            lines = (
                _Line(readout, shape, flat, scales * rng.standard_normal(len(flat)), stop)
                for _ in range(_LINES)
            )
            return any(line.jumps(max(1e-9, 1e4 * noise)) for line in lines)
    except TimeoutError:
        return False


class _Line:
    """f and its derivative along theta + s v."""

    def __init__(self, readout: Readout, shape: TreeShape, flat: ndarray, v: ndarray, stop: float) -> None:
        self.arguments, self.stop = (readout, shape, flat, v), stop

    def values(self, s: ndarray) -> ndarray:
        """(len(s), 2, n k): f and f' at the positions."""
        pieces = []
        for part in s.reshape(-1, 2 * _PLACES):
            if perf_counter() > self.stop:
                raise TimeoutError
            pieces.append(np.asarray(_on_line(*self.arguments, part)))
        return np.concatenate(pieces)

    def jumps(self, floor: float) -> bool:
        """Whether a jump above `floor`, relative to the size of f or f' there, survives all halvings."""
        values = self.values(_GRID)
        left, middle, right = values[:-2], values[1:-1], values[2:]
        sizes = _norms(left) + _norms(middle) + _norms(right)
        bends = _relative(left - 2 * middle + right, sizes).max(axis=1)
        # The worst of each part of the line: where f vanishes a smooth one bends as much as it is large.
        parts = np.array_split(np.arange(len(bends)), _PLACES)
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
        # A smooth function has shrunk by 2^8 between the two.
        return bool(np.any((last > floor) & (last > late / 4)))

    def halved(self, ends: ndarray, triples: ndarray, sizes: ndarray) -> tuple[ndarray, ndarray]:
        """The halves with the larger second difference, and f and f' at their ends and middles."""
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
    """The scale of each parameter: the root mean square of its leaf, at least that of a weight that counts."""
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
    """Norms of f and f' apart, (places, 2), relative to `sizes`; 0 where f or f' vanishes."""
    return np.divide(_norms(differences), sizes, out=np.zeros_like(sizes), where=sizes > 0)


@eqx.filter_jit
def _on_line(readout: Readout, shape: TreeShape, flat: Any, v: Any, s: Any) -> jax.Array:
    """(len(s), 2, n k): predictions and their derivative in s, one position after another to spare memory."""

    def at(position: jax.Array) -> jax.Array:
        f, slope = jax.jvp(
            lambda t: readout(shape.unflatten(flat + t * v)), (position,), (jnp.ones_like(position),)
        )
        return jnp.stack([f.ravel(), slope.ravel()])

    return jax.lax.map(at, s)
