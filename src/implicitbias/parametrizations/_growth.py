"""The growth of a diagonal network: thresholds, the split of dependent columns, and the unit of slow time."""

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import as_float, frozen
from implicitbias._core.errors import InputError
from implicitbias._core.values import Value
from implicitbias.parametrizations._split_rules import EntropySplit, SplitRule

# Products of the data with thresholds outside this range may overflow or underflow in float64.
_LEAST, _MOST = 1e-140, 1e140
# The exponentials of larger numbers overflow in float64.
_LARGEST_LOG = 709.0
_HINT = "type growth_times=G.growth_times(direction), for instance with G = ib.DeepDiagonal(3)"


class Growth(Value):
    r"""The growth of the coordinates of a network from $\theta_0 = \alpha \cdot \mathrm{direction}$ as $\alpha \to 0$.

    `G.growth_times(direction)` returns it, and `saddle_path(problem, growth_times=growth)` and
    `MinL1(growth_times=growth)` accept it. It unpacks as the pair of its thresholds: `t_plus, t_minus = growth`.

    Slow time is $t / \ln(1/\alpha)$ for networks of order 2 and $t \, \alpha^{D-2}$ for those of order $D \ge 3$.

    Args:
        t_plus: positive thresholds in the shape of w. Under a constant force $-\partial_i L = f > 0$ the coordinate
            $w_i$ becomes visible at the slow time $t_i^+ / f$. The threshold is inf if $w_i$ never becomes positive.
        t_minus: the same thresholds for $f < 0$ and negative values.
        order: the order D >= 2 of w in $\theta$ at 0, which determines the unit of slow time; None if the network is
            not known.
        split: the rule that selects one of several w with the same fit if columns are dependent; None if the rule is
            not known.

    Attributes:
        label: the name of slow time for an axis, with mathematics between dollar signs.
        time_unit: the name of slow time for a data set, in plain text.
        unit: the flow time of one unit of slow time, in plain text; None if the order is not known.

    Raises:
        InputError: the thresholds are not positive or have different shapes, or the order is below 2.

    Reference:
        zhao2026gradient.

    Examples:
        >>> import implicitbias as ib
        >>> growth = ib.DeepDiagonal(3).growth_times(([1.0], [1.0], [1.0]))
        >>> t_plus, t_minus = growth
        >>> t_plus.round(6).tolist(), t_minus.tolist()
        ([1.0], [inf])
        >>> growth.time_unit
        'slow time: flow time / alpha^-1'
        >>> growth.flow_time(2.0, scale=1e-3)
        2000.0
    """

    t_plus: Float64[ndarray, "..."]
    t_minus: Float64[ndarray, "..."]
    order: int | None
    split: SplitRule | None

    def __init__(self, t_plus: Any, t_minus: Any, order: Any = None, split: SplitRule | None = None) -> None:
        plus, minus = _positive(t_plus, "t_plus"), _positive(t_minus, "t_minus")
        if plus.shape != minus.shape:
            raise InputError(
                f"t_plus has shape {plus.shape} and t_minus has shape {minus.shape}, they must agree: each coordinate "
                "has one threshold of each kind"
            )
        if order is not None and not (isinstance(order, Integral) and int(order) >= 2):
            raise InputError(f"order is {order!r}, a whole number of at least 2 or None is expected")
        self._settle(
            {"t_plus": plus, "t_minus": minus, "order": None if order is None else int(order), "split": split}
        )

    @classmethod
    def product(cls, d: int) -> "Growth":
        r"""Return the growth of $w = u \odot v$ from $u_0 = \sqrt2 \alpha$ and $v_0 = 0$, which is the default."""
        one, half = np.ones(d), np.full(d, -np.log(2.0))
        return cls(one, one, 2, EntropySplit(half, half))

    @classmethod
    def of(cls, value: Any, d: int) -> "Growth":
        """Return the `Growth` of d coordinates for the argument `growth_times` of a user.

        Args:
            value: a `Growth`, a pair (t_plus, t_minus) of numbers or (d,) arrays, or None for `product`.
            d: the number of coordinates.

        Raises:
            InputError: the thresholds have another shape, or are not positive numbers.
        """
        if value is None:
            return cls.product(d)
        if isinstance(value, cls):
            if value.t_plus.shape != (d,):
                raise InputError(
                    f"growth_times is for w of shape {value.t_plus.shape}, but X has {d} columns; type "
                    "growth_times=G.growth_times(direction) with one entry for each column in each array of direction"
                )
            _refuse_range(value.t_plus, "t_plus")
            _refuse_range(value.t_minus, "t_minus")
            return value
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            got = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
            raise InputError(f"growth_times is {got}, the pair (t_plus, t_minus) is expected; {_HINT}")
        return cls(_for_columns(value[0], "t_plus", d), _for_columns(value[1], "t_minus", d))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, place: int) -> Float64[ndarray, "..."]:
        return (self.t_plus, self.t_minus)[place]

    def __iter__(self) -> Iterator[Float64[ndarray, "..."]]:
        return iter((self.t_plus, self.t_minus))

    @property
    def finite(self) -> bool:
        """Whether every coordinate can have both signs."""
        return bool(np.all(np.isfinite(self.t_plus)) and np.all(np.isfinite(self.t_minus)))

    def at_signs(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        """Return the threshold for the sign of each w_i: t_plus where w_i > 0, -t_minus where w_i < 0, and else 0."""
        return np.where(w > 0.0, self.t_plus, np.where(w < 0.0, -self.t_minus, 0.0))

    @property
    def unit(self) -> str | None:
        """The flow time of one unit of slow time, in plain text."""
        if self.order is None:
            return None
        return "ln(1/alpha)" if self.order == 2 else f"alpha^-{self.order - 2}"

    @property
    def time_unit(self) -> str:
        """The name of slow time for a data set, in plain text."""
        if self.unit is None:
            return "slow time, in the unit of the growth times"
        return f"slow time: flow time / {self.unit}"

    @property
    def label(self) -> str:
        """The name of slow time for an axis, with mathematics between dollar signs."""
        if self.order is None:
            return "slow time"
        if self.order == 2:
            return r"slow time  $t \,/\, \ln(1/\alpha)$"
        power = "" if self.order == 3 else f"^{{{self.order - 2}}}"
        return rf"slow time  $t \cdot \alpha{power}$"

    def flow_time(self, slow_time: Any, *, scale: Any = None, log_scale: Any = None) -> Any:
        r"""Return the flow time t of a slow time, for the start scale * direction.

        Args:
            slow_time: a number or an array of numbers.
            scale: the scale alpha of the start, between 0 and 1.
            log_scale: ln(scale), for scales that would underflow. Give exactly one of the two arguments.

        Raises:
            InputError: both or none of the scales are given, the scale is outside (0, 1), the order is unknown, or the
                flow time overflows.

        Examples:
            >>> import implicitbias as ib
            >>> growth = ib.HadamardProduct().growth_times(([1.0], [0.0]))
            >>> round(growth.flow_time(0.5, log_scale=-2302.585), 4)  # a scale of 1e-1000
            1151.2925
        """
        return _times(slow_time, self._unit(scale, log_scale))

    def slow_time(self, flow_time: Any, *, scale: Any = None, log_scale: Any = None) -> Any:
        """Return the slow time of a flow time, for the start scale * direction; this inverts `flow_time`.

        Raises:
            InputError: both or none of the scales are given, the scale is outside (0, 1), or the order is unknown.
        """
        return _times(flow_time, 1.0 / self._unit(scale, log_scale))

    def log_unit(self, *, scale: Any = None, log_scale: Any = None) -> float:
        r"""Return the natural logarithm of the flow time of one unit of slow time.

        It is $\ln \ln(1/\alpha)$ for order 2 and $(2 - D) \ln \alpha$ for order D >= 3.

        Raises:
            InputError: both or none of the scales are given, the scale is outside (0, 1), or the order is unknown.
        """
        order, log_alpha = self._known_order(), _log_scale(scale, log_scale)
        return float(np.log(-log_alpha)) if order == 2 else (2 - order) * log_alpha

    def _unit(self, scale: Any, log_scale: Any) -> float:
        """Return the flow time of one unit of slow time."""
        order, log_alpha = self._known_order(), _log_scale(scale, log_scale)
        if order == 2:
            return -log_alpha
        log_unit = (2 - order) * log_alpha
        if log_unit > _LARGEST_LOG:
            raise InputError(
                f"the flow time of one unit of slow time is e^{log_unit:.6g}, which overflows in float64; for its "
                "logarithm type growth.log_unit(log_scale=...)"
            )
        return float(np.exp(log_unit)) if scale is None else as_float(scale) ** (2.0 - order)

    def _known_order(self) -> int:
        """Return the order, or raise an `InputError` if it is not known."""
        if self.order is None:
            raise InputError(
                "the unit of this slow time is not known, because the growth times were given as a pair of arrays; "
                f"{_HINT}"
            )
        return self.order


def _log_scale(scale: Any, log_scale: Any) -> float:
    """Return ln(alpha), computed from the argument that is given."""
    if (scale is None) == (log_scale is None):
        raise InputError("one of scale and log_scale is expected; type scale=1e-3")
    name, value = ("log_scale", log_scale) if scale is None else ("scale", scale)
    low, high = (-np.inf, 0.0) if scale is None else (0.0, 1.0)
    if not isinstance(value, Real) or not low < as_float(value) < high:
        raise InputError(
            f"{name} is {value!r}, a number between {low:g} and {high:g} is expected, because the start "
            "scale * direction is small; type scale=1e-3, or log_scale=-6.9 for its natural logarithm"
        )
    return as_float(value) if scale is None else float(np.log(as_float(value)))


def _times(time: Any, factor: float) -> Any:
    """Return a number or an array of times in another unit."""
    try:
        times = np.asarray(time, dtype=np.float64) * factor
    except (TypeError, ValueError) as error:
        raise InputError(f"the time is {time!r}, a number or an array of numbers is expected") from error
    return times if times.ndim else float(times)


def _positive(value: Any, name: str) -> Float64[ndarray, "..."]:
    """Return thresholds as a read-only float64 array."""
    try:
        times = np.asarray(value)
    except ValueError:  # The rows have different lengths.
        times = np.asarray(value, dtype=object)
    if times.dtype.kind not in "fiu":
        raise InputError(f"{name} of growth_times is {value!r}, positive numbers are expected; {_HINT}")
    times = np.array(times, dtype=np.float64)
    bad = np.flatnonzero(~(times.ravel() > 0.0))
    if len(bad):
        raise InputError(
            f"{name} of growth_times is {times.ravel()[bad[0]]:g} at {bad[0]}, positive numbers are expected, or inf "
            f"if a coordinate never has that sign; {_HINT}"
        )
    return frozen(times)


def _for_columns(value: Any, name: str, d: int) -> Float64[ndarray, " d"]:
    """Return the thresholds of d columns, or raise an `InputError` if they are outside the range of the path."""
    times = _positive(value, name)
    if times.shape not in ((), (1,), (d,)):
        raise InputError(
            f"{name} of growth_times has shape {times.shape}, a number or one for each of the {d} columns of X is "
            f"expected; {_HINT}"
        )
    _refuse_range(times, name)
    return np.broadcast_to(times, (d,))


def _refuse_range(times: Float64[ndarray, "..."], name: str) -> None:
    times = times.ravel()
    small = np.flatnonzero((times < _LEAST) | ((times > _MOST) & np.isfinite(times)))
    if len(small):
        raise InputError(
            f"{name} of growth_times is {times[small[0]]:g} at {small[0]}, numbers in [{_LEAST:g}, {_MOST:g}] are "
            "expected; change the unit of time of both t_plus and t_minus"
        )
