"""The repository index as values: one row for every version of one process, and one view of several processes."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from model_manager.repository.lifecycle import INDEX_STATE
from model_manager.repository.wanted import Ignored, version_order
from model_manager.serving.servable import Servable
from model_manager.serving.views import ModelView

_WORST_FIRST = ("UNAVAILABLE", "UNLOADING", "LOADING", "READY")


class IndexRow(msgspec.Struct, omit_defaults=True):
    """One version: state in the field's words, why, and how it is answered (text by name)."""

    name: str
    version: str
    state: str
    reason: str | None = None
    parameters: dict[str, str] = {}


def index_of(models: Mapping[str, ModelView], ignored: Iterable[Ignored] = ()) -> list[IndexRow]:
    """Every known version, by model and from the oldest to the newest; what is `ignored` is UNAVAILABLE.

    Parameters: `default` where a request that names no version gets this one, `sha256` of what serves, its form;
    `ignored`.
    """
    rows = []
    for name, view in sorted(models.items()):
        for status in sorted(view.statuses.values(), key=lambda status: version_order(status.version)):
            servable = view.ready.get(status.version)
            parameters = _labels(view, status.version) | _traffic(view, status.version)
            if servable is not None:
                parameters |= _parameters(servable, view)
            rows.append(IndexRow(name, status.version, INDEX_STATE[status.state], status.reason, parameters))
    unknown = [one for one in ignored if one.model not in models or one.version not in models[one.model].statuses]
    return sorted([*rows, *_ignored_rows(unknown)], key=_place) if unknown else rows


def labels_of(row: IndexRow) -> list[str]:
    """The other names of a version."""
    return row.parameters["labels"].split(",") if "labels" in row.parameters else []


def _parameters(servable: Servable, view: ModelView) -> dict[str, str]:
    default = {"default": "true"} if servable is view.default else {}
    return {**default, "sha256": servable.provenance.sha256, **servable.form.properties()}


def _ignored_rows(ignored: Iterable[Ignored]) -> list[IndexRow]:
    """A row for each place, however many files were found there."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in ignored:
        reasons.setdefault((one.model, one.version), []).append(f"ignored {one.path}: {one.why}")
    return [IndexRow(*place, "UNAVAILABLE", "; ".join(said), {"ignored": "true"}) for place, said in reasons.items()]


def _place(row: IndexRow) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    return row.name, version_order(row.version)


def _labels(view: ModelView, version: str) -> dict[str, str]:
    names = sorted(label for label, labelled in view.labels.items() if labelled == version)
    return {"labels": ",".join(names)} if names else {}


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
    return sorted(merged.values(), key=_place)
