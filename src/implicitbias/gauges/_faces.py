"""Faces of unit balls: entrywise, nuclear and spectral ones, and faces of which a single point is known."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from implicitbias.gauges._gauge import Face


@dataclass(frozen=True, eq=False)
class EntrywiseFace(Face):
    """A face of the unit ball of an entrywise gauge.

    Attributes:
        positive: the entries that are positive in some points of the face.
        negative: the entries that are negative in some points of the face.
        free: the entries that are not the same in all points of the face.
        normal: a unit vector on the free entries that has the same product with every point of the face, or None.
    """

    positive: Bool[ndarray, "..."]
    negative: Bool[ndarray, "..."]
    free: Bool[ndarray, "..."]
    normal: Float64[ndarray, "..."] | None

    @property
    def unique(self) -> bool | None:
        """Whether no entry is free."""
        return not self.free.any()

    @property
    def support(self) -> Bool[ndarray, "..."]:
        """The entries that are non-zero in some points of the face."""
        return self.positive | self.negative

    @property
    def signs(self) -> Int64[ndarray, "..."]:
        """The signs of entries: 1 or -1 if only this sign occurs in the face, 0 if none or both occur."""
        return self.positive.astype(np.int64) - self.negative.astype(np.int64)

    def fixed(self, x: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        """Return x with 0 in the free entries, plus the part of x along the normal."""
        rest = np.where(self.free, 0.0, x)
        return rest if self.normal is None else rest + np.sum(self.normal * x) * self.normal

    def equations(self) -> tuple[Int64[ndarray, " k"], Float64[ndarray, "..."] | None] | None:
        """Return the positions of the entries that are not free, and the normal."""
        return np.flatnonzero(~self.free), self.normal


@dataclass(frozen=True, eq=False)
class NuclearFace(Face):
    r"""A face of the unit ball of the nuclear norm: all $U S V^\top$ with S positive semidefinite of trace 1.

    Attributes:
        left: (m, r) U, the left singular vectors of the largest singular value of z.
        right: (k, r) V, the right singular vectors of the largest singular value of z.
    """

    left: Float64[ndarray, "m r"]
    right: Float64[ndarray, "k r"]

    @property
    def unique(self) -> bool | None:
        """Whether the largest singular value of z is simple."""
        return self.left.shape[1] == 1

    def fixed(self, x: Float64[ndarray, "m k"]) -> Float64[ndarray, "m k"]:
        """Return x minus the trace-free symmetric part of U^T x V."""
        if not self.z.any():
            return np.zeros_like(x)  # for z = 0 the face is the whole ball
        core = self.left.T @ x @ self.right
        r = len(core)
        moved = (core + core.T) / 2.0 - np.trace(core) / r * np.eye(r)
        return x - self.left @ moved @ self.right.T


@dataclass(frozen=True, eq=False)
class SpectralFace(Face):
    r"""A face of the unit ball of the spectral norm.

    It holds all $U V^\top + M$ with $U^\top M = 0$, $M V = 0$ and $\lVert M \rVert \le 1$.

    Attributes:
        left: (m, r) U, the left singular vectors of the non-zero singular values of z.
        right: (k, r) V, the right singular vectors of the non-zero singular values of z.
    """

    left: Float64[ndarray, "m r"]
    right: Float64[ndarray, "k r"]

    @property
    def unique(self) -> bool | None:
        """Whether z has full rank."""
        return self.left.shape[1] == min(self.z.shape)

    def fixed(self, x: Float64[ndarray, "m k"]) -> Float64[ndarray, "m k"]:
        """Return x - (I - U U^T) x (I - V V^T)."""
        rows = x - self.left @ (self.left.T @ x)
        return x - (rows - (rows @ self.right) @ self.right.T)


@dataclass(frozen=True, eq=False)
class SinglePoint(Face):
    """A face of a strictly convex unit ball, which is one point; for z = 0 it is the whole ball."""

    @property
    def unique(self) -> bool | None:
        """Whether z is not 0."""
        return bool(self.z.any())

    def fixed(self, x: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        """Return x, or 0 for z = 0."""
        return x if self.unique else np.zeros_like(x)


@dataclass(frozen=True, eq=False)
class KnownPoint(Face):
    """A face of which only one point is known, as for gauges from oracles."""

    @property
    def unique(self) -> bool | None:
        """None, because it is not known whether the face has other points."""
        return None

    def fixed(self, x: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        """Return x itself, because no direction is known in which the face extends."""
        return x

    def equations(self) -> tuple[Int64[ndarray, " k"], Float64[ndarray, "..."] | None] | None:
        """Return the positions of all entries."""
        return np.arange(self.z.size), None
