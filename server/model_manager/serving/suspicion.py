"""Which version ends the server: verdicts from the deaths that are remembered. Pure: no clock, no disk.

In the flow: quarantine → **suspicion**.

A process dies while it runs the code of some versions; all of these are suspects of that death, and nothing tells which
of them did it, nor whether any: an operator's `kill -9` and a process killed for its memory look the same. So:

1.  A version is guilty when the last `DEATHS` deaths that name it have nobody else in common. One death names the busy
    next to the guilty; three do not, because of rule 2.
2.  Whoever shared a death with others is on *probation* in the processes that start after it: these versions compute
    one at a time, never on the event loop, and are not compiled, so that the next death has one name (attribution.py).
3.  Deaths that come one by one are no pattern: those before a run of `FORGET_S` seconds without another of the same
    version are forgotten.
4.  Versions that twice as many deaths could not tell apart are guilty together: the server goes on without them.
5.  Who died while it was compiled, and alone, is not compiled for `COMPILED_S` seconds: it can do without.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Final

import msgspec

from model_manager.serving.journal import Suspect

DEATHS: Final = 3
FORGET_S: Final = 3600.0
COMPILED_S: Final = 7 * 86400.0


class Death(msgspec.Struct, frozen=True):
    """One end of a process that nobody asked for: when (Unix time), how (a signal, an exit code), and the suspects."""

    at: float
    how: str
    suspects: tuple[Suspect, ...]

    @property
    def digests(self) -> frozenset[str]:
        """The artifacts of the suspects."""
        return frozenset(suspect.sha256 for suspect in self.suspects)


def remembered(deaths: Sequence[Death], now: float) -> list[Death]:
    """The deaths that still count, the oldest first, for one version at least."""
    counted = {id(death) for digest in _digests(deaths) for death in _of(digest, deaths, now)}
    return [death for death in deaths if id(death) in counted or (_compiled(death) and now - death.at <= COMPILED_S)]


def guilty(deaths: Sequence[Death], now: float) -> dict[str, list[Death]]:
    """The artifacts that end the server, each with the deaths that say so."""
    found = {}
    for digest in _digests(deaths):
        named = _of(digest, deaths, now)
        alone = len(named) >= DEATHS and _common(named[-DEATHS:]) == {digest}
        never_apart = len(named) >= 2 * DEATHS and _common(named[-2 * DEATHS :]) != {digest}
        if alone or never_apart:
            found[digest] = named
    return found


def on_probation(deaths: Sequence[Death], now: float) -> dict[str, float]:
    """The artifacts that shared a death with others, and until when (Unix time) that is held against them."""
    until: dict[str, float] = {}
    for digest in _digests(deaths):
        named = _of(digest, deaths, now)
        if any(len(death.digests) > 1 for death in named):
            until[digest] = named[-1].at + FORGET_S
    return until


def not_to_be_compiled(deaths: Sequence[Death], now: float) -> set[str]:
    """The artifacts during whose compilation the server ended."""
    return {one.sha256 for death in deaths if now - death.at <= COMPILED_S for one in _compiled(death)}


def _compiled(death: Death) -> list[Suspect]:
    return [suspect for suspect in death.suspects if suspect.doing == "compiling" and len(death.digests) == 1]


def _digests(deaths: Sequence[Death]) -> Iterator[str]:
    return iter(dict.fromkeys(digest for death in deaths for digest in sorted(death.digests)))


def _of(digest: str, deaths: Sequence[Death], now: float) -> list[Death]:
    """The deaths that name an artifact, back to the first pause that was long enough to forget those before it."""
    found: list[Death] = []
    last = now
    for death in sorted((one for one in deaths if digest in one.digests), key=lambda one: one.at, reverse=True):
        if last - death.at > FORGET_S:
            break
        found.insert(0, death)
        last = death.at
    return found


def _common(deaths: Sequence[Death]) -> frozenset[str]:
    return reduce(frozenset.intersection, (death.digests for death in deaths))
