"""Which algebras a problem allows within the byte budget, and how many multiplications a step of each one takes."""

from functools import cache
from typing import Any, NamedTuple

from implicitbias._core.errors import InputError
from implicitbias.flows._gauss_newton_algebra import (
    Algebra,
    Explicit,
    Kernel,
    NormalEquations,
    Products,
)
from implicitbias.flows._lagged_algebras import Lagged, Nystrom
from implicitbias.predictors import TracedPredictor

# The times of an entry of the Jacobian, and of a solve with a factor for each entry of its matrix, in units of a
# multiplication in a product of large matrices. Both read memory: 22 ns, 2.3 ns and 0.07 ns were measured.
_ENTRY, _SOLVE = 300.0, 35.0
# The time of a product of a vector with a matrix, for each entry, in the same unit. 0.36 ns were measured.
_READ = 5.0
# The time of a Nystroem approximation relative to that of its products of matrices: 2.3 s and 1.2 s were measured.
_APPROXIMATION = 2.0
# The cost of a Cholesky factor in iterations of conjugate gradients.
_LAGGED = 30.0
# The least and the largest rank of a Nystroem approximation for many rows. With a rank of 300, a digits network with
# 5000 predictions needed 10 iterations a solve instead of 87; with 500 it needed 8, but the approximation cost twice.
_RANKS = (50, 300)


class Sizes(NamedTuple):
    """The sizes of a problem: n k = rows predictions of k outputs, p parameters, and the byte budget of a matrix.

    `one_decay` says that all parameters have the same weight decay. Otherwise a kernel that is known from the structure
    of the model is of no use.
    """

    predictor: TracedPredictor
    outputs: int
    rows: int
    p: int
    max_bytes: int
    one_decay: bool = True

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """The sizes of the factors of each dense layer, if the kernel is computed from them."""
        return self.predictor.layer_sizes if self.one_decay else ()

    @property
    def given(self) -> bool:
        """Whether the kernel is known from the structure of the model."""
        return self.predictor.has_kernel and self.one_decay

    @property
    def allowed(self) -> dict[str, Algebra]:
        """The algebras whose matrices fit into the byte budget, by name."""
        found: dict[str, Algebra] = {"products": _built(Products), "explicit": _built(Explicit)}
        found["stabilised"] = _built(Explicit, True)
        if self.predictor.products_only:
            return found
        entries = 8 * self.rows * self.p <= self.max_bytes
        square = self._square
        given = self.given
        if 8 * self.p**2 <= self.max_bytes and (entries or self.predictor.rows_apart):
            # Without room for the whole Jacobian, its products with itself are summed over blocks of rows.
            found["normal"] = _built(NormalEquations, not entries)
        if square and self.layers:
            found["layers"] = _built(Kernel, True, "layers")
        if square and (entries or (given and not self.layers)):
            found["kernel"] = _built(Kernel, given and not self.layers)
        if square and (entries or given):
            found["lagged"] = _built(Lagged, given, _LAGGED)
        price = self.multiplications("nystrom") / (self._products + self.precondition("nystrom"))
        found["nystrom"] = _built(Nystrom, self.rank, given and square, price)
        return found

    def named(self, name: str) -> Algebra:
        """Return the algebra with this name, or raise an `InputError` if it is not possible here."""
        allowed = self.allowed
        if name in allowed:
            return allowed[name]
        reason = "the model has no dense layers whose Jacobian in factors agrees with its plain Jacobian"
        if name != "layers" or self.layers:
            sizes = f"n k = {self.rows} predictions and p = {self.p} parameters"
            reason = (
                f"with {sizes} a matrix would take more than {self.max_bytes / 2**30:.2g} GiB, or X is sparse"
            )
        choices = ", ".join(repr(choice) for choice in sorted(allowed))
        raise InputError(
            f"the algebra {name!r} is not possible here, because {reason}; one of {choices} is expected"
        )

    @property
    def rank(self) -> int:
        """The rank of the Nystroem approximation: a tenth of the rows, within limits and the byte budget."""
        wanted = min(max(_RANKS[0], self.rows // 10), _RANKS[1])
        return max(1, min(wanted, self.rows, self.max_bytes // (32 * self.rows)))

    def direct(self) -> str:
        """Return the name of the factorisation with the fewest multiplications, or "products" if none fits."""
        allowed = self.allowed
        names = [name for name in ("layers", "kernel", "normal") if name in allowed]
        return min(names, key=self.multiplications, default="products")

    def multiplications(self, name: str) -> float:
        """Return the time of the matrix, the factorisation and the solves of a step, in multiplications.

        The unit is the time of a multiplication in a product of large matrices.
        """
        m, p = float(self.rows), float(self.p)
        entries = _ENTRY * m * p
        if name == "normal":
            return entries + m * p**2 + p**3 / 6 + 4 * self.solve(p)
        own = m**3 / 6 + 4 * self.solve(m)
        if name == "kernel":
            return own + (0.0 if self.given and not self.layers else entries + m**2 * p)
        if name == "nystrom" and not (self.given and self._square):
            return _APPROXIMATION * self.rank * self._products
        layers = sum(m**2 * b + (m / self.outputs) ** 2 * a for a, b in self.layers)
        return _APPROXIMATION * (layers + self.rank * m**2) if name == "nystrom" else layers + own

    @property
    def _products(self) -> float:
        """The multiplications of a product with J and one with J^T, by differentiation."""
        return 4.0 * self.rows / self.outputs * self.p

    @property
    def _square(self) -> bool:
        """Whether the kernel fits into the byte budget."""
        return 8 * self.rows**2 <= self.max_bytes

    def precondition(self, name: str) -> float:
        """Return the time of a product with the preconditioner of "lagged" or "nystrom", in multiplications."""
        return self.solve(self.rows) if name == "lagged" else 2 * _READ * self.rows * self.rank

    def solve(self, size: float) -> float:
        """Return the time of a solve with a factor of this size, in multiplications."""
        return _SOLVE * size**2


@cache
def _built(kind: type[Algebra], *settings: Any) -> Algebra:
    """Return an algebra; making all of them anew for each flow costs more than a step of a small model."""
    return kind(*settings)
