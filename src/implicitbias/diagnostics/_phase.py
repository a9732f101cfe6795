"""Which phase of training a checkpoint is in: near the kernel predictor of the start, or near the least norm."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.values import Fingerprinted
from implicitbias.limits import Limit, kernel_regime, norm_minimizer
from implicitbias.predictors import Jacobian, of
from implicitbias.problems import TrainingProblem

# Below these numbers training is still linear around the start, and above them it has left the start. The theory page
# derives what the second one means in time; the others were chosen from runs of diagonal networks.
_LAZY_CHANGE, _LAZY_MOVE = 0.1, 0.3
_RICH_MOVE, _RICH_COSINE = 2.0, 0.9
# The largest relative deviation from J theta = L f, and the largest output at the start relative to what is learned.
_HOMOGENEOUS, _NO_OUTPUT = 1e-6, 0.01
# Predictions below this share of |J| |theta| may be rounding errors, and the degree is read from the kernel instead,
# at parameters that are larger and smaller by this factor.
_CANCELLED, _STRETCH = 1e-8, 1.1

# The most steps of the descent to the late point. Its direction is known to a few digits after this number of steps,
# and where rows depend on each other the certificate may take many more.
_MOST_STEPS = 40

_TRICK = (
    "train the difference of two copies, which is 0 at the start and keeps the degree: type ib.Problem(lambda p, X: "
    "model(p[0], X) - model(p[1], X), X, y, loss) and start from (start, start)"
)


@dataclass(frozen=True, eq=False)
class Phase(Fingerprinted):
    r"""What the phase of a checkpoint is derived from, with `verdict` in words.

    With the part $c \, \theta_0$ of the parameters $\theta$ along the start, $\delta = \theta - c \, \theta_0$ is what
    training has added. While training is lazy, delta is parallel to the change h of `kernel_regime`.

    Attributes:
        kernel_cosine: the cosine of delta and h; nan if the tangent features do not separate the data.
        prediction_cosine: the cosine of the predictions and those of the kernel regime at `X_new`; nan without `X_new`.
        moved: ||delta|| / (c ||theta_0||); infinite if c <= 0.
        kernel_change: 1 minus the alignment <K_0, K> / (||K_0|| ||K||) of the tangent kernels at both points.
        late_cosine: the cosine of theta and the point of `norm_minimizer` that is reached from it; nan if theta does
            not solve the problem, or if it was not asked for.
        degree: the degree L of the model in its parameters, measured at the checkpoint as d ln f / d ln(scale). Where
            f = 0, as at the start, it is measured as 1 + (1/2) d ln K / d ln(scale) with the tangent kernel K.
        defect: the relative deviation from J theta = L f, or of K from its power of the scale; 0 if homogeneous.
        start_output: the root mean square of the predictions at the start, relative to the margin ln(1 / lam), or to
            the targets in regression.
        transition_time: the predicted time T at which training leaves the kernel regime, from the start; nan without
            weight decay.
        paper_time: ln(alpha) / lam with the root mean square alpha of the start, which the theory has as alpha grows.
        notes: sentences on what could not be measured, and why.
    """

    kernel_cosine: float
    prediction_cosine: float
    moved: float
    kernel_change: float
    late_cosine: float
    degree: float
    defect: float
    start_output: float
    transition_time: float
    paper_time: float
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        r"""The phase: "lazy", "on the way" or "rich".

        It is lazy while the kernel has changed by at most 0.1 and the parameters have moved by at most 0.3. After that
        it is rich if they have moved by at least 2, or if the cosine to the late point is at least 0.9. In the lazy
        phase `moved` is $e^{L \lambda (t - T)}$, which is derived, so that 0.3 is the time $1.2 / (L \lambda)$ before
        T. The other three numbers are not derived: they were chosen from runs of diagonal networks of degree 2.
        `reason` says on which of them a verdict rests.
        """
        if self.kernel_change <= _LAZY_CHANGE and self.moved <= _LAZY_MOVE:
            return "lazy"
        late = self.late_cosine >= _RICH_COSINE
        return "rich" if late or self.moved >= _RICH_MOVE else "on the way"

    @property
    def reason(self) -> str:
        """The numbers on which the verdict rests, in words."""
        ahead = f"it is {-np.log(self.moved):.2g}" if 0.0 < self.moved < np.inf else "it is infinite"
        if self.verdict == "lazy":
            return (
                f"moved is {self.moved:.2g}, at most {_LAZY_MOVE:g}, and kernel_change is {self.kernel_change:.2g}, at "
                f"most {_LAZY_CHANGE:g}. While training is lazy, moved grows like e^(L lam (t - T)), so that "
                f"L lam (T - t) = -ln(moved) is left until the transition: {ahead}."
            )
        if self.moved >= _RICH_MOVE:
            return f"moved is {self.moved:.2g}, at least {_RICH_MOVE:g}: what training has added exceeds the start."
        if self.verdict == "rich":
            return f"late_cosine is {self.late_cosine:.2g}, at least {_RICH_COSINE:g}."
        wrong = [
            f"{name} is {value:.2g}, more than {most:g}"
            for name, value, most in (
                ("moved", self.moved, _LAZY_MOVE),
                ("kernel_change", self.kernel_change, _LAZY_CHANGE),
            )
            if not value <= most
        ]
        return (
            f"{' and '.join(wrong)}, so that training is not lazy; moved is below {_RICH_MOVE:g} and late_cosine is "
            f"not {_RICH_COSINE:g} or more, so that it is not rich either."
        )

    def __str__(self) -> str:
        lines = [f"The phase is {self.verdict!r}: {self.reason}"]
        lines += [f"  {name} {getattr(self, name):.4g}" for name in _NUMBERS]
        return "\n".join([*lines, *self.notes])


_NUMBERS = (
    "kernel_cosine",
    "prediction_cosine",
    "moved",
    "kernel_change",
    "late_cosine",
    "degree",
    "defect",
    "start_output",
    "transition_time",
    "paper_time",
)


def phase(
    problem: Any,
    params: Any,
    start: Any,
    *,
    weight_decay: Any = 0.0,
    X_new: Any = None,
    late: bool = True,
) -> Any:
    r"""Return in which phase of training a checkpoint is, as a `Phase`, from the start of training.

    Training from a large start with a small weight decay lam first follows the tangent kernel of the start. The
    predicted time of the transition is $T = \ln(\lVert \theta_0 \rVert / (M \lVert h \rVert)) / (L \lambda)$, where h
    is the change of `kernel_regime` and M = ln(1 / lam) the margin that training keeps against the weight decay (M = 1
    in regression). It is the time at which the change $M e^{L \lambda t} h$, which keeps the fit, is as large as the
    start. It holds if M ||h|| is far below $\lVert \theta_0 \rVert$.

    Args:
        problem: a problem with the squared loss, the logistic or exponential loss, or the cross-entropy.
        params: the parameters of a checkpoint, or a list of checkpoints.
        start: the parameters at which training started.
        weight_decay: lam, the weight decay of training; 0 for none.
        X_new: inputs at which predictions are compared, for instance test inputs.
        late: whether the late KKT point is computed, which takes most of the time.

    Returns:
        A `Phase`, or a tuple with one for each checkpoint of a list.

    Raises:
        InputError: the loss is another one, the weight decay is negative, or the checkpoints do not fit the start.

    Reference:
        lyu2024dichotomy; section 'Early and late phases' of the theory page.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> data = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1])
        >>> problem = data.reparametrize(ib.SquareDifference())
        >>> start = (np.full(2, 30.0), np.full(2, 30.0))
        >>> early = ib.simulate(ib.GradientFlow(problem, weight_decay=1e-3), start, t1=1.0).final
        >>> found = ib.diagnostics.phase(problem, early, start, weight_decay=1e-3)
        >>> found.verdict, round(found.degree, 6), found.transition_time > 1000.0
        ('lazy', 2.0, True)
    """
    decay = _checked_decay(weight_decay)
    many = _several(params, start)
    origin = _Start(problem, start, decay, X_new)
    found = tuple(origin.phase(one, late) for one in (many or [params]))
    return found if many is not None else found[0]


class _Start:
    """The start of training, with its kernel predictor."""

    def __init__(self, problem: Any, start: Any, decay: float, X_new: Any) -> None:
        if not isinstance(problem, TrainingProblem):
            raise InputError(
                f"problem is a {type(problem).__name__}, a problem is expected; type ib.Problem(model, X, y)"
            )
        self.problem, self.params, self.decay, self.X_new = problem, start, decay, X_new
        self.shape, self.flat = problem.checked_params(start, "start")
        self.notes: list[str] = []
        self.limit: Limit | None = None
        try:
            self.limit = kernel_regime(problem, start)
            self.h = self._flat(self.limit.point)
        except ImplicitBiasError as error:
            self.notes.append(f"The kernel regime has no predictor: {error}.")
        self.kernel = of(problem).tangent_kernel(start).ravel()
        if decay >= 1.0 and not problem.double_objective.mean_loss.loss.quadratic:
            self.notes.append(
                f"The weight decay is {decay:g}, and one below 1 is expected: the margin ln(1 / lam) that training "
                "keeps against it is not positive. So there is no predicted time of the transition, and start_output "
                "is the size of the predictions themselves."
            )
        # In regression the targets are y, and in classification the margin that training keeps.
        self.margin = np.log(1.0 / decay) if 0.0 < decay < 1.0 else np.nan
        self.output = self._output()

    def phase(self, params: Any, late: bool) -> Phase:
        shape, flat = self.problem.checked_params(params, "params")
        if shape.shapes != self.shape.shapes:
            raise InputError(
                f"params has leaves of shapes {shape.shapes}, the start has {self.shape.shapes}; pass checkpoints of "
                "the same model"
            )
        notes = list(self.notes)
        along = float(flat @ self.flat) / (float(self.flat @ self.flat) or 1.0)
        delta = flat - along * self.flat
        size = along * float(np.linalg.norm(self.flat))
        kernel = of(self.problem).tangent_kernel(params)
        degree, defect = self._degree(params, flat, kernel)
        if defect > _HOMOGENEOUS:
            notes.append(
                f"The model is not homogeneous in its parameters (measured degree {degree:.3g}, defect {defect:.1g}), "
                "which the theory of the transition assumes; biases of inner layers are a usual cause."
            )
        late_cosine = self._late(params, flat, notes) if late else np.nan
        transition = self._transition(degree)
        if transition <= 0.0:
            notes.append(
                f"The predicted time of the transition is {transition:.3g}, which means that the start is not in the "
                "kernel regime and that there is no early phase: the change that the data need is longer than the "
                "start. Start from larger parameters."
            )
        return Phase(
            kernel_cosine=np.nan if self.limit is None else _cosine(delta, self._across(self.h)),
            prediction_cosine=self._prediction_cosine(params),
            moved=float(np.linalg.norm(delta)) / size if size > 0.0 else np.inf,
            kernel_change=1.0 - _cosine(kernel.ravel(), self.kernel),
            late_cosine=late_cosine,
            degree=degree,
            defect=defect,
            start_output=self.output,
            transition_time=transition,
            paper_time=np.log(np.sqrt(np.mean(self.flat**2))) / self.decay if self.decay > 0.0 else np.nan,
            notes=tuple(notes),
        )

    def _flat(self, tree: Any) -> Float64[ndarray, " p"]:
        flat: ndarray = self.problem.checked_params(tree, "params")[1]
        return flat

    def _across(self, h: Float64[ndarray, " p"]) -> Float64[ndarray, " p"]:
        """Return the part of a change across the start."""
        return h - float(h @ self.flat) / (float(self.flat @ self.flat) or 1.0) * self.flat

    def _output(self) -> float:
        """Return the relative size of the predictions at the start, and note it if it is not small."""
        f = self.problem.predict(self.params)
        loss = self.problem.double_objective.mean_loss
        goal = float(np.sqrt(np.mean(np.asarray(loss.targets) ** 2))) if loss.loss.quadratic else self.margin
        size = float(np.sqrt(np.mean(f**2)))
        relative = size / goal if goal > 0.0 else size
        if relative > _NO_OUTPUT:
            self.notes.append(
                f"The predictions at the start are {relative:.2g} of what is learned, and the theory has 0 there; "
                f"{_TRICK}."
            )
        return relative

    def _degree(
        self, params: Any, flat: Float64[ndarray, " p"], kernel: Float64[ndarray, "..."]
    ) -> tuple[float, float]:
        """Return the degree that fits J theta = L f best, and the relative deviation from it."""
        jacobian: Jacobian = of(self.problem).jacobian(params)
        f, product = jacobian.predictions.ravel(), jacobian.matvec(flat)
        size, square = float(np.linalg.norm(product)), float(f @ f)
        frobenius = float(np.sqrt(np.trace(kernel.reshape(len(f), len(f)))))
        if np.sqrt(square) <= _CANCELLED * frobenius * float(np.linalg.norm(flat)):
            return self._degree_of_kernel(flat)
        if size == 0.0:
            return np.nan, np.nan
        degree = float(product @ f) / square
        return degree, float(np.linalg.norm(product - degree * f)) / size

    def _degree_of_kernel(self, flat: Float64[ndarray, " p"]) -> tuple[float, float]:
        """Return the degree L that fits K(c theta) = c^(2 (L - 1)) K(theta), and the relative deviation from it."""
        large, small = (
            of(self.problem).tangent_kernel(self.shape.numpy_tree(c * flat)).ravel()
            for c in (_STRETCH, 1.0 / _STRETCH)
        )
        size, square = float(np.linalg.norm(large)), float(small @ small)
        if size == 0.0 or square == 0.0:
            return np.nan, np.nan
        factor = float(large @ small) / square
        degree = 1.0 + float(np.log(factor)) / (4.0 * float(np.log(_STRETCH))) if factor > 0.0 else np.nan
        return degree, float(np.linalg.norm(large - factor * small)) / size

    def _transition(self, degree: float) -> float:
        if self.limit is None or not self.decay > 0.0 or not degree > 0.0:
            return np.nan
        goal = 1.0 if self.limit.margin is None else self.margin
        reach = (
            float(np.linalg.norm(self.flat)) / (goal * self.limit.value) if self.limit.value > 0.0 else np.inf
        )
        return float(np.log(reach)) / (degree * self.decay) if reach > 0.0 else np.nan

    def _prediction_cosine(self, params: Any) -> float:
        if self.X_new is None or self.limit is None:
            return np.nan
        return _cosine(
            of(self.problem).predict(params, self.X_new).ravel(), self.limit.predict(self.X_new).ravel()
        )

    def _late(self, params: Any, flat: Float64[ndarray, " p"], notes: list[str]) -> float:
        try:
            end = norm_minimizer(self.problem, params, max_steps=_MOST_STEPS)
        except ImplicitBiasError as error:
            notes.append(f"There is no late point: {error}.")
            return np.nan
        if not end.certificate.holds:
            notes.append(f"The late point is not certified: {end.certificate.sentence}")
        return _cosine(flat, self._flat(end.point))


def _cosine(a: Float64[ndarray, " p"], b: Float64[ndarray, " p"]) -> float:
    """Return the cosine of the angle of two vectors; nan if one of them is 0."""
    sizes = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(a @ b) / sizes if sizes > 0.0 else np.nan


def _several(params: Any, start: Any) -> list[Any] | None:
    """Return the checkpoints of a list, or None for one checkpoint."""
    structure: Any = jax.tree.structure  # its stubs say that it may be None
    one = structure(start)
    if structure(params) == one:
        return None
    if isinstance(params, (list, tuple)) and params and all(structure(p) == one for p in params):
        return list(params)
    raise InputError(
        f"params has the structure {jax.tree.structure(params)}, that of the start is expected, {one}, or a list of "
        "such trees; pass checkpoints of the same model"
    )


def _checked_decay(weight_decay: Any) -> float:
    try:
        decay = float(weight_decay)
    except (TypeError, ValueError):
        decay = np.nan
    if not 0.0 <= decay < np.inf:
        raise InputError(
            f"weight_decay is {weight_decay!r}, a number >= 0 is expected; type weight_decay=1e-3"
        )
    return decay
