"""`accuracy < 0.9 or segment[region=north].recall.low < 0.5` → a condition on figures, which fires or does not.

Place in the flow: read before anything is computed, so that a mistake in it costs no time; asked when the figures are
there. Metrics, numbers, comparisons, `and`, `or`, `not` and brackets: nothing in it can run code.

    expression = term {"or" term}
    term       = factor {"and" factor}
    factor     = "not" factor | "(" expression ")" | comparison
    comparison = operand ("<" | "<=" | ">" | ">=" | "==" | "!=") operand
    operand    = number | ["segment[" column "=" value "]."] metric ["." ("low" | "high")]
"""

import difflib
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from model_manager.errors import GateInvalid
from model_manager.evaluation.intervals import Figure

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    |(?P<compare><=|>=|==|!=|<|>)
    |(?P<bracket>[()])
    |segment\[(?P<column>"[^"]*"|[^]="]+)=(?P<value>"[^"]*"|[^]"]*)\]\.(?P<of>\w+(?:\.\w+)?)
    |(?P<word>(?!segment\[)[A-Za-z_]\w*(?:\.\w+)?)
    )""",
    re.VERBOSE | re.ASCII,
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ENDS: Final = ("low", "high")

Chosen = tuple[str, str]
"""A column and one of its values."""
Lookup = Callable[[Chosen | None, str], Figure]
"""Gives a figure of a segment, None for all rows. Raises KeyError with what there is instead."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A number, or an end or the middle of a figure; `at` is where it stands in the expression, from 0."""

    at: int
    text: str
    number: float | None = None
    metric: str = ""
    end: str = "value"
    segment: Chosen | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and a sign between them."""

    left: Operand
    sign: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Junction:
    """`and` and `or` of two or more, `not` of one."""

    word: str
    parts: tuple["Condition", ...]


Condition = Comparison | Junction


@dataclass(frozen=True, slots=True)
class Gate:
    """An expression that was read."""

    text: str
    condition: Condition

    def operands(self) -> list[Operand]:
        """Give every operand that is a figure, in order."""
        return [one for one in _operands(self.condition) if one.number is None]

    def columns(self) -> list[str]:
        """Name the columns by which it wants segments."""
        return list(dict.fromkeys(one.segment[0] for one in self.operands() if one.segment is not None))

    def check(self, metrics: tuple[str, ...]) -> None:
        """Raise GateInvalid for a metric that there is not."""
        for operand in self.operands():
            if operand.metric not in metrics:
                close = difflib.get_close_matches(operand.metric, metrics, 1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(metrics)}"
                _refuse(self.text, operand.at, f"no metric {operand.metric!r} here; {hint}")

    def fires(self, lookup: Lookup) -> bool | None:
        """Say whether the condition is met; None where that depends on a figure that is not defined.

        Raises GateInvalid for a segment that there is not.
        """
        return _holds(self.condition, self.text, lookup)

    def shown(self, lookup: Lookup) -> str:
        """Say what its figures are."""
        told = {one.text: _value(one, self.text, lookup) for one in self.operands()}
        return ", ".join(
            f"{text} is {'not defined' if value is None else f'{value:.4g}'}" for text, value in told.items()
        )


def read_gate(text: str) -> Gate:
    """Read an expression. Raises GateInvalid with the place of what is wrong."""
    reader = _Reader(text)
    condition = reader.expression()
    reader.end()
    return Gate(text, condition)


class _Reader:
    """Reads from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def expression(self) -> Condition:
        return self._joined("or", lambda: self._joined("and", self._factor))

    def end(self) -> None:
        if self._next < len(self._tokens):
            at, token = self._tokens[self._next]
            self._fail(f"{token[0].strip()!r} follows what was complete; write and, or", at)

    def _joined(self, word: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._take("word", word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def _factor(self) -> Condition:
        self._depth += 1
        if self._depth > 50:
            self._fail("it is nested too deeply")
        try:
            if self._take("word", "not"):
                return Junction("not", (self._factor(),))
            if not self._take("bracket", "("):
                return self._comparison()
            inside = self.expression()
            if not self._take("bracket", ")"):
                self._fail("a bracket is not closed")
            return inside
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        left = self._operand()
        if self._next == len(self._tokens) or (sign := self._tokens[self._next][1]["compare"]) is None:
            self._fail(f"{left.text!r} is compared with nothing; write a comparison such as {left.text} < 0.9")
        self._next += 1
        right = self._operand()
        if self._next < len(self._tokens) and self._tokens[self._next][1]["compare"]:
            self._fail("compare two at a time, and join them with and")
        return Comparison(left, sign, right)

    def _operand(self) -> Operand:
        if self._next == len(self._tokens):
            self._fail("a metric or a number is missing at the end")
        at, token = self._tokens[self._next]
        text = token[0].strip()
        name = token["of"] or token["word"]
        if token["number"] is None and (name is None or name in ("and", "or", "not")):
            self._fail(f"a metric or a number was expected, not {text!r}", at)
        self._next += 1
        if token["number"] is not None:
            return Operand(at, text, number=float(token["number"]))
        metric, _, end = name.partition(".")
        if end and end not in _ENDS:
            self._fail(f"{name!r}: of the interval of a metric there are .low and .high", at)
        segment = (token["column"].strip().strip('"'), token["value"].strip().strip('"')) if token["column"] else None
        return Operand(at, text, metric=metric, end=end or "value", segment=segment)

    def _take(self, kind: str, text: str) -> bool:
        found = self._next < len(self._tokens) and self._tokens[self._next][1][kind] == text
        self._next += found
        return found

    def _fail(self, why: str, at: int | None = None) -> NoReturn:
        if at is None:
            at = self._tokens[self._next][0] if self._next < len(self._tokens) else len(self._text.rstrip())
        _refuse(self._text, at, why)


def _tokens(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    end = len(text.rstrip())
    at = 0
    while at < end:
        match = _TOKEN.match(text, at)
        begins = at + len(text[at:]) - len(text[at:].lstrip())
        if match is None:
            why = f"{text[begins]!r} has no meaning here"
            if text.startswith("segment", begins):
                why = "a segment is written segment[COLUMN=VALUE].METRIC"
            _refuse(text, begins, why)
        yield begins, match
        at = match.end()


def _refuse(text: str, at: int, why: str) -> NoReturn:
    raise GateInvalid(f"{text!r}, column {at + 1}: {why}")


def _operands(condition: Condition) -> Iterator[Operand]:
    if isinstance(condition, Comparison):
        yield from (condition.left, condition.right)
    else:
        for part in condition.parts:
            yield from _operands(part)


def _value(operand: Operand, text: str, lookup: Lookup) -> float | None:
    if operand.number is not None:
        return operand.number
    try:
        figure = lookup(operand.segment, operand.metric)
    except KeyError as error:
        _refuse(text, operand.at, str(error.args[0]))
    return {"value": figure.value, "low": figure.low, "high": figure.high}[operand.end]


def _holds(condition: Condition, text: str, lookup: Lookup) -> bool | None:
    """Three values: what is not known stays so, unless the rest decides."""
    if isinstance(condition, Comparison):
        left, right = _value(condition.left, text, lookup), _value(condition.right, text, lookup)
        return None if left is None or right is None else _COMPARE[condition.sign](left, right)
    held = [_holds(part, text, lookup) for part in condition.parts]
    if condition.word == "not":
        return None if held[0] is None else not held[0]
    decides = condition.word == "or"
    if decides in held:
        return decides
    return None if None in held else not decides
