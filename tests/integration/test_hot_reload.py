"""Change the mounted folder under a running server, in both forms, and watch what it answers."""

import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tests.raising_model import RaisingRegressor
from tools.kubelet import ConfigMapVolume

ROW = [[0.0, 0.0]]


def answer(server: LiveServer, version: str | None = None) -> float | int:
    """What the model answers, or the status when it does not."""
    response = server.predict("m", ROW, version)
    if response.status_code != 200:
        return response.status_code
    value: float = response.json()["predictions"][0]
    return value


@pytest.fixture
def volume(tmp_path: Path) -> ConfigMapVolume:
    return ConfigMapVolume(tmp_path / "mount")


def config(versions: dict[str, bytes], default: str | None = None, **digests: str) -> dict[str, bytes]:
    """A ConfigMap with a manifest and its artifacts; `digests` replaces the true digest of v<version>."""
    lines = ["models:", "  m:"]
    if default is not None:
        lines.append(f'    default: "{default}"')
    lines.append("    versions:")
    for version, artifact in versions.items():
        sha256 = digests.get(f"v{version}", hashlib.sha256(artifact).hexdigest())
        lines.append(f'      "{version}": {{artifact: m-{version}.joblib, sha256: {sha256}}}')
    data = {f"m-{version}.joblib": artifact for version, artifact in versions.items()}
    return {"models.yaml": "\n".join(lines).encode(), **data}


ONE, TWO, THREE = (dump(constant(value)) for value in (1.0, 2.0, 3.0))


@pytest.fixture
def server(volume: ConfigMapVolume) -> Iterator[LiveServer]:
    volume.write(config({"1": ONE}))
    with live_server(volume.folder, poll_interval_s=60) as server:
        assert answer(server) == 1
        yield server


def test_a_version_added_to_a_config_map_answers_and_the_old_one_stays_pinned(
    volume: ConfigMapVolume, server: LiveServer
) -> None:
    volume.write(config({"1": ONE, "2": TWO}))
    wait_until(lambda: answer(server) == 2, "version 2 to answer")
    assert answer(server, "1") == 1
    response = server.predict("m", ROW)
    assert response.headers["x-model-name"] == "m"
    assert response.headers["x-model-version"] == "2"


def was_read(sent: socket.socket) -> bool:
    """Whether the other side, on this machine, has read all that it was sent."""
    ours = f":{sent.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="utf-8") as table:
        waiting = [line.split()[4] for line in table if line.split()[2].endswith(ours)]
    return [queues.partition(":")[2] for queues in waiting] == ["00000000"]


def test_a_request_that_arrives_slowly_across_a_swap_is_answered_by_what_serves_when_it_is_whole(
    volume: ConfigMapVolume, server: LiveServer
) -> None:
    body = b'{"instances": [[0.0, 0.0]]}'
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    url = server.api.base_url
    with socket.create_connection((url.host, url.port), timeout=30) as slow:
        slow.sendall(head % len(body) + body[:5])
        wait_until(lambda: was_read(slow), "the request to be read")
        volume.write(config({"2": TWO}))
        wait_until(lambda: answer(server, "1") == 404, "version 1 to be gone")  # it waits for nobody's upload
        slow.sendall(body[5:])
        said = b"".join(iter(lambda: slow.recv(4096), b""))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"x-model-version: 2\r\n" in said
    assert said.endswith(b'{"predictions":[2.0]}')


def test_changing_the_default_rolls_back_without_loading(volume: ConfigMapVolume, server: LiveServer) -> None:
    volume.write(config({"1": ONE, "2": TWO}))
    wait_until(lambda: answer(server) == 2, "version 2 to answer")
    volume.write(config({"1": ONE, "2": TWO}, default="1"))
    wait_until(lambda: answer(server) == 1, "the default to be version 1 again")
    assert len(server.logged("m/1 is ready")) == 1


def test_an_omitted_version_is_unloaded_once_another_serves_and_its_series_go(
    volume: ConfigMapVolume, server: LiveServer
) -> None:
    assert server.metric("model_manager_requests_total", model_version="1") > 0
    volume.write(config({"2": TWO}))
    wait_until(lambda: answer(server, "1") == 404, "version 1 to be gone")
    assert answer(server) == 2
    wait_until(lambda: 'model_version="1"' not in server.admin.get("/metrics").text, "the series of version 1 to go")


def test_a_corrupt_artifact_leaves_the_old_version_answering_and_says_why(
    volume: ConfigMapVolume, server: LiveServer
) -> None:
    volume.write(config({"1": ONE, "2": b"not a pickle"}))
    wait_until(lambda: server.status("m", "2")[0] == "UNAVAILABLE", "version 2 to fail")
    assert "corrupt" in server.status("m", "2")[1]
    assert server.metric("model_manager_load_failures_total", model_version="2", reason="corrupt") >= 1
    assert server.logged("m/2 is failed: corrupt")
    assert answer(server) == 1
    assert answer(server, "2") == 503
    assert server.ready()
    volume.write(config({"1": ONE, "2": TWO}))
    wait_until(lambda: answer(server) == 2, "the repaired version 2 to answer")
    assert server.status("m", "2") == ("READY", "")


def test_bytes_that_are_not_the_declared_ones_are_never_unpickled(volume: ConfigMapVolume, server: LiveServer) -> None:
    volume.write(config({"1": ONE, "2": TWO}, v2="f" * 64))
    wait_until(lambda: server.status("m", "2")[0] == "UNAVAILABLE", "version 2 to be refused")
    assert "digest_mismatch" in server.status("m", "2")[1]
    assert answer(server) == 1


def test_a_bad_replacement_of_a_version_leaves_its_old_bytes_answering(
    volume: ConfigMapVolume, server: LiveServer
) -> None:
    volume.write(config({"1": b"broken"}))
    wait_until(lambda: "corrupt" in server.status("m", "1")[1], "the replacement to fail")
    assert server.status("m", "1")[0] == "READY"
    assert answer(server) == 1
    volume.write(config({"1": THREE}))
    wait_until(lambda: answer(server) == 3, "the second replacement to answer")
    wait_until(lambda: server.status("m", "1")[1] == "", "the old bytes to be gone")
    assert server.metric("model_manager_requests_total", model_version="1") > 0


def test_a_refused_manifest_changes_nothing_and_names_the_line(volume: ConfigMapVolume, server: LiveServer) -> None:
    data = config({"1": ONE, "2": TWO})
    volume.write({**data, "models.yaml": data["models.yaml"] + b"\n    defualt: '2'"})
    wait_until(lambda: server.logged("line 6"), "the manifest to be refused")
    assert server.metric("model_manager_source_failures_total", reason="manifest_invalid") >= 1
    assert answer(server) == 1
    assert answer(server, "2") == 404
    volume.write(data)
    wait_until(lambda: answer(server) == 2, "the repaired manifest to be followed")


def test_an_update_that_only_moves_the_files_reloads_nothing(volume: ConfigMapVolume, server: LiveServer) -> None:
    volume.write({**config({"1": ONE}), "unrelated": b"1"})
    volume.write(config({"1": ONE, "2": TWO}))
    wait_until(lambda: answer(server) == 2, "version 2 to answer")
    assert len(server.logged("m/1 is ready")) == 1


def test_a_hundred_swaps_under_load_fail_no_request(volume: ConfigMapVolume, server: LiveServer) -> None:
    done = threading.Event()
    outcomes: list[float] = []

    def ask() -> None:
        while not done.is_set():
            outcomes.append(answer(server))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for swap in range(100):
            volume.write(config({"1": ONE, "2": TWO} if swap % 2 else {"2": TWO, "3": THREE}))
            if swap % 10 == 9:
                wait_until(lambda: answer(server) == 2, "version 2 to be the newest")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(outcomes) > 100
    assert set(outcomes) <= {1.0, 2.0, 3.0}


def test_a_volume_that_vanishes_unloads_nothing_and_is_followed_again_when_it_is_back(
    volume: ConfigMapVolume, tmp_path: Path
) -> None:
    volume.write(config({"1": ONE}))
    with live_server(volume.folder, poll_interval_s=0.05) as server:
        volume.folder.rename(tmp_path / "unmounted")
        wait_until(lambda: server.logged("cannot be used"), "the missing folder to be noticed")
        assert answer(server) == 1
        (tmp_path / "unmounted").rename(volume.folder)
        wait_until(lambda: server.logged("can be used again"), "the folder to be noticed again")
        volume.write(config({"1": ONE, "2": TWO}))
        wait_until(lambda: answer(server) == 2, "version 2 to answer")


def test_a_repository_folder_is_followed_too(tmp_path: Path) -> None:
    put(tmp_path, "m", "9", ONE)
    with live_server(tmp_path, poll_interval_s=60) as server:
        assert answer(server) == 1
        put(tmp_path, "m", "10", TWO)
        wait_until(lambda: answer(server) == 2, "version 10 to be newer than 9")
        put(tmp_path, "m", "11", b"broken")
        wait_until(lambda: server.status("m", "11")[0] == "UNAVAILABLE", "version 11 to fail")
        assert answer(server) == 2
        shutil.rmtree(tmp_path / "m" / "11")
        wait_until(lambda: ("m", "11") not in server.index(), "version 11 to be forgotten")
        put(tmp_path, "other", "1", THREE)
        wait_until(lambda: server.predict("other", ROW).status_code == 200, "another model to answer")
        shutil.rmtree(tmp_path / "other")
        wait_until(lambda: server.predict("other", ROW).status_code == 404, "a removed model to be unloaded")
        shutil.rmtree(tmp_path / "m")
        wait_until(lambda: server.logged("cannot be used"), "an empty folder to be noticed")
        assert answer(server) == 2


@pytest.mark.parametrize("where", ["unpickling", "width"])
def test_a_model_that_exits_while_it_is_loaded_fails_and_the_server_goes_on(tmp_path: Path, where: str) -> None:
    put(tmp_path, "m", "1", ONE)
    with live_server(tmp_path, poll_interval_s=60) as server:
        put(tmp_path, "m", "2", dump(RaisingRegressor(where, SystemExit("enough of this"))))
        wait_until(lambda: server.status("m", "2")[0] == "UNAVAILABLE", "version 2 to fail")
        assert "SystemExit: enough of this" in server.status("m", "2")[1]
        assert answer(server) == 1
        put(tmp_path, "m", "3", THREE)
        wait_until(lambda: answer(server) == 3, "version 3 to answer")


def test_nothing_to_serve_yet_is_alive_and_not_ready(tmp_path: Path) -> None:
    with live_server(tmp_path, wait=False, poll_interval_s=60) as server:
        wait_until(lambda: server.logged("cannot be used"), "the empty folder to be noticed")
        response = server.api.get("/v2/health/ready")
        assert response.status_code == 503
        assert response.json()["ready"] is False
        assert server.api.get("/v2/health/live").json() == {"live": True}
        put(tmp_path, "m", "1", ONE)
        wait_until(server.ready, "the first model to make the server ready")
        assert answer(server) == 1
