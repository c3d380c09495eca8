"""One view of several processes."""

from model_manager.serving.index import IndexRow, merge_indexes


def test_a_version_is_what_it_is_where_it_is_worst_off() -> None:
    ready, loading = IndexRow("m", "2", "READY", ""), IndexRow("m", "2", "LOADING", "")
    failed = IndexRow("m", "10", "UNAVAILABLE", "corrupt: truncated")
    other = IndexRow("a", "1", "READY", "")
    assert merge_indexes([[ready, other], [failed, loading]]) == [other, loading, failed]
    assert merge_indexes([[loading], [ready]]) == [loading]
    assert merge_indexes([]) == []
