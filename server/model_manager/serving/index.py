"""The repository index as values: one row for every version of one process, and one view of several processes."""

from collections.abc import Mapping, Sequence

import msgspec

from model_manager.repository.lifecycle import INDEX_STATE
from model_manager.repository.wanted import version_order
from model_manager.serving.views import ModelView

_WORST_FIRST = ("UNAVAILABLE", "UNLOADING", "LOADING", "READY")


class IndexRow(msgspec.Struct, omit_defaults=True):
    """One version: state in the field's words, why, and how it is answered (text by name)."""

    name: str
    version: str
    state: str
    reason: str | None = None
    parameters: dict[str, str] = {}


def index_of(models: Mapping[str, ModelView]) -> list[IndexRow]:
    """Every known version, by model and from the oldest to the newest."""
    rows = []
    for name, view in sorted(models.items()):
        for status in sorted(view.statuses.values(), key=lambda status: version_order(status.version)):
            servable = view.ready.get(status.version)
            parameters = {**_traffic(view, status.version), **(servable.form.properties() if servable else {})}
            rows.append(IndexRow(name, status.version, INDEX_STATE[status.state], status.reason, parameters))
    return rows


def _traffic(view: ModelView, version: str) -> dict[str, str]:
    """Percent of the requests that name no version, who answers them if this one is not ready, and who gets copies."""
    said: dict[str, str] = {}
    if version in view.weights:
        said["traffic"] = str(view.weights[version])
        if view.split is not None and version in view.split.standing_in:
            said["traffic_answered_by"] = view.split.default
    if view.shadow is not None and view.shadow.id.version == version:
        said["shadow"] = "true"
    return said


def merge_indexes(processes: Sequence[Sequence[IndexRow]]) -> list[IndexRow]:
    """One view of processes that follow the same folder: a version is what it is in the process that is worst off."""
    merged: dict[tuple[str, str], IndexRow] = {}
    for row in (row for rows in processes for row in rows):
        known = merged.setdefault((row.name, row.version), row)
        if _WORST_FIRST.index(row.state) < _WORST_FIRST.index(known.state):
            merged[row.name, row.version] = row
    return [merged[key] for key in sorted(merged, key=lambda key: (key[0], version_order(key[1])))]
