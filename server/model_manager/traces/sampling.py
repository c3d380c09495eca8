"""The rule by which a sampler decides, so that a request which is not recorded costs next to nothing.

Only for the SDK's own samplers, of which OTEL_TRACES_SAMPLER names one; any other is asked itself, request by request.
"""

import re
import sys
from dataclasses import dataclass
from math import log, log1p
from random import getrandbits, random, randrange

from opentelemetry.sdk.trace.sampling import (
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    StaticSampler,
    TraceIdRatioBased,
)

LOW_64_BITS = (1 << 64) - 1
_ALWAYS = 1 << 64
_BUILT_IN = (StaticSampler, TraceIdRatioBased, ParentBased, ParentBasedTraceIdRatio)
_FOLLOWS_PARENT = re.compile(
    r"ParentBased\{root:(.+),remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    r"localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler\}"
)
_RATIO = re.compile(r"TraceIdRatioBased\{(.+)\}")


@dataclass(frozen=True, slots=True)
class SamplingRule:
    """A trace is recorded when the low half of its id is below `bound`; `follows_parent`: a parent decides instead."""

    bound: int
    follows_parent: bool

    def samples(self, trace_id: int) -> bool:
        """Whether a trace is recorded, where no parent decides."""
        return trace_id & LOW_64_BITS < self.bound

    def draw_passing(self) -> int:
        """How many traces pass before one is recorded: as many, by chance, as if each were asked by itself."""
        if self.bound == 0:
            return sys.maxsize
        share = self.bound / _ALWAYS
        # the logarithm of what is left of 1 is that of the chance to pass; U in (0, 1]
        return 0 if share == 1.0 else min(sys.maxsize, int(log(1.0 - random()) / log1p(-share)))

    def draw_recorded(self) -> int:
        """The id of a trace that is recorded: any other server with this rule records it, too."""
        return getrandbits(64) << 64 | randrange(self.bound)


def rule_of(sampler: Sampler) -> SamplingRule | None:
    """The rule of one of the SDK's samplers, read from its description; None when it is another."""
    if type(sampler) not in _BUILT_IN:
        return None
    description = sampler.get_description()
    parent_based = _FOLLOWS_PARENT.fullmatch(description)
    bound = _bound(parent_based[1] if parent_based is not None else description)
    return None if bound is None else SamplingRule(bound, follows_parent=parent_based is not None)


def _bound(description: str) -> int | None:
    if description == "AlwaysOnSampler":
        return _ALWAYS
    if description == "AlwaysOffSampler":
        return 0
    ratio = _RATIO.fullmatch(description)
    return None if ratio is None else TraceIdRatioBased.get_bound_for_rate(float(ratio[1]))
