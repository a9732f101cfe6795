"""Brackets of the gradients of a map with D = 200 parameters and d = 50 entries: ours against dense Hessians.

Both find the largest scale-free measure at seven points, compiled and warm. The peer computes all Hessians by
`jax.hessian` and all brackets from them.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._measure import Row, alternate, report
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations import as_parametrization, outputs_of
from implicitbias.parametrizations._commutes import _worst

D, d, POINTS, REPEATS = 200, 50, 7, 3


def network(theta: Any) -> jax.Array:
    """Return the 50 outputs of a small network of 200 parameters."""
    return jnp.tanh(theta.reshape(4, 50) * 0.7).sum(axis=0) * jnp.roll(theta[:50], 1) + jnp.sin(theta[50:100])


@jax.jit
def naive(points: jax.Array) -> jax.Array:
    def one(theta: jax.Array) -> jax.Array:
        gradients, hessians = jax.jacrev(network)(theta), jax.hessian(network)(theta)
        moved = jnp.einsum("jab,ib->ija", hessians, gradients)
        sizes, norms = jnp.linalg.norm(gradients, axis=1), jnp.linalg.norm(hessians, axis=(1, 2))
        scales = norms * sizes[:, None] + norms[:, None] * sizes
        return jnp.max(jnp.linalg.norm(moved - jnp.swapaxes(moved, 0, 1), axis=2) / scales)

    return jnp.max(jax.lax.map(one, points))


def main() -> None:
    """Compare the largest measure and the time."""
    points = np.random.default_rng(0).standard_normal((POINTS, D))
    outputs, _ = outputs_of(as_parametrization(network), points[0])
    with double_precision():
        ours, peer = float(np.max(_worst(outputs, points)[1].measures)), float(naive(points))
        seconds = alternate(
            [lambda: _worst(outputs, points), lambda: naive(points).block_until_ready()], REPEATS
        )
    work = f"brackets at {POINTS} points, D = {D}, d = {d}"
    note = "the error is relative to the peer's largest measure; our norms of Hessians are estimates"
    report(
        "brackets", [Row(work, "dense Hessians", *seconds, abs(ours - peer) / peer, 0.0, note, target=10.0)]
    )


if __name__ == "__main__":
    main()
