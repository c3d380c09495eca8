"""What a scrape shows of every version now, read in steps, so that many versions hold no request up.

In the flow: registry → **version_metrics** → system, at a scrape → exposition. Most of what is known of a version that
serves is the same at every scrape, so it becomes series once, and again when the version is computed otherwise.
"""

import asyncio
from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from model_manager.inference.compiled.fastest import CompiledPredictor
from model_manager.metrics import Family, LiveFamilies, LiveServable
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable
from model_manager.serving.views import ModelView, VersionStatus

_AT_ONCE: Final = 50  # less than a millisecond of a scrape


def known_versions(registry: Registry) -> Iterator[tuple[str, VersionStatus, ModelView]]:
    """Every version of which anything is known, with its model's name and what is known of the model, as of now."""
    known = [(name, view, list(view.statuses.values())) for name, view in registry.models.items()]
    return ((name, status, view) for name, view, statuses in known for status in statuses)


class _Settled(NamedTuple):
    """The series of what stays the same of a version, and what they were made of."""

    made_of: Hashable
    families: list[Family]


class VersionMetrics:
    """Reads the versions of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._settled: WeakKeyDictionary[Servable, _Settled] = WeakKeyDictionary()

    async def read(self, live: LiveFamilies) -> None:
        """Add every version to what a scrape shows."""
        for number, (model, status, view) in enumerate(known_versions(self._registry)):
            labels = (model, status.version)
            weight = view.weights.get(status.version)
            live.add_version(labels, status.state, quarantined=status.quarantined, weight=weight)
            servable = view.ready.get(status.version)
            if servable is not None:
                servable.metrics.fold()  # a few at a time, so that `families` finds next to nothing to fold
                live.add_traffic(
                    labels,
                    default=servable is view.default,
                    in_flight=servable.leases,
                    queue_rows=servable.batcher.queued_rows,
                )
                live.add_families(self._families_of(servable))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _families_of(self, servable: Servable) -> list[Family]:
        predictor = servable.predictor
        failures = tuple(predictor.failures.values()) if isinstance(predictor, CompiledPredictor) else ()
        made_of = (servable.replacements, tuple(servable.load_seconds.values()), failures)
        settled = self._settled.get(servable)
        if settled is None or settled.made_of != made_of:
            live = LiveFamilies()
            live.add_servable((servable.id.model, servable.id.version), _live(servable))
            settled = self._settled[servable] = _Settled(made_of, live.families())
        return settled.families


def _live(servable: Servable) -> LiveServable:
    form = servable.form
    return LiveServable(
        queue_limit_rows=servable.batcher.limit_rows,
        timeout_s=servable.timeout_s,
        info=servable.provenance.info_labels,
        load_seconds=servable.load_seconds,
        golden_rows=servable.provenance.golden_rows,
        form=form.name,
        speedup=form.speedup,
        largest_difference=form.largest_difference,
        form_failures=form.failures,
    )
