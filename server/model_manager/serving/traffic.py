"""Which version answers a request that names none: dealt by chance, or by a header, so that one user keeps one version.

In the flow: views makes a **split** of what is wanted and what is ready → registry.lease asks it, for every request.

By a header, each version draws a number from the user's value, the same in every process, and the smallest in
proportion to its weight wins (weighted rendezvous hashing). So what moves a user from one version to another is only
that the weight of the other grew in relation to the one's: with two versions, nobody leaves the one that grows, and
versions without weight change nothing.
"""

import logging
from bisect import bisect
from collections.abc import Mapping
from hashlib import blake2b
from itertools import accumulate
from math import log
from random import random
from typing import Final

from model_manager.call import Headers
from model_manager.repository.wanted import WantedModel, version_order
from model_manager.serving.servable import Servable

logger = logging.getLogger(__name__)

_BYTES: Final = 8
_MOST: Final = 2.0 ** (8 * _BYTES)
_FINE: Final = 2.0**48  # draws are compared as whole numbers: a product of floats may round to the other side


class Shares:
    """Deals requests of one model to places, one for each version with a weight, in the order of versions."""

    def __init__(self, model: str, weights: Mapping[str, int]) -> None:
        """`weights` are whole numbers of any sum."""
        self.versions = tuple(sorted((name for name, weight in weights.items() if weight), key=version_order))
        self._weights = tuple(weights[name] for name in self.versions)
        self._bounds = tuple(accumulate(self._weights))
        self._total = self._bounds[-1]
        self._hashes = tuple(
            blake2b(f"{model}\0{name}\0".encode(), digest_size=_BYTES) for name in self.versions
        )  # of what comes before a user's value: no name holds a NUL

    def at_random(self) -> int:
        """The place of a request about whose user nothing is known."""
        return bisect(self._bounds, random() * self._total)

    def of(self, value: bytes) -> int:
        """The place of a user, by a value that tells users apart."""
        best, best_draw, best_weight = 0, 1, 0  # the first one wins over infinity
        for place, weight in enumerate(self._weights):
            drawing = self._hashes[place].copy()
            drawing.update(value)
            drawn = (int.from_bytes(drawing.digest()) + 0.5) / _MOST
            draw = int(-log(drawn) * _FINE)
            if draw * best_weight < best_draw * weight:
                best, best_draw, best_weight = place, draw, weight
        return best


class Split:
    """What answers the requests of one model that name no version: a version that can be leased for each place.

    `standing_in`: the versions with a weight that are not ready, whose requests the default answers meanwhile.
    """

    __slots__ = ("_servables", "_shares", "_sticky", "default", "standing_in", "versions")

    def __init__(self, wanted: WantedModel, ready: Mapping[str, Servable], default: Servable) -> None:
        self._shares = shares = Shares(wanted.name, wanted.traffic)
        self._sticky = wanted.sticky.encode()
        self._servables = tuple(ready.get(name, default) for name in shares.versions)
        self.versions = shares.versions
        self.default = default.id.version
        self.standing_in = tuple(name for name in shares.versions if name not in ready)

    def choose(self, headers: Headers) -> Servable:
        """Choose the version that answers a request."""
        sticky = self._sticky
        if sticky:
            for name, value in headers:
                if name == sticky and value:  # who says nothing is nobody in particular
                    return self._servables[self._shares.of(value)]
        return self._servables[self._shares.at_random()]


def split_of(wanted: WantedModel | None, ready: Mapping[str, Servable], default: Servable | None) -> Split | None:
    """Split the requests of a model between versions; None where the default answers all of them, or nothing can."""
    if wanted is None or not wanted.traffic or default is None:
        return None
    return Split(wanted, ready, default)


def tell_change(model: str, before: Split | None, after: Split | None) -> None:
    """Log whose requests the default answers from now on, and who takes its own again."""
    was, now = before.standing_in if before is not None else (), after.standing_in if after is not None else ()
    if after is None or was == now:
        return
    for version in after.versions:
        fields = {"model_name": model, "model_version": version}
        if version in now and version not in was:
            meanwhile = "%s/%s has traffic and is not ready: version %s answers its share meanwhile"
            logger.info(meanwhile, model, version, after.default, extra=fields)
        elif version in was and version not in now:
            logger.info("%s/%s answers its share of the traffic", model, version, extra=fields)
