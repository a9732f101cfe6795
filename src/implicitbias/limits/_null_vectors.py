"""Null vectors of the columns of a saddle: X z = 0 with one idle column and columns of the factorisation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy import linalg

from implicitbias.limits import _path_kernels as kernels
from implicitbias.limits._path_tables import PathTables
from implicitbias.limits._tolerances import RANK

# A null vector with larger entries, for columns of norm 1, is not accurate enough to be added to coefficients.
_LARGEST_ENTRY = 1e4


class NullVectors(NamedTuple):
    """A basis of the null space of some columns of X in which each basis vector has one idle column of its own.

    Attributes:
        columns: (p,) ascending indices of the columns that occur in a null vector.
        factored: the indices among them that are in the factorisation.
        idle: (m,) the place in `columns` of the idle column of each null vector.
        owner: (p,) the null vector in which each column occurs, or None if some column occurs in several.
        vectors: (p, m) the null vectors; the entry of an idle column is 1 in its own vector and 0 in the others.
    """

    columns: Int64[ndarray, " p"]
    factored: Int64[ndarray, " q"]
    idle: Int64[ndarray, " m"]
    owner: Int64[ndarray, " p"] | None
    vectors: Float64[ndarray, "p m"]


class NullVectorFinder:
    """Finds the null vectors at each saddle of one path.

    A null vector is a property of X. It is therefore kept, and serves all later saddles at which its columns are
    candidates.
    """

    def __init__(self, d: int) -> None:
        self._known: dict[int, tuple[Int64[ndarray, " p"], Float64[ndarray, " p"]]] = {}
        self._last: tuple[Int64[ndarray, " m"], NullVectors] | None = None
        self._factored = np.zeros(d, dtype=bool)

    def find(self, tables: PathTables, idle: Int64[ndarray, " m"]) -> NullVectors | None:
        """Return the null vectors if every idle column depends on the columns of the factorisation; otherwise None.

        The result is None also if the columns are so nearly dependent that the null vectors are not accurate.
        """
        k = tables.count(kernels.ACTIVE)
        factored = tables.pool.places[kernels.OWNER, tables.factors.member[:k]]
        self._factored[factored] = True
        try:
            if self._last is not None and np.array_equal(self._last[0], idle):
                found = self._last[1]
                if self._factored[found.factored].all():
                    return found
            missing = [i for i in idle.tolist() if not self._serves(i)]
            if missing and not self._solve(tables, factored, np.array(missing)):
                return None
        finally:
            self._factored[factored] = False
        found = self._assembled(idle)
        self._last = (idle, found)
        return found

    def _serves(self, i: int) -> bool:
        """Return whether a known null vector of column i has its other columns in the factorisation."""
        return i in self._known and bool(self._factored[self._known[i][0]].all())

    def _solve(self, tables: PathTables, factored: ndarray, missing: ndarray) -> bool:
        """Compute the null vectors of some idle columns by the factorisation; return False if there are none."""
        k, pool = len(factored), tables.pool
        norms = tables.path.columns[kernels.NORM]
        columns = pool.columns[tables.path.places[kernels.SLOT, missing]] / norms[missing, None]
        Q, R = tables.factors.Q[:k], tables.factors.R[:k, :k]
        inside = columns @ Q.T
        outside = columns - inside @ Q
        if np.max(np.sqrt(np.einsum("ij,ij->i", outside, outside))) > RANK:
            return False
        solved = linalg.solve_triangular(R, inside.T, check_finite=False) * norms[factored, None]
        if not np.max(np.abs(solved), initial=0.0) <= _LARGEST_ENTRY:
            return False
        for i, vector in zip(missing.tolist(), solved.T, strict=True):
            kept = np.flatnonzero(
                np.abs(vector) > RANK * max(1.0, float(np.max(np.abs(vector), initial=0.0)))
            )
            self._known[i] = (factored[kept], -vector[kept] * norms[i] / norms[factored[kept]])
        return True

    def _assembled(self, idle: Int64[ndarray, " m"]) -> NullVectors:
        supports, values = zip(*(self._known[i] for i in idle.tolist()), strict=True)
        count = len(idle)
        columns, place = np.unique(np.concatenate([idle, *supports]), return_inverse=True)
        vectors = np.zeros((len(columns), count))
        own, others = place[:count], place[count:]
        vectors[own, np.arange(count)] = 1.0
        vectors[others, np.repeat(np.arange(count), [len(support) for support in supports])] = np.concatenate(
            values
        )
        occurs = vectors != 0.0
        owner = occurs.argmax(axis=1) if np.count_nonzero(occurs) == len(columns) else None
        return NullVectors(columns, np.delete(columns, own), own, owner, vectors)
