"""What is fetched is what was declared, comes once, goes on where it broke off, and never takes longer than allowed."""

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from model_manager.errors import LoadFailed
from model_manager.repository.regular_files import Limit
from model_manager.repository.wanted import WantedModel, WantedState

from tests.artifact_server import ArtifactServer, Request, artifact_server
from tests.live import wait_until
from tests.unit.stores.staging import ANYTHING, CONTENT, SHA, described, fetch, kept, refusal, remote, wanted


def test_an_artifact_comes_once_and_is_read_from_the_cache_from_then_on(
    store: ArtifactServer, uri: str, tmp_path: Path
) -> None:
    first, next_start = remote(tmp_path), remote(tmp_path)
    assert fetch(first, wanted(uri)) == CONTENT
    assert (first.fetched_bytes, first.from_cache) == (len(CONTENT), 0)
    assert first.fetch_seconds > 0
    assert kept(tmp_path) == {SHA}
    store.fault = lambda request: True
    assert fetch(next_start, wanted(uri)) == CONTENT
    assert (next_start.fetched_bytes, next_start.from_cache) == (0, 1)
    assert len(store.asked) == 1
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_it_goes_on_where_the_connection_broke(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def break_off(request: Request) -> bool:
        if len(store.asked) > 3:
            return False
        said = f"bytes {request.start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        content, length = CONTENT[request.start : request.start + 1000], len(CONTENT) - request.start
        request.answer(206 if request.start else 200, content, {"content-range": said}, length=length)
        return True

    store.fault = break_off
    assert fetch(remote(tmp_path), wanted(uri)) == CONTENT
    assert [asked[2] for asked in store.asked] == [None, "bytes=1000-", "bytes=2000-", "bytes=3000-"]


def test_the_next_start_goes_on_as_well(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def break_off(request: Request) -> bool:
        if request.start:
            request.answer(503, b"")
        else:
            request.answer(200, CONTENT[:5000], length=len(CONTENT))
        return True

    store.fault = break_off
    assert refusal(remote(tmp_path), wanted(uri)).reason == "unreachable"
    assert kept(tmp_path) == {f"{SHA}.part"}
    store.fault = lambda request: False
    store.asked.clear()
    assert fetch(remote(tmp_path), wanted(uri)) == CONTENT
    assert [asked[2] for asked in store.asked] == ["bytes=5000-"]


def test_a_server_without_ranges_sends_all_of_it_again(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def whole(request: Request) -> bool:
        content = CONTENT[:5000] if len(store.asked) == 1 else CONTENT
        request.answer(200, content, length=len(CONTENT))
        return True

    store.fault = whole
    assert fetch(remote(tmp_path), wanted(uri)) == CONTENT
    assert len(store.asked) == 2


@pytest.mark.parametrize("came", [CONTENT, CONTENT + b"of another file"])
def test_what_came_whole_before_is_fetched_anew(store: ArtifactServer, uri: str, tmp_path: Path, came: bytes) -> None:
    fetching = remote(tmp_path)
    with fetching.cache.holding(SHA, Event()), fetching.cache.partial(SHA) as file:
        file.write(came)

    def answer(request: Request) -> bool:
        if request.start < len(CONTENT):
            return False
        request.answer(416, b"")
        return True

    store.fault = answer
    assert fetch(fetching, wanted(uri)) == CONTENT
    assert len(store.asked) == 2


def test_a_failing_server_is_asked_again_a_few_times(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def fail(request: Request) -> bool:
        request.answer(503, b"")
        return True

    store.fault = fail
    fetching = remote(tmp_path)
    error = refusal(fetching, wanted(uri))
    assert (error.reason, len(store.asked)) == ("unreachable", 5)
    assert str(error) == f"{uri}: the server answers 503 Service Unavailable"
    assert fetching.failures == {"unreachable": 1}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(404, "missing"), (416, "unreachable"), (403, "store_refused"), (401, "store_refused"), (400, "unreachable")],
)
def test_an_answer_that_will_stay_is_not_asked_for_again(
    store: ArtifactServer, uri: str, tmp_path: Path, code: int, reason: str
) -> None:
    def refuse(request: Request) -> bool:
        request.answer(code, b"")
        return True

    store.fault = refuse
    assert refusal(remote(tmp_path), wanted(uri)).reason == reason
    assert len(store.asked) == 1


def test_other_bytes_are_not_kept(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    store.files["/iris/1/model.joblib"] = b"other bytes"
    error = refusal(remote(tmp_path), wanted(uri))
    assert error.reason == "digest_mismatch"
    assert f"sha256 {SHA[:12]}… was declared" in str(error)
    assert kept(tmp_path) == set()
    store.files["/iris/1/model.joblib"] = CONTENT
    assert fetch(remote(tmp_path), wanted(uri)) == CONTENT


def test_bytes_that_rotted_in_the_cache_come_again(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    fetch(remote(tmp_path), wanted(uri))
    (tmp_path / "cache" / SHA).write_bytes(b"rotten")
    assert fetch(remote(tmp_path), wanted(uri)) == CONTENT
    assert len(store.asked) == 2


def test_more_bytes_than_allowed_are_not_read(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    fetching = remote(tmp_path)
    error = refusal(fetching, wanted(uri), replace(ANYTHING, artifact_limit=Limit(1 << 19, "raise it")))
    assert (error.reason, fetching.fetched_bytes) == ("too_large", 0)
    assert str(error) == f"{uri} has 1,048,576 bytes, and at most 524,288 are read: raise it"


def test_a_length_that_is_not_said_is_refused(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def endless(request: Request) -> bool:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT)
        return True

    store.fault = endless
    fetching = remote(tmp_path)
    assert "does not say how many bytes" in str(refusal(fetching, wanted(uri)))
    assert fetching.fetched_bytes == 0


def test_a_server_that_ends_too_early_every_time_is_given_up(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def short(request: Request) -> bool:
        said = f"bytes {request.start}-{len(CONTENT)}/{len(CONTENT) + 1}"
        code, length = 206 if request.start else 200, len(CONTENT) + 1 - request.start
        request.answer(code, CONTENT[request.start :], {"content-range": said}, length=length)
        return True

    store.fault = short
    error = refusal(remote(tmp_path), wanted(uri))
    assert error.reason == "unreachable"
    assert "ended after 1,048,576 of 1,048,577 bytes" in str(error)


@pytest.mark.parametrize("begun", [False, True])
def test_a_server_that_drips_is_given_up(store: ArtifactServer, uri: str, tmp_path: Path, begun: bool) -> None:
    def drip(request: Request) -> bool:
        if begun:
            request.answer(200, b"", length=len(CONTENT))
        while not store.released.wait(0.02):
            request.wfile.write(b"x")
            request.wfile.flush()
        return True

    store.fault = drip
    fetching = remote(tmp_path, timeout_s=1)
    assert refusal(fetching, wanted(uri)).reason == "unreachable"
    assert fetching.fetched_bytes < 100  # no more than so many drip in the time allowed


def test_nobody_waits_for_what_is_no_longer_wanted(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    """Neither while bytes come, nor in the pause between attempts, nor behind another process that fetches the same."""

    def hang(request: Request) -> bool:
        request.answer(200, CONTENT[:10], length=len(CONTENT))
        while not store.released.wait(0.01):
            request.wfile.write(b"x")
        return True

    store.fault = hang
    stop, ended = Event(), []

    def run() -> None:
        try:
            remote(tmp_path).fetch(wanted(uri), ANYTHING, stop)
        except LoadFailed as error:
            ended.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(2)]  # the second waits for the first one's lock
    for thread in threads:
        thread.start()
    wait_until(lambda: store.asked, "the store to be asked")
    stop.set()
    for thread in threads:
        thread.join()
    assert ended == ["it is no longer wanted"] * 2
    assert len(store.asked) == 1


def test_many_who_want_the_same_bytes_fetch_them_once(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(remote(tmp_path), wanted(uri)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 6
    assert len(store.asked) == 1


def test_a_store_that_hangs_delays_no_other(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    def hang(request: Request) -> bool:
        store.released.wait()
        return True

    store.fault = hang
    fetching, stop = remote(tmp_path), Event()

    def run(sha256: str) -> None:
        with pytest.raises(LoadFailed):
            fetching.fetch(wanted(uri, sha256), ANYTHING, stop)

    threads = [threading.Thread(target=run, args=(f"{number:064x}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(store.asked) == 4, "as many as are let to be asking")
    with artifact_server() as another:
        another.files["/model.joblib"] = CONTENT
        assert fetch(fetching, wanted(f"{another.url}/model.joblib")) == CONTENT
    assert len(store.asked) == 4
    stop.set()
    store.released.set()
    for thread in threads:
        thread.join()


def test_metadata_lies_beside_the_artifact(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    metadata = f'{{"artifact": {{"file": "model.joblib", "sha256": "{SHA}", "bytes": {len(CONTENT)}}}}}'.encode()
    store.files["/iris/1/metadata.json"] = metadata
    for _ in range(2):
        version, fetched = described(remote(tmp_path), wanted(uri, metadata=None))
        fetched.file.close()
        assert version.metadata == metadata
        store.fault = lambda request: True
    assert [path for _, path, _ in store.asked] == ["/iris/1/model.joblib", "/iris/1/metadata.json"]


def test_that_there_is_no_metadata_is_asked_again_as_long_as_one_can(
    store: ArtifactServer, uri: str, tmp_path: Path
) -> None:
    def metadata() -> bytes | None:
        version, fetched = described(remote(tmp_path), wanted(uri, metadata=None))
        fetched.file.close()
        return version.metadata

    assert metadata() is None
    store.fault = lambda request: True
    assert metadata() is None
    store.fault = lambda request: False
    store.files["/iris/1/metadata.json"] = b"{}"
    assert metadata() == b"{}"


def test_metadata_of_another_artifact_is_refused(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    store.files["/iris/1/metadata.json"] = f'{{"artifact": {{"file": "m", "sha256": "{other}", "bytes": 5}}}}'.encode()
    error = refusal(remote(tmp_path), wanted(uri, metadata=None))
    assert error.reason == "digest_mismatch"
    assert f"metadata.json is of an artifact with the sha256 {other[:12]}…" in str(error)


def test_the_longest_unused_goes_first_and_what_is_wanted_never(store: ArtifactServer, tmp_path: Path) -> None:
    contents = [bytes([number]) * 1000 for number in range(4)]
    versions = []
    for number, content in enumerate(contents):
        store.files[f"/{number}.joblib"] = content
        versions.append(wanted(f"{store.url}/{number}.joblib", hashlib.sha256(content).hexdigest()))
    fetching = remote(tmp_path, limit_bytes=2500)
    fetching.keep(WantedState({"iris": WantedModel("iris", "0", {"0": versions[0]})}))
    for version in versions[:3]:
        fetch(fetching, version)
    assert kept(tmp_path) == {versions[0].sha256, versions[2].sha256}
    fetch(fetching, versions[3])
    assert kept(tmp_path) == {versions[0].sha256, versions[3].sha256}
    assert fetching.cache.held_bytes() == 2000


def test_a_full_disk_says_so(store: ArtifactServer, uri: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    error = refusal(remote(tmp_path), wanted(uri))
    assert error.reason == "cache_unusable"
    assert str(tmp_path / "cache") in str(error)
