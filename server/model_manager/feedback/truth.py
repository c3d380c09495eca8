"""Whether an answer was right. Labels are foreign: a file holds them as text, a caller as whatever it has. Pure."""

from collections.abc import Sequence
from math import isfinite


def is_same(answer: object, label: object) -> bool:
    """Whether a label, which a file may hold as text, is what was answered: 1 is 1.0, and 01234 is not 1234."""
    if isinstance(answer, str):
        return answer == str(label)
    if isinstance(answer, bool):
        return str(label).strip().lower() in (("true", "1") if answer else ("false", "0"))
    known, said = number_in(answer), number_in(label)
    return known is not None and known == said


def number_in(value: object) -> float | None:
    """The finite number that a value is, or that its text says; None where there is none."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if isfinite(number) else None


def class_of(label: object, classes: Sequence[object]) -> int | None:
    """The place of a label among a model's classes; None where it is none of them."""
    return next((at for at, one in enumerate(classes) if is_same(one, label)), None)
