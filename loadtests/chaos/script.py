"""The course of a run: which swap follows which. Everything there is happens at least once, most swaps are good."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loadtests.chaos.artifacts import BAD, BAD_MANIFESTS

Kind = Literal["good", "revert", "removal", "bad artifact", "bad manifest", "emptied", "unmounted", "a thousand"]

_RARELY: Final = 100
"""So many swaps for each time that the folder is emptied, or unmounted."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One change of the models folder; `detail` says which kind of bad it is."""

    kind: Kind
    detail: str = ""


def fewest_swaps(without: Collection[str] = ()) -> int:
    """How many swaps there must be for everything to happen once."""
    return 2 * len(_once(without)) + 4


def write_script(swaps: int, *, without: Collection[str] = (), seed: int = 0) -> Sequence[Swap]:
    """Put so many swaps in order; `without` names kinds of bad artifacts to leave out.

    The good ones begin and end it, and follow every bad one. Raises ValueError where `swaps` are too few.
    """
    if swaps < fewest_swaps(without):
        raise ValueError(f"{swaps} swaps are too few for everything to happen once: {fewest_swaps(without)} are needed")
    random_ = random.Random(seed)
    once = _once(without)
    artifacts = [Swap("bad artifact", name) for name in BAD if name not in without]
    manifests = [Swap("bad manifest", name) for name in BAD_MANIFESTS]
    rare = [Swap("emptied"), Swap("unmounted")] * (swaps // _RARELY)
    many = random_.choices([*artifacts, *manifests, Swap("revert"), Swap("revert"), Swap("removal")], k=swaps // 4)
    special = [*once, *rare, *many][: (swaps - 4) // 2]
    random_.shuffle(special)
    script: list[Swap] = [Swap("good")] * (swaps - 2 * len(special))
    places = sorted(random_.choices(range(2, len(script) - 1), k=len(special)))
    for place, swap in reversed(list(zip(places, special, strict=True))):
        script[place:place] = [swap, Swap("good")]
    return script


def _once(without: Collection[str]) -> list[Swap]:
    return [
        *(Swap("bad artifact", name) for name in BAD if name not in without),
        *(Swap("bad manifest", name) for name in BAD_MANIFESTS),
        *(Swap(kind) for kind in ("revert", "removal", "emptied", "unmounted", "a thousand")),
    ]
