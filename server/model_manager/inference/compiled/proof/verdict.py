"""Hold forms to scikit-learn's own answers, batch after batch; whatever differs once is not used.

Labels, strings and whole numbers must be identical, floats within RTOL and ATOL of double precision. Where scikit-learn
refuses rows, a form must leave them to it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from model_manager.inference.compiled.form import Form, NotVouched
from model_manager.inference.compiled.proof.trials import Trial
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Rows

RTOL: Final = 1e-9
ATOL: Final = 1e-12


@dataclass(slots=True)
class Verdict:
    """What became of one form: the outputs that proved equal, why others did not, and the largest differences seen."""

    form: Form
    proven: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)
    largest_absolute: float = 0.0
    largest_relative: float = 0.0
    rows: int = 0


def prove(form: Form, trials: Iterable[Trial], check_time: Callable[[], None]) -> Verdict:
    """Compare a form with scikit-learn on every trial. Raises OutOfTime, from `check_time`."""
    verdict = Verdict(form)
    open_outputs = dict.fromkeys(form.outputs, False)  # whether plain rows were answered
    labels: set[str] = set()
    for trial in trials:
        check_time()
        asked = tuple(name for name in trial.expected if name in open_outputs)
        if not asked:
            break
        answered = False
        for name, answer in _answers(form, trial.rows, asked).items():
            expected = trial.expected[name]
            if expected is not None and expected.dtype.kind != "f":
                labels.add(name)
            fault = _fault(answer, expected, verdict, plain=trial.plain)
            if fault is not None:
                verdict.rejected[name] = f"{trial.name}: {fault}"
                del open_outputs[name]
            elif not isinstance(answer, Exception) and expected is not None:
                answered = True
                open_outputs[name] = open_outputs[name] or trial.plain
        verdict.rows += len(trial.rows) if answered else 0
    scores_differ = any(name not in labels for name in verdict.rejected)
    for name, seen in open_outputs.items():
        if not seen:
            verdict.rejected[name] = "it answers none of the rows that clients send"
        elif scores_differ and name in labels:
            verdict.rejected[name] = "its scores differ, so labels near a tie would"
        else:
            verdict.proven.add(name)
    return verdict


def _answers(form: Form, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array | Exception]:
    """Ask for all outputs in one run; one by one where that is not answered, to know whose fault it is."""
    with warnings_dropped():
        try:
            return dict(form.predict(rows, outputs))
        except Exception as error:
            if len(outputs) == 1:
                return {outputs[0]: _without_frames(error)}
    return {name: _answers(form, rows, (name,))[name] for name in outputs}


def _without_frames(error: Exception) -> Exception:
    """The error as it is told. Its traceback would hold all that its callers hold: the model, and the error again."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _fault(answer: Array | Exception, expected: Array | None, verdict: Verdict, *, plain: bool) -> str | None:
    """Say what is wrong with an answer; None if nothing is."""
    if isinstance(answer, NotVouched):
        return None
    if isinstance(answer, Exception):
        text = " ".join(str(answer).split())[:160]
        return None if expected is None else f"it raises {type(answer).__name__}: {text}"
    if expected is None:
        return "it answers rows that scikit-learn refuses"
    if answer.dtype != expected.dtype or answer.shape != expected.shape:
        return f"it answers {answer.dtype}{list(answer.shape)}, scikit-learn {expected.dtype}{list(expected.shape)}"
    if expected.dtype.kind != "f":
        wrong = np.flatnonzero((answer != expected).reshape(len(expected), -1).any(axis=1))
        return f"{len(wrong)} of {len(expected)} rows have another label" if len(wrong) else None
    return _float_fault(answer, expected, verdict, plain=plain)


def _float_fault(answer: Array, expected: Array, verdict: Verdict, *, plain: bool) -> str | None:
    with np.errstate(all="ignore"):
        same = (answer == expected) | (np.isnan(answer) & np.isnan(expected))
        difference = np.where(same, 0.0, np.abs(answer - expected))
        limit = ATOL + RTOL * np.abs(expected)
        if not (same | (difference <= limit)).all():
            worst = float(np.nanmax(difference)) if np.isfinite(difference).any() else float("nan")
            return f"it differs by {worst:.3g}"
        relative = np.where(same, 0.0, difference / np.maximum(np.abs(expected), ATOL / RTOL))
    if plain:  # between numbers as large as floats go, an absolute difference says nothing
        verdict.largest_absolute = max(verdict.largest_absolute, float(difference.max(initial=0.0)))
    verdict.largest_relative = max(verdict.largest_relative, float(relative.max(initial=0.0)))
    return None
