"""The path of saddles as a value."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from implicitbias._core import labelled
from implicitbias._core.arrays import frozen
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.status import Status
from implicitbias.limits._limit import Limit
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares


@dataclass(frozen=True, eq=False)
class SaddlePath:
    r"""The piecewise-constant limit $\tilde w(t) = \lim_{\alpha \to 0} w^\alpha(t \ln(1/\alpha))$, saddle by saddle.

    Every `t` is slow time. `path.growth` names its unit, which is $\ln(1/\alpha)$ for networks of two layers, and
    converts it to flow time. Row k of every array describes the saddle that is reached at `times[k]` and left at
    `times[k + 1]`. Row 0 is the start.

    Attributes:
        problem: the `LeastSquares` problem.
        times: (k+1,) jump times, ascending, `times[0] == 0`.
        coefficients_sparse: (k+1, d) `scipy.sparse.csr_array` of the coefficients at each saddle.
        nu: (k+1, n) dual variables at the jump times: s = q + X^T nu, where q holds the signs of the start. With growth
            times, q holds the thresholds of these signs.
        losses: (k+1,) L at each saddle.
        equicorrelation_sets: k+1 arrays of coordinates with |s_i| = 1 at the jump time (they may have w_i = 0).
        unique: (k+1,) whether the saddle's coefficients are unique. If they are not, they are the canonical split,
            which is the limit of the flow among all sign-feasible w with that fit. It has the least
            sum |w_i| ln |w_i| for the default network, and follows `growth.split` in general.
        strictly_complementary: (k+1,) True if no i has |s_i| = 1 and w_i = grad_i = 0. The flow then approaches the
            saddle exponentially fast in ln(1/alpha); otherwise the distance decreases like 1 / ln(1/alpha). Row 0 of a
            pretrained start is the start itself, which is not a saddle; its flags are True.
        valid_until: the path is known on [0, valid_until); inf for a complete path.
        certificate: the optimality of every saddle and, for a complete path, the least l1 norm of the last point.
        status: how the walk ended.
        growth_times: the `Growth` of the network if one was given. None stands for the default network,
            $w = u \odot v$ from $u_0 = \sqrt2 \alpha$, $v_0 = 0$, whose thresholds are 1. `growth` is never None.
        feature_names: column names of a DataFrame, or None.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import implicitbias as ib
        >>> path = ib.saddle_path(ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0]))
        >>> path.times.tolist()
        [0.0, 0.25, 2.0]
        >>> path.coefficients.tolist()
        [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0]]
        >>> path.at(1.0).tolist()
        [2.0, 0.0]
    """

    problem: LeastSquares
    times: Float64[ndarray, " k"]
    coefficients_sparse: Any
    nu: Float64[ndarray, "k n"]
    losses: Float64[ndarray, " k"]
    equicorrelation_sets: tuple[ndarray, ...]
    unique: Bool[ndarray, " k"]
    strictly_complementary: Bool[ndarray, " k"]
    valid_until: float
    certificate: Certificate
    status: Status
    growth_times: Growth | None = None

    @property
    def growth(self) -> Growth:
        """The growth of the network: thresholds, split, and the unit and name of slow time."""
        return Growth.product(self.problem.shape[1]) if self.growth_times is None else self.growth_times

    @property
    def boundary_sets(self) -> tuple[ndarray, ...]:
        """The equicorrelation sets. This is the name of `equicorrelation_sets` in earlier versions."""
        return self.equicorrelation_sets

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Column names of a DataFrame, or None."""
        return self.problem.feature_names

    @property
    def n_jumps(self) -> int:
        """Number of jumps: the number of rows minus 1."""
        return len(self.times) - 1

    @cached_property
    def coefficients(self) -> Float64[ndarray, "k d"]:
        """(k+1, d) dense coefficients, built at the first use. For a large d, use `coefficients_sparse` or `at(t)`."""
        return frozen(self.coefficients_sparse.toarray())

    @cached_property
    def dual(self) -> Float64[ndarray, "k d"]:
        """(k+1, d) s at the jump times, in [-1, 1] or [-t_minus, t_plus]; at a bound on the equicorrelation sets."""
        return frozen(self._dual_rows(slice(None)))

    def _dual_rows(self, rows: slice) -> Float64[ndarray, "m d"]:
        """Return some rows of `dual` without computing the others."""
        every = np.arange(self.problem.shape[1])
        return self._at_bounds(self.problem.linear_map.rmatvec(self.nu[rows]), rows, every)

    def _dual_of(self, features: Int64[ndarray, " m"]) -> Float64[ndarray, "k m"]:
        """Return the columns of `dual` for some features without computing the others."""
        return self._at_bounds(self.nu @ self.problem.linear_map.take(features), slice(None), features)

    def _at_bounds(
        self, products: Float64[ndarray, "k m"], rows: slice, features: Int64[ndarray, " m"]
    ) -> Float64[ndarray, "k m"]:
        """Return s = q + products, with the exact bounds on the equicorrelation sets."""
        growth = self.growth
        low, high = -growth.t_minus[features], growth.t_plus[features]
        s = growth.at_signs(self._rows(0))[features] + products
        for row, boundary in zip(s, self.equicorrelation_sets[rows], strict=True):
            there = np.isin(features, boundary)
            row[there] = np.where(row[there] > 0.0, high[there], low[there])
        return np.clip(s, low, high)

    @cached_property
    def limit(self) -> Limit:
        r"""The end of a complete path: the minimiser of $\lVert w \rVert_1 - \langle q, w \rangle$ on argmin L.

        `value` is that objective, where q holds the signs of the start. With growth times it is
        $\sum_i t_i^+ w_i^+ + t_i^- w_i^- - \langle q, w \rangle$, where q holds the thresholds of these signs. `dual`
        is the last row of the path's `dual`.

        Raises:
            ImplicitBiasError: the path was cut before its end.
        """
        if np.isfinite(self.valid_until):
            raise ImplicitBiasError(
                f"the path ends at slow time {self.valid_until:g}, before its limit is reached ({self.status.name}: "
                f"{self.status.value}) Type ib.saddle_path(problem) without max_jumps, t_max and on_jump, or use "
                "path.coefficients[-1]"
            )
        w, s = self._rows(-1), self._dual_rows(slice(-1, None))[0]
        # On the support of w, s is at the threshold, so that <s, w> is the norm of w.
        value = float((s - self.growth.at_signs(self._rows(0))) @ w)
        return Limit(self.problem, frozen(w), value, self.certificate, self.status, dual=frozen(s))

    @cached_property
    def active_sets(self) -> tuple[ndarray, ...]:
        """k+1 ascending arrays of coordinates with a non-zero coefficient."""
        table = self.coefficients_sparse
        return tuple(
            frozen(table.indices[a:b]) for a, b in zip(table.indptr[:-1], table.indptr[1:], strict=True)
        )

    @cached_property
    def ever_active(self) -> Int64[ndarray, " m"]:
        """(m,) ascending coordinates with a non-zero coefficient at some saddle."""
        return frozen(np.unique(self.coefficients_sparse.indices).astype(np.int64))

    def at(self, t: Any) -> Float64[ndarray, "..."]:
        """Return w~(t), which is right-continuous: (d,) for a number, (m, d) for m times.

        Raises:
            InputError: t < 0, or t >= `valid_until`.
        """
        times = self._checked(t)
        rows = np.searchsorted(self.times, times, side="right") - 1
        return self._rows(rows)

    def time_average(self, t: Any) -> Float64[ndarray, "..."]:
        r"""Return the average $\frac1t \int_0^t \tilde w$: (d,) for a number, (m, d) for m times; w~(0) at t = 0.

        From a start of zeros the average solves the Lasso with penalty 1/t as long as no coordinate has returned to 0
        and left the equicorrelation set.

        Raises:
            InputError: t < 0, or t >= `valid_until`.

        Reference:
            berthier2026lasso.
        """
        times = self._checked(t)
        rows = np.searchsorted(self.times, times, side="right") - 1
        ends = np.append(self.times[1:], np.inf)
        spent = np.maximum(np.minimum(times[..., None], ends) - self.times, 0.0)
        # At t = 0 the average is the value w~(0).
        known = (times > 0.0)[..., None]
        weights = np.where(known, spent / np.where(known, times[..., None], 1.0), 0.0)
        average = (self.coefficients_sparse.T @ weights.reshape(-1, len(ends)).T).T
        shape = (*times.shape, self.problem.shape[1])
        return np.where(known, average.reshape(shape), self._rows(rows))

    def arc_length(self) -> Float64[ndarray, " k"]:
        """Return (k+1,) the sums of times[k] and ||w_j - w_(j-1)||_2 over j <= k, a time that also advances at jumps.

        A jump counts with the length of its chord, which is the variation of the limit. The curve of the flow during
        the jump is at least as long.
        """
        rows = self.coefficients_sparse
        unit = (
            float(np.max(np.abs(rows.data), initial=0.0)) or 1.0
        )  # the squares may overflow without this unit
        chords = unit * np.sqrt((((rows[1:] - rows[:-1]) / unit) ** 2).sum(axis=1))
        return self.times + np.concatenate([[0.0], np.cumsum(chords)])

    def to_dataset(self, active_only: bool = False) -> Any:
        """Return an `xarray.Dataset` over (jump, feature): coefficients, dual, time, loss, flags and attributes.

        Args:
            active_only: whether only the features of `ever_active` are stored. The coefficients of the others are 0 at
                every saddle. The variable `column` holds the column of X of each stored feature, and the attribute
                `columns` holds d. The size of the data set then does not grow with d.
        """
        d = self.problem.shape[1]
        columns = self.ever_active if active_only else np.arange(d)
        names = self.feature_names or tuple(f"x{i}" for i in range(d))
        return labelled.dataset(
            {
                "coefficients": (("jump", "feature"), self.coefficients_sparse[:, columns].toarray()),
                "dual": (("jump", "feature"), self._dual_of(columns) if active_only else self.dual),
                "column": (("feature",), columns),
                "loss": (("jump",), self.losses),
                "active": (("jump",), np.diff(self.coefficients_sparse.indptr)),
                "unique": (("jump",), self.unique),
                "strictly_complementary": (("jump",), self.strictly_complementary),
            },
            {
                "jump": np.arange(len(self.times)),
                "feature": [names[i] for i in columns.tolist()],
                "time": ("jump", self.times),
            },
            {
                "rows": self.problem.shape[0],
                "columns": d,
                "named": int(self.feature_names is not None),
                "valid_until": self.valid_until,
                "status": self.status.name,
                "certificate_holds": int(self.certificate.holds),
                "certificate_gap": np.nan if self.certificate.gap is None else self.certificate.gap,
                "time_unit": self.growth.time_unit,
                "time_label": self.growth.label,
            },
        )

    def save(self, path: str | Path) -> None:
        """Write the path, its certificate and its problem to one NPZ file without pickled code.

        An error leaves no partial file. If X takes more than 64 MiB, the file holds only the fingerprint of the
        problem, and `load` needs `like`.

        Raises:
            InputError: the file cannot be written.
        """
        from implicitbias.limits._path_files import write

        write(self, Path(path))

    @staticmethod
    def load(path: str | Path, like: LeastSquares | None = None) -> "SaddlePath":
        """Return a saved path. Its methods return the same values as before it was saved.

        Args:
            path: a file written by `save`.
            like: the problem of the path. It is used in place of the one in the file, after a comparison of
                fingerprints. It is needed if X was too large to be stored.

        Raises:
            InputError: the file does not exist, is damaged or is of another kind; `like` is needed or has other data.
        """
        from implicitbias.limits._path_files import read

        return SaddlePath(**read(Path(path), like))

    def _rows(self, rows: Any) -> Float64[ndarray, "..."]:
        """Return dense coefficients of some rows without building the others."""
        some = self.coefficients_sparse[np.ravel(rows)].toarray()
        return some.reshape(*np.shape(rows), self.problem.shape[1])

    def _checked(self, t: Any) -> Float64[ndarray, "..."]:
        try:
            times = np.asarray(t, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(
                f"t is {t!r}, a number or a one-dimensional array of times is expected"
            ) from None
        if times.ndim > 1:
            raise InputError(
                f"t has shape {times.shape}, a number or a one-dimensional array of times is expected"
            )
        if times.size and not (np.all(times >= 0.0) and np.all(times < self.valid_until)):
            raise InputError(
                f"t lies in [{np.min(times):g}, {np.max(times):g}], the path is known on [0, {self.valid_until:g}); "
                + (
                    "for a longer path, pass a larger max_jumps or t_max to ib.saddle_path"
                    if np.isfinite(self.valid_until)
                    else "finite times are expected"
                )
            )
        return times

    def __repr__(self) -> str:
        n, d = self.problem.shape
        return f"SaddlePath({self.n_jumps} jumps, n={n}, d={d}, {self.status.name}, certified={self.certificate.holds})"
