"""What explains the answer to a row that was tried → bars and a sentence for its page.

In the flow: attempt → **reasons** → page.
"""

import json
from math import floor, log10
from typing import Final, NamedTuple

from model_manager.serving.attempt import Attempt

_IN_A_SENTENCE: Final = 3
_NOTHING: Final = 1e-6
"""Rounding of the model's own sums is no answer."""
_OTHERS: Final = "all other columns"


class Bar(NamedTuple):
    """What moved the answer by `moved`; `left` and `width` are of a drawing that is 200 wide, 100 being nothing."""

    column: str
    value: str
    moved: float
    left: float
    width: float


class Reasons(NamedTuple):
    """`base` and what the bars moved add up to `answer`; all three are of `what`, "chance of yes"."""

    what: str
    base: float
    answer: float
    bars: list[Bar]
    sentence: str


def reasons_of(attempt: Attempt) -> Reasons | None:
    """What explains the one row of an attempt; None where nothing does."""
    if not attempt.explanation:
        return None
    said = json.loads(attempt.explanation)
    (told,) = said["explanations"]
    moved = [(one["column"], _shown(one["value"]), one["contribution"]) for one in told["contributions"]]
    if "others" in told:
        moved.append((_OTHERS, "", told["others"]))
    moved = [one for one in moved if one[2]]
    longest = max((abs(one[2]) for one in moved), default=1.0)
    bars = []
    for column, value, by in moved:
        width = 100 * abs(by) / longest
        bars.append(Bar(column, value, by, 100 - width * (by < 0), width))
    sentence = "; ".join(told["text"][:_IN_A_SENTENCE])
    return Reasons(_what(said["explained"]["unit"], told), told["base"], told["answer"], bars, sentence)


def plain(value: float) -> str:
    """A number to three digits that tell something, with as few of the others as that takes."""
    return f"{value:z,.{_digits(value)}f}"


def signed(value: float) -> str:
    """The same with its sign."""
    return f"{value:+z,.{_digits(value)}f}"


def _digits(value: float) -> int:
    size = abs(value)
    return max(0, 2 - floor(log10(size))) if size > _NOTHING else 0


def _what(unit: str, told: dict[str, object]) -> str:
    if unit == "value":
        return "answer"
    name = {"probability": "chance"}.get(unit, unit)
    return f"{name} of {told['class']}" if "class" in told else name


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return value if isinstance(value, str) else json.dumps(value)
