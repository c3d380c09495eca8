"""Hold forms to scikit-learn's own answers, batch after batch; whatever differs once is not used.

Labels, strings and whole numbers must be identical, floats within RTOL and ATOL of double precision. Where scikit-learn
refuses rows, a form must leave them to it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.form import Form, NotCovered, NotVouched
from model_manager.inference.compiled.proof.rows import Group
from model_manager.inference.predictor import Predictor
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Rows

RTOL: Final = 1e-9
ATOL: Final = 1e-12

_BATCHES: Final = (1, 1, 1, 1, 1, 1, 2, 7, 64, 1000)
"""Sizes of the batches in which shuffled rows are asked for, the largest last."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Rows, and what scikit-learn answers to them by output: None where it refuses."""

    name: str
    rows: Rows
    expected: dict[str, Array | None]
    plain: bool


@dataclass(slots=True)
class Verdict:
    """What became of one form: the outputs that proved equal, why others did not, and the largest differences seen."""

    form: Form
    proven: set[str] = field(default_factory=set)
    rejected: dict[str, str] = field(default_factory=dict)
    largest_absolute: float = 0.0
    largest_relative: float = 0.0
    rows: int = 0


class OutOfTime(Exception):
    """The time set for proving is over."""


def make_trials(
    groups: Iterable[Group], sklearn: Predictor, outputs: tuple[str, ...], check_time: Callable[[], None]
) -> list[Trial]:
    """Ask scikit-learn about every batch: whole groups, then slices of plain rows, then slices of all rows mixed.

    Raises OutOfTime, from `check_time`, which is called between batches; NotCovered if there is nothing to compare.
    """
    trials: list[Trial] = []
    plain: list[Rows] = []
    mixed: list[Rows] = []
    for group in groups:
        check_time()
        trials.append(trial := _ask(group.name, group.rows, sklearn, outputs, plain=group.plain))
        if not group.apart and all(answer is not None for answer in trial.expected.values()):
            mixed.append(group.rows)
            if group.plain:
                plain.append(group.rows)
    if not plain:
        raise NotCovered("scikit-learn refuses the rows that were made up for the proof")
    for kind, rows in (("plain", _shuffled(plain)), ("mixed", _shuffled(mixed))):
        for batch in _slices(rows):
            check_time()
            trials.append(_ask(f"{len(batch)} {kind} rows", batch, sklearn, outputs, plain=kind == "plain"))
    return trials


def _shuffled(parts: list[Rows]) -> Rows:
    """Rows of all these kinds, as many as the largest batch."""
    everything = Rows.concatenate(parts)
    order = np.resize(np.random.default_rng(1).permutation(len(everything)), _BATCHES[-1])
    return Rows(tuple(block[order] for block in everything.blocks))


def _slices(rows: Rows) -> Iterator[Rows]:
    start = 0
    for size in _BATCHES:
        start = start if start + size <= len(rows) else 0
        yield Rows(tuple(block[start : start + size] for block in rows.blocks))
        start += size


def _ask(name: str, rows: Rows, sklearn: Predictor, outputs: tuple[str, ...], *, plain: bool) -> Trial:
    # Edges are expected to upset estimators: warnings about made-up rows are no news to anyone.
    with warnings_dropped():
        try:
            return Trial(name, rows, dict(sklearn.predict(rows, outputs)), plain)
        except PredictionFailed:
            pass
        expected: dict[str, Array | None] = {}
        for output in outputs:
            try:
                expected[output] = sklearn.predict(rows, (output,))[output]
            except PredictionFailed:
                expected[output] = None
    return Trial(name, rows, expected, plain)


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
                return {outputs[0]: error}
    return {name: _answers(form, rows, (name,))[name] for name in outputs}


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
