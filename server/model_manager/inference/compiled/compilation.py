"""An estimator that already serves → a predictor of faster forms, proven equal, with a report of what was done.

Blocking, in a loader thread, beside serving: builders make forms, the proof keeps those that are equal, measurement
chooses among them. Whatever goes wrong, scikit-learn stays.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import thread_time
from typing import Any, Final

from model_manager.errors import one_line
from model_manager.inference.compiled.builders import candidates
from model_manager.inference.compiled.fastest import SIZES, CompiledPredictor, Costs, FormFailure, measure
from model_manager.inference.compiled.form import Form, NotCovered
from model_manager.inference.compiled.proof.rows import RowMaker, groups
from model_manager.inference.compiled.proof.scales import find_scales
from model_manager.inference.compiled.proof.trials import OutOfTime, Trial, make_trials
from model_manager.inference.compiled.proof.verdict import Verdict, prove
from model_manager.inference.predictor import Predictor, SklearnPredictor
from model_manager.inference.threads import limit_native_threads
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Rows

FIRST_BUDGET_S: Final = 20.0
"""CPU time for the first attempt: on a busy machine the clock on the wall says nothing of what was done."""

FIRST_WAIT_S: Final = 60.0
_LARGEST_BUDGET_S: Final = 160.0
_LONGEST_WAIT_S: Final = 24 * 3600.0
MAX_COLUMNS: Final = 4096
"""Of wider rows, the many that a proof takes would not fit into the memory that a small pod has."""
_REPORTED_SIZES: Final = (1, 256)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A form that is not used, for which outputs (none: it was not built), and why, for people."""

    form: str
    outputs: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What compiling found.

    `forms`: by declared output and batch size, the form that answers batches of up to that size. `speedup`: by batch
    size, how many times faster than scikit-learn the default output is (the first that has a form, if that has none).
    Differences: the largest in outputs that are used, absolute ones on plain rows only. `reason`: why nothing was
    compiled, if so. `out_of_time`: because the time was over, so that another attempt is worth it; `retry_at`, in Unix
    time, says when. `seconds` of CPU time.
    """

    forms: dict[str, dict[int, str]]
    speedup: dict[int, float] = field(default_factory=dict)
    largest_absolute_difference: float = 0.0
    largest_relative_difference: float = 0.0
    rows_proven: int = 0
    rejected: tuple[Rejection, ...] = ()
    reason: str | None = None
    out_of_time: bool = False
    retry_at: float | None = None
    seconds: float = 0.0

    @property
    def compiled(self) -> bool:
        """Whether any output is answered by something other than scikit-learn."""
        return any(form != SklearnPredictor.form for by_size in self.forms.values() for form in by_size.values())


@dataclass(frozen=True, slots=True)
class Compilation:
    """The predictor to serve with, scikit-learn's own if nothing better was proven, and the report."""

    predictor: Predictor
    report: CompileReport
    recipe: "Recipe"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What compiling found, as plain values: enough to build the same predictor of the same artifact elsewhere.

    `proven`: the candidates that won, by their number among all, and the outputs that each proved equal for.
    """

    report: CompileReport
    proven: dict[int, tuple[str, ...]]
    costs: Costs


def compile_predictor(
    estimator: Any,
    sklearn_predictor: SklearnPredictor,
    examples: Rows | None,
    *,
    budget_s: float = FIRST_BUDGET_S,
    clock: Callable[[], float] = thread_time,
    stopped: Callable[[], bool] = lambda: False,
    failed: Callable[[FormFailure], None] = lambda failure: None,
) -> Compilation:
    """Find, prove and measure faster forms of a fitted estimator; blocking, for about a second of CPU time.

    `budget_s` bounds the CPU time of this thread. `examples` are real rows, such as the golden ones. Whatever fails,
    the report says why scikit-learn stays; raises only what is no Exception. Budget and `stopped` are looked at between
    batches and forms, so one long step can pass them. `failed` is told of forms that fail once they serve, see
    CompiledPredictor.
    """
    started = clock()

    def check_time() -> None:
        if stopped():
            raise OutOfTime("nobody needs it any more")
        if clock() - started > budget_s:
            found.out_of_time = True
            raise OutOfTime(f"compiling was given {budget_s:g} s of CPU time, and they are over")

    found = _Found()
    predictor: Predictor = sklearn_predictor
    reason: str | None = None
    try:
        limit_native_threads()
        with warnings_dropped():  # of numbers as large as they get: rows are made up
            _prove_forms(estimator, sklearn_predictor, examples, found, check_time)
        if forms := found.proven():
            ordinary = next(trial.rows for trial in found.trials if trial.plain)
            found.costs = measure(sklearn_predictor, forms, ordinary, check_time)
            compiled = CompiledPredictor(sklearn_predictor, forms, found.costs, failed=failed)
            if compiled.uses_forms:
                predictor = compiled
            else:
                names = sorted({verdict.form.name for verdict in found.verdicts.values()})
                reason = f"scikit-learn is as fast as {', '.join(names)}"
    except (OutOfTime, NotCovered) as error:
        reason = str(error)
    except Exception as error:
        reason = f"compiling failed: {one_line(error)}"
    return _compilation(predictor, found, reason, clock() - started)


def build_proven(
    estimator: Any,
    sklearn_predictor: SklearnPredictor,
    recipe: Recipe,
    *,
    failed: Callable[[FormFailure], None] = lambda failure: None,
) -> Compilation:
    """Build what was compiled and proven, of the same artifact, in another process; blocking.

    Raises what builders do.
    """
    if not recipe.report.compiled:
        return Compilation(sklearn_predictor, recipe.report, recipe)
    limit_native_threads()
    forms: dict[str, list[Form]] = {}
    with warnings_dropped():
        for number, candidate in enumerate(candidates(estimator, sklearn_predictor.signature)):
            if number in recipe.proven:
                form = candidate.build()
                for output in recipe.proven[number]:
                    forms.setdefault(output, []).append(form)
    return Compilation(CompiledPredictor(sklearn_predictor, forms, recipe.costs, failed=failed), recipe.report, recipe)


def not_compiled(sklearn: SklearnPredictor, reason: str) -> Compilation:
    """scikit-learn itself, and a report that says why."""
    return _compilation(sklearn, _Found(), reason, 0.0)


def _compilation(predictor: Predictor, found: "_Found", reason: str | None, seconds: float) -> Compilation:
    report = _report(predictor, found, reason, seconds)
    proven = {number: tuple(sorted(verdict.proven)) for number, verdict in found.verdicts.items() if verdict.proven}
    return Compilation(predictor, report, Recipe(report, proven, found.costs))


def seconds_allowed(attempt: int) -> float:
    """CPU seconds for an attempt, from 1: twice as many each time, since what was too little will be so again."""
    return min(_LARGEST_BUDGET_S, FIRST_BUDGET_S * 2.0 ** min(attempt - 1, 8))


def seconds_before_retry(attempt: int) -> float:
    """Seconds to wait after an attempt that ran out of time: twice as many each time, and never more than a day."""
    return min(_LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt - 1, 16))


@dataclass(slots=True)
class _Found:
    """What is known so far; the report is made of it even if time runs out."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    """By the number of the candidate."""
    unbuilt: list[Rejection] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    costs: Costs = field(default_factory=dict)
    out_of_time: bool = False

    def refusals(self, outputs: Iterable[str]) -> tuple[Rejection, ...]:
        """Forms that were rejected, and those there are none of if they could have covered what is left open."""
        covered = set(outputs) <= self.proven().keys()
        return (*([] if covered else self.unbuilt), *self.rejected)

    def proven(self) -> dict[str, list[Form]]:
        """The proven forms by output."""
        forms: dict[str, list[Form]] = {}
        for verdict in self.verdicts.values():
            for output in sorted(verdict.proven):
                forms.setdefault(output, []).append(verdict.form)
        return forms


def _prove_forms(
    estimator: Any,
    sklearn: SklearnPredictor,
    examples: Rows | None,
    found: _Found,
    check_time: Callable[[], None],
) -> None:
    """Build and prove, candidate after candidate, until every output has a form. Raises OutOfTime, NotCovered."""
    outputs = tuple(output.name for output in sklearn.signature.outputs)
    if sklearn.signature.columns is None:
        raise NotCovered("the number of its columns is not known")
    if len(sklearn.signature.columns) > MAX_COLUMNS:
        raise NotCovered(f"it has {len(sklearn.signature.columns)} columns; forms are looked for up to {MAX_COLUMNS}")
    for number, candidate in enumerate(candidates(estimator, sklearn.signature)):
        if set(outputs) <= found.proven().keys():
            break
        check_time()
        try:
            form = candidate.build()
        except Exception as error:
            kind = "" if isinstance(error, NotCovered) else f"{type(error).__name__}: "
            found.unbuilt.append(Rejection(candidate.name, (), kind + " ".join(str(error).split())[:300]))
            continue
        if form.outputs & set(outputs):
            _prove_form(number, form, estimator, sklearn, examples, found, check_time)


def _prove_form(
    number: int,
    form: Form,
    estimator: Any,
    sklearn: SklearnPredictor,
    examples: Rows | None,
    found: _Found,
    check_time: Callable[[], None],
) -> None:
    if not found.trials or form.splits:
        maker = RowMaker(sklearn.signature, find_scales(estimator, sklearn.signature, form.splits))
        outputs = tuple(output.name for output in sklearn.signature.outputs)
        found.trials = make_trials(groups(maker, examples, form.splits), sklearn, outputs, check_time)
    verdict = prove(form, found.trials, check_time)
    found.verdicts[number] = verdict
    reasons: dict[str, list[str]] = {}
    for output, reason in sorted(verdict.rejected.items()):
        reasons.setdefault(reason, []).append(output)
    found.rejected.extend(Rejection(form.name, tuple(names), reason) for reason, names in reasons.items())


def _report(predictor: Predictor, found: _Found, reason: str | None, seconds: float) -> CompileReport:
    declared = [output.name for output in predictor.signature.outputs]
    if not isinstance(predictor, CompiledPredictor):
        reason = reason or _why_none(found.refusals(declared))
        forms = {output: dict.fromkeys(SIZES, predictor.form) for output in declared}
        refused = found.refusals(declared)
        return CompileReport(forms, rejected=refused, reason=reason, out_of_time=found.out_of_time, seconds=seconds)
    used = [verdict for verdict in found.verdicts.values() if verdict.proven]
    return CompileReport(
        forms={output: {size: predictor.form_of(output, size) for size in SIZES} for output in declared},
        speedup=_speedup(found.costs, declared),
        largest_absolute_difference=max(verdict.largest_absolute for verdict in used),
        largest_relative_difference=max(verdict.largest_relative for verdict in used),
        rows_proven=max(verdict.rows for verdict in used),
        rejected=found.refusals(declared),
        seconds=seconds,
    )


def _why_none(refusals: tuple[Rejection, ...]) -> str:
    """The last that was tried is the most general one; what it failed by is what people can act on."""
    tried = [refusal for refusal in refusals if refusal.outputs] or list(refusals)
    if not tried:
        return "there is no form for it"
    last = tried[-1]
    what = f"{', '.join(last.outputs)}, {last.reason}" if last.outputs else last.reason
    return f"no form proved equal to scikit-learn; {last.form}: {what}"


def _speedup(costs: Costs, declared: list[str]) -> dict[int, float]:
    """Of the first declared output that was measured."""
    output = next(name for name in declared if name in costs)
    return {
        size: round(costs[output][size][SklearnPredictor.form] / min(costs[output][size].values()), 2)
        for size in _REPORTED_SIZES
    }
