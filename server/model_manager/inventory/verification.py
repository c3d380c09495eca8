"""What checks found of each version → an answer: all hold, some do not, or nobody can tell.

In the flow: `verify` → in_repository or running_server → **here** → an exit code.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from model_manager.inventory.entry import Entry

Answer = Literal["holds", "does not hold", "cannot tell"]

EXIT_CODES: Final[dict[Answer, int]] = {"holds": 0, "does not hold": 1, "cannot tell": 3}


class Verified(msgspec.Struct, frozen=True):
    """What verifying a version came to. `golden`: what loading it and asking its golden rows came to, if that was done.

    `problem`: why it does not hold, or why nobody can tell.
    """

    entry: Entry
    answer: Answer
    problem: str = ""
    golden: str | None = None


def verdict(entry: Entry, golden: str | None = None, failure: str | None = None) -> Verified:
    """Judge one version; `failure`: why it did not load or answer its golden rows."""
    if failure is not None:
        return Verified(entry, "does not hold", failure, golden)
    if entry.state not in ("OK", "READY") or entry.reason:
        return Verified(entry, "does not hold", f"{entry.state}: {entry.reason}".removesuffix(": "), golden)
    undeclared = entry.integrity is not None and entry.integrity.digest == "undeclared"
    if undeclared and not (entry.integrity and entry.integrity.verified):
        why = "no digest is declared: there is no metadata.json, or it names none"
        return Verified(entry, "cannot tell", why, golden)
    return Verified(entry, "holds", "", golden)


def overall(verified: Sequence[Verified]) -> Answer:
    """The answer for all of them: one that does not hold is enough."""
    answers = {one.answer for one in verified}
    return next(each for each in ("does not hold", "cannot tell", "holds") if each in answers)
