"""One view of several processes."""

from model_manager.repository.lifecycle import State
from model_manager.repository.wanted import Ignored
from model_manager.serving.index import IndexRow, index_of, merge_indexes
from model_manager.serving.views import ModelView, VersionStatus


def test_a_version_is_what_it_is_where_it_is_worst_off() -> None:
    ready, loading = IndexRow("m", "2", "READY", ""), IndexRow("m", "2", "LOADING", "")
    failed = IndexRow("m", "10", "UNAVAILABLE", "corrupt: truncated")
    other = IndexRow("a", "1", "READY", "")
    assert merge_indexes([[ready, other], [failed, loading]]) == [other, loading, failed]
    assert merge_indexes([[loading], [ready]]) == [loading]
    assert merge_indexes([]) == []


def test_what_is_ignored_is_unavailable_with_every_reason_and_in_its_place() -> None:
    ignored = [
        Ignored("wine", "", "/m/wine/a.bin", "put it elsewhere"),
        Ignored("wine", "", "/m/wine/b.bin", "put it elsewhere"),
        Ignored("iris", "2", "/m/iris/2", "it holds clf.bin"),
    ]
    served = VersionStatus("1", State.READY), VersionStatus("3", State.READY)
    models = {"iris": ModelView(None, {}, {status.version: status for status in served})}
    assert [(row.name, row.version, row.state, row.reason) for row in index_of(models, ignored)] == [
        ("iris", "1", "READY", ""),
        ("iris", "2", "UNAVAILABLE", "ignored /m/iris/2: it holds clf.bin"),
        ("iris", "3", "READY", ""),
        *[
            (
                "wine",
                "",
                "UNAVAILABLE",
                "ignored /m/wine/a.bin: put it elsewhere; ignored /m/wine/b.bin: put it elsewhere",
            )
        ],
    ]
    models["iris"].statuses["2"] = VersionStatus("2", State.DRAINING)  # type: ignore[index]
    assert [row.state for row in index_of(models, ignored[2:])] == ["READY", "UNLOADING", "READY"]
