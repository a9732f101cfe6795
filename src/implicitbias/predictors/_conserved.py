"""Functions of the parameters that no gradient flow of the predictions changes."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.errors import InputError
from implicitbias._core.modules import PlainModule
from implicitbias._core.precision import double_precision
from implicitbias._core.values import Value
from implicitbias.parametrizations import Outputs, as_parametrization, outputs_of
from implicitbias.predictors._gated import GatedPredictor, gated
from implicitbias.predictors._lie_rows import combined, nested, rank_of, scaled
from implicitbias.predictors._quadratic_laws import (
    Law,
    Terms,
    all_hold,
    gradient_rank,
    laws_among,
    simple_terms,
    wide_terms,
)
from implicitbias.predictors._traced import traced
from implicitbias.problems import TrainingProblem

_MOST_LEVELS = 6
# Random points, of which the one with the largest rank is generic. Half of them are near the start, because the map may
# not be defined everywhere.
_POINTS = 4
# More combinations than dimensions, so that random ones span the fields.
_SPARE = 8
# The numbers of equations for each unknown coefficient of a law; the next one is tried if laws turn out to be wrong.
_SHARES = (1, 2, 4, 8)


class ConservedQuantities(Value):
    """The result of `ib.conserved_quantities`.

    Attributes:
        count: the number of independent conserved quantities near generic parameters.
        at_start: the number of directions in which theta cannot move at theta0 itself. It is larger than `count` at
            special points, for instance if units of a network are open for no row, or for all rows.
        laws: the conserved quantities of degree 1 and 2 that were found, each a `Law`: a function of theta with a
            printed form.
        independent: how many of the laws are independent at generic parameters.
        size: the number D of parameters.
        levels: the level of brackets at which the fields span their Lie algebra.

    Reference:
        marcotte2023abide.

    Examples:
        >>> import implicitbias as ib
        >>> found = ib.conserved_quantities(ib.HadamardProduct(), ([1.0], [2.0]))
        >>> found.laws
        (Law(theta[0][0]^2 - theta[1][0]^2),)
        >>> found.complete
        True
    """

    count: int
    at_start: int
    laws: tuple[Law, ...]
    independent: int
    size: int
    levels: int

    def __init__(
        self, count: int, at_start: int, laws: tuple[Law, ...], independent: int, size: int, levels: int
    ) -> None:
        self._settle(
            {
                "count": count,
                "at_start": at_start,
                "laws": laws,
                "independent": independent,
                "size": size,
                "levels": levels,
            }
        )

    @property
    def complete(self) -> bool:
        """Whether all conserved quantities are functions of `laws`."""
        return self.independent == self.count

    @property
    def sentence(self) -> str:
        """The result in words."""
        words = f"number of independent conserved quantities: {self.count}, for {self.size} parameters"
        if self.complete:
            return words + "; all are functions of the laws of degree 1 and 2 that were found" * (
                self.count > 0
            )
        return words + (
            f"; the laws that were found account for {self.independent}, and the others are no polynomials of the kind "
            "that is looked for"
        )

    def drift(self, trajectory: Any) -> Float64[ndarray, " laws"]:
        """Return for each law its largest change along a trajectory, relative to the size of its terms.

        Args:
            trajectory: a `Trajectory` of theta, for instance of a `GradientFlow` or of `GradientDescent`.

        Raises:
            InputError: the states of the trajectory are not parameters like theta0.
        """
        states = np.asarray(trajectory.flat_states)
        if states.ndim != 2 or states.shape[1] != self.size:
            raise InputError(
                f"the trajectory has states of shape {states.shape[1:]}, {self.size} parameters are expected; type "
                "ib.simulate(ib.GradientFlow(problem.reparametrize(G)), theta0, t1), whose states are theta"
            )
        return np.array([law.drift(states) for law in self.laws])

    def __repr__(self) -> str:
        return f"ConservedQuantities(count={self.count}: {self.sentence})"


class _Predictions(PlainModule):
    """The predictions of a problem as a map of its parameters."""

    predictor: Any

    def formula(self, params: Any) -> jax.Array:
        return self.predictor(params)


def conserved_quantities(G: Any, theta0: Any) -> ConservedQuantities:
    r"""Return the quantities that every gradient flow of w = G(theta) conserves, whatever the loss.

    A function h is conserved if its gradient is orthogonal to all $\nabla G_i$, and then also to all their Lie
    brackets. The number of independent ones is D minus the dimension of the Lie algebra that the $\nabla G_i$ generate
    at generic parameters. It is the rank of random combinations of the fields and of their brackets at a random
    point; levels of brackets are added until the rank stays the same, or until independent laws prove that it cannot
    grow.

    The laws of degree 1 and 2 come from linear algebra: all polynomials for D <= 40, and for more parameters entries of
    $U^\top U$ and $U U^\top$ of each matrix, squares, and products of entries at one place of two arrays. Their
    coefficients are rounded to fractions where these are conserved too.

    Args:
        G: a parametrization, a function of theta, or a problem. For a problem the fields are the gradients of its
            predictions on its rows, so that the laws hold for every target and loss on these inputs; use many random
            rows for the laws of a network on all inputs. Units max(z, 0) are open or closed at random, so that the laws
            hold for all parameters.
        theta0: the parameters, a pytree of arrays.

    Returns:
        `ConservedQuantities` with `count`, `laws`, and `drift(trajectory)`.

    Raises:
        InputError: theta0 does not fit, or w is not finite at all points that were tried.

    Reference:
        marcotte2023abide.

    Examples:
        >>> import implicitbias as ib
        >>> found = ib.conserved_quantities(ib.DeepDiagonal(3), ([1.0], [2.0], [0.5]))
        >>> found.count, [str(law) for law in found.laws]
        (2, ['theta[0][0]^2 - theta[2][0]^2', 'theta[1][0]^2 - theta[2][0]^2'])
        >>> problem = ib.LeastSquares([[1.0], [2.0]], [1.0, 1.0]).reparametrize(ib.DeepDiagonal(3))
        >>> path = ib.simulate(ib.GradientFlow(problem), ([1.0], [2.0], [0.5]), 5.0, rtol=1e-8)
        >>> bool(found.drift(path).max() < 1e-6)
        True
    """
    anywhere, here, start = _maps(G, theta0)
    return _found(anywhere, here, start)


def outputs_here(G: Any, theta0: Any) -> tuple[Outputs, Float64[ndarray, " D"]]:
    """Return the entries of w near theta0 as functions of the flat parameters, and the flat start.

    Args:
        G: a parametrization, a function of theta, or a problem, for which w is the vector of its predictions.
        theta0: the parameters.

    Raises:
        InputError: theta0 does not fit.
    """
    _, here, start = _maps(G, theta0)
    return here, start


def _maps(G: Any, theta0: Any) -> tuple[Outputs, Outputs, Float64[ndarray, " D"]]:
    """Return the map with units that are open or closed at random, the one with the units of theta0, and the start."""
    if not isinstance(G, TrainingProblem):
        outputs, start = outputs_of(as_parametrization(G), theta0)
        return outputs, outputs, start
    shape, start = G.checked_params(theta0, "theta0")
    with double_precision():
        predictor = traced(G.double_objective.readout)
        units = gated(predictor, shape, start)
        pair = (predictor, predictor) if units is None else (_with_random_slopes(units), units)
    anywhere, here = (Outputs(_Predictions(one), shape) for one in pair)
    return anywhere, here, start


def _with_random_slopes(units: GatedPredictor) -> GatedPredictor:
    """Return a model whose units max(z, 0) are open or closed at random, whatever the parameters.

    A law of the model holds wherever the parameters are, and therefore for all units open or closed.
    """
    return units.with_slopes(np.random.default_rng(1).integers(0, 2, units.slopes.shape).astype(np.float64))


def _found(anywhere: Outputs, outputs: Outputs, start: Float64[ndarray, " D"]) -> ConservedQuantities:
    """Return the conserved quantities of a map, which may differ from the map at theta0 in the slopes of its units."""
    with double_precision(), one_blas_thread():
        search = _Search(anywhere, start)
        laws = _laws(search)
        independent = gradient_rank(laws, search.generic)
        rank, levels = search.dimension(search.size - independent)
        at_start = search.size - search.rank_at(start, levels, outputs)
    return ConservedQuantities(search.size - rank, at_start, laws, independent, search.size, levels)


def _laws(search: "_Search") -> tuple[Law, ...]:
    """Return laws among a few terms if these suffice, else among many."""
    best: tuple[Law, ...] = ()
    most = 0
    for terms in (simple_terms(search.outputs.shape), wide_terms(search.outputs.shape)):
        laws = _confirmed(search, terms)
        rank = gradient_rank(laws, search.generic)
        if rank > most:
            best, most = laws, rank
        if most == search.size - search.first_rank:
            break
    return best


def _confirmed(search: "_Search", terms: Terms) -> tuple[Law, ...]:
    """Return laws that hold at points that were not used to find them.

    Equations at one point depend on each other, so that as many equations as unknowns may be too few.
    """
    for share in _SHARES:
        laws = laws_among(terms, *search.equations(share * len(terms.terms), terms.block))
        if all_hold(laws, *search.fresh()):
            return laws
    raise InputError(
        f"laws among {len(terms.terms)} terms do not hold at points that were not used to find them, also with "
        f"{_SHARES[-1]} equations for each; a map with fields of similar sizes is expected: rescale its parameters"
    )


class _Search:
    """The fields of a map at random points.

    Attributes:
        outputs: the map.
        size: the number D of parameters.
        generic: the random point at which the fields have the largest rank, which is `first_rank`.
        first_rank: the rank of the fields there, without brackets.
    """

    def __init__(self, outputs: Outputs, start: Float64[ndarray, " D"]) -> None:
        k = int(np.prod(jax.eval_shape(outputs, start).shape))
        self.outputs, self.size, self._k, self._start = outputs, len(start), k, start
        self._rng = np.random.default_rng(0)
        # Random weights span the fields of many outputs; few outputs are taken as they are.
        many = k > self.size + _SPARE
        self._weights = self._rng.standard_normal((self.size + _SPARE, k)) if many else np.eye(k)
        points, rows = self._draw(_POINTS, len(self._weights))
        ranks = [rank_of(some) for some in rows]
        self.generic, self.first_rank = points[int(np.argmax(ranks))], max(ranks)
        self._first = rows[int(np.argmax(ranks))]

    def equations(
        self, unknowns: int, block: int
    ) -> tuple[Float64[ndarray, "p D"], Float64[ndarray, "p n D"]]:
        """Return points and fields there, enough to determine a number of unknowns.

        A square (n^T theta)^2 looks conserved if n is orthogonal to theta at all points, so that there are more points
        than `block`, the number of parameters whose products are all among the unknowns.
        """
        count = max((unknowns + 20) // max(self.first_rank, 1) + 1, block + 3, _POINTS)
        return self._draw((count + 1) // 2, min(2 * (unknowns + 20) // count + 1, len(self._weights)))

    def fresh(self) -> tuple[Float64[ndarray, "p D"], Float64[ndarray, "p n D"]]:
        """Return new points and all combinations of the fields there."""
        return self._draw(1, len(self._weights))

    def dimension(self, most: int) -> tuple[int, int]:
        """Return the dimension of the Lie algebra at the generic point, and the level of brackets that reaches it.

        It cannot exceed `most`. A level that adds nothing near a generic point ends the search, because the span is
        then closed under brackets with the fields.
        """
        rows, rank = self._first, self.first_rank
        for level in range(2, _MOST_LEVELS + 1):
            if rank >= most:
                return rank, level - 1
            rows = np.concatenate([rows, self._nested(self.generic, level, self.outputs)])
            larger = rank_of(rows)
            if larger == rank:
                return rank, level - 1
            rank = larger
        raise InputError(
            f"the brackets of the fields still span more at level {_MOST_LEVELS}: {rank} of {self.size} dimensions; a "
            "map whose Lie algebra needs fewer levels is expected; try fewer parameters"
        )

    def rank_at(self, point: Float64[ndarray, " D"], levels: int, outputs: Outputs) -> int:
        """Return the rank of the fields of a map and of their brackets at a point."""
        rows = scaled(self._combined(point, outputs))
        return rank_of(
            np.concatenate([rows, *(self._nested(point, k, outputs) for k in range(2, levels + 1))])
        )

    def _nested(self, point: ndarray, level: int, outputs: Outputs) -> Float64[ndarray, "n D"]:
        """Return random brackets of a level, scaled to length 1; those that are rounding errors are 0."""
        count = self.size - self.first_rank + _SPARE
        weights = self._rng.standard_normal((count, level, self._k))
        return nested(outputs, point, weights)

    def _draw(self, pairs: int, each: int) -> tuple[Float64[ndarray, "p D"], Float64[ndarray, "p n D"]]:
        """Return random points at which all fields are finite, and some combinations of the fields there."""
        noise = self._rng.standard_normal((2 * pairs, self.size))
        near = self._start + (0.3 * np.abs(self._start) + 0.1) * noise[:pairs]
        points, rows = [], []
        for point in (*(0.4 + noise[pairs:]), *near):
            fields = self._combined(point, self.outputs)
            if np.all(np.isfinite(fields)):
                points.append(point)
                fewer = self._rng.standard_normal((each, len(fields))) if each < len(fields) else np.eye(each)
                rows.append(scaled(fewer @ fields))
        if not points:
            raise InputError(
                "the gradients of w are not finite at all points that were tried, near theta0 and elsewhere; a map "
                "that is smooth near theta0 is expected"
            )
        return np.array(points), np.array(rows)

    def _combined(self, point: ndarray, outputs: Outputs) -> Float64[ndarray, "n D"]:
        return np.asarray(combined(outputs, point, self._weights))
