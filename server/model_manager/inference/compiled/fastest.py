"""Forms that proved equal → one predictor that takes, for every output and batch size, the fastest as measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeAlias

from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.form import Form, NotVouched
from model_manager.inference.predictor import Predictor
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Rows, Signature

SIZES: Final = (1, 4, 16, 64, 256, 1000)
"""Batch sizes that are measured; a batch is treated as the next larger one."""
MAX_FAILURES: Final = 10
"""A form that failed this often is not asked any more: every failure costs its batch the time of another form."""
MAX_PLANS: Final = 64
"""Choices and orders of outputs whose plan is kept. A new plan costs some microseconds; clients think of any order."""

_REPEATS: Final = 5
_PATIENCE_S: Final = 0.05
_SKLEARN: Final = "sklearn"

Predict: TypeAlias = Callable[[Rows, tuple[str, ...]], dict[str, Array]]
Costs: TypeAlias = dict[str, dict[int, dict[str, float]]]
"""Seconds by output, by batch size, by form; scikit-learn among them."""
Part: TypeAlias = tuple[tuple[tuple[str, Predict], ...], tuple[str, ...]]
"""Names and functions of the forms to ask in turn before scikit-learn, and the outputs to ask them for."""


@dataclass(frozen=True, slots=True)
class FormFailure:
    """A form raised where it should have answered; another one did. `given_up`: it is not asked any more."""

    form: str
    error: Exception
    times: int
    given_up: bool


class CompiledPredictor:
    """Answers with proven forms; scikit-learn answers what they leave open, and all outputs without a form.

    `failures` counts, by form, the batches on which it raised. Whoever serves is told of the first one and of the one
    at which the form is given up.
    """

    def __init__(
        self,
        sklearn: Predictor,
        forms: Mapping[str, Sequence[Form]],
        costs: Costs,
        *,
        failed: Callable[[FormFailure], None] = lambda failure: None,
    ) -> None:
        """`forms` are the proven ones by output, `costs` what they and scikit-learn were measured to cost.

        `failed` is called from whichever thread predicts.
        """
        self.signature: Signature = sklearn.signature
        self._sklearn = sklearn
        self._failed = failed
        self._predicts: dict[str, Predict] = {form.name: form.predict for proven in forms.values() for form in proven}
        self.failures = dict.fromkeys(self._predicts, 0)
        self._ranked = {
            output: {size: tuple(sorted(by_form, key=by_form.__getitem__)) for size, by_form in by_size.items()}
            for output, by_size in costs.items()
        }
        self._plans: dict[tuple[str, ...], list[tuple[int, list[Part]]]] = {}

    @property
    def form(self) -> str:
        """The forms that answer single rows, in the order of the outputs."""
        return "+".join(dict.fromkeys(self.form_of(output.name, 1) for output in self.signature.outputs))

    @property
    def uses_forms(self) -> bool:
        """Whether any output at any batch size is answered by a form."""
        return any(self.form_of(output, size) != _SKLEARN for output, sizes in self._ranked.items() for size in sizes)

    def form_of(self, output: str, count: int) -> str:
        """Name the form that answers `output` for a batch of `count` rows."""
        return next(iter(self._forms_for(output, count)), _SKLEARN)

    def predict(self, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array]:
        """Answer with one run per form that is needed. Raises PredictionFailed where scikit-learn does."""
        count = len(rows)
        parts: list[Part] = []
        for size, parts in self._plans.get(outputs) or self._plan(outputs):  # noqa: B007  the last one holds for more
            if count <= size:
                break
        if len(parts) == 1:
            return self._ask(rows, parts[0])
        answers: dict[str, Array] = {}
        for part in parts:
            answers.update(self._ask(rows, part))
        return answers

    def _ask(self, rows: Rows, part: Part) -> dict[str, Array]:
        forms, outputs = part
        for name, predict in forms:
            try:
                return predict(rows, outputs)
            except NotVouched:
                continue
            except Exception as error:
                self._count(name, error)
        return self._sklearn.predict(rows, outputs)

    def _count(self, form: str, error: Exception) -> None:
        self.failures[form] = times = self.failures[form] + 1
        if times == MAX_FAILURES:
            self._plans.clear()
        if times in (1, MAX_FAILURES):
            self._failed(FormFailure(form, error, times, given_up=times == MAX_FAILURES))

    def _forms_for(self, output: str, count: int) -> tuple[str, ...]:
        """The forms to ask, the fastest first: what is slower than scikit-learn, or was given up, is not asked."""
        by_size = self._ranked.get(output)
        if by_size is None:
            return ()
        ranking = by_size[next((size for size in by_size if count <= size), max(by_size))]
        faster = ranking[: ranking.index(_SKLEARN)]
        return tuple(name for name in faster if self.failures[name] < MAX_FAILURES)

    def _plan(self, outputs: tuple[str, ...]) -> list[tuple[int, list[Part]]]:
        plan = [(size, self._parts(outputs, size)) for size in SIZES]
        if len(self._plans) >= MAX_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[outputs] = plan
        return plan

    def _parts(self, outputs: tuple[str, ...], size: int) -> list[Part]:
        """Group outputs that the same forms answer, so that one run serves all of them."""
        grouped: dict[tuple[str, ...], list[str]] = {}
        for output in outputs:
            grouped.setdefault(self._forms_for(output, size), []).append(output)
        predicts = self._predicts
        return [(tuple((name, predicts[name]) for name in names), tuple(asked)) for names, asked in grouped.items()]


def measure(
    sklearn: Predictor, forms: Mapping[str, Sequence[Form]], rows: Rows, check_time: Callable[[], None]
) -> Costs:
    """Time every proven form and scikit-learn for every output at every size, on copies of ordinary `rows`."""
    costs: Costs = {}
    for size in SIZES:
        batch = _batch(rows, size)
        for output, proven in forms.items():
            check_time()
            predicts: dict[str, Predict] = {form.name: form.predict for form in proven}
            predicts[_SKLEARN] = sklearn.predict
            found = {name: _cost(predict, batch, output) for name, predict in predicts.items()}
            costs.setdefault(output, {})[size] = found
    return costs


def _batch(rows: Rows, size: int) -> Rows:
    copies = -(-size // len(rows))
    many = Rows.concatenate([rows] * copies)
    return Rows(tuple(block[:size] for block in many.blocks))


def _cost(predict: Predict, rows: Rows, output: str) -> float:
    """The least of a few runs, fewer if they are long; infinite for a form that leaves these rows open."""
    best, spent, outputs = float("inf"), 0.0, (output,)
    with warnings_dropped():
        for _ in range(_REPEATS):
            started = perf_counter()
            try:
                predict(rows, outputs)
            except (NotVouched, PredictionFailed):
                return best
            took = perf_counter() - started
            best, spent = min(best, took), spent + took
            if spent > _PATIENCE_S:
                break
    return best
