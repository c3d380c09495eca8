"""Who gets in, at a real server: API keys and their rotation, the admin port's token, TLS and its rotation."""

import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_manager.serving.keys import digest_of

from tests.certificates import Authority
from tests.live import COMMAND, LiveServer, live_server, wait_until, without_server_settings
from tests.models import constant, dump, put
from tools.kubelet import ConfigMapVolume
from tools.patience import LIMIT_S, stretched
from tools.processes import ProcessFailed

ROW = [[0.0, 0.0]]
V1, V2 = "/v1/models/{}:predict", "/v2/models/{}/infer"
TENSOR = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0.0, 0.0]}]}


def keys(**said: str) -> dict[str, bytes]:
    """A Secret of keys: by id the rest of an entry; the key of "shop" is "key-of-shop"."""
    lines = [f"  {id}: {{sha256: {digest_of(f'key-of-{id}'.encode()).hex()}{rest}}}" for id, rest in said.items()]
    return {"api-keys.yaml": "\n".join(["keys:", *lines]).encode()}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with nothing to read."""
    env, limit_s = without_server_settings(), stretched(LIMIT_S)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL, timeout=limit_s
    )


def of(id: str) -> dict[str, str]:
    return {"authorization": f"Bearer key-of-{id}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("iris", "churn"):
        put(folder, name, "1", dump(constant(1.0)))
    return folder


@pytest.fixture(scope="module", params=[1, 2], ids=lambda workers: f"{workers}-workers")
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> Iterator[tuple[LiveServer, ConfigMapVolume]]:
    secret = ConfigMapVolume(tmp_path_factory.mktemp("secret"))
    secret.write(keys(shop="", bank=", models: [chu*]", slow=", requests_per_second: 0.001, burst: 1"))
    options = {"api_keys": secret.folder, "workers": request.param, "log_requests": 1, "poll_interval_s": 600}
    with live_server(folder, **options) as server:
        yield server, secret


def test_nobody_gets_in_without_a_key_but_a_kubelet(guarded: tuple[LiveServer, ConfigMapVolume]) -> None:
    server = guarded[0]
    routes = ("/", "/v1/models", "/v1/models/iris", "/v2", "/v2/", "/v2/models", "/v2/models/iris", "/nowhere", "//",
              "/v2/models/iris/ready", "/v2/health/live/x", "/v2/Health/live", "/openapi.json", "/docs/x")  # fmt: skip
    refused = [server.api.get(route) for route in routes]
    refused.append(server.api.post(V1.format("iris"), json={"instances": ROW}))
    refused.append(server.api.post(V2.format("iris"), json=TENSOR, headers={"x-api-key": "key-of-nobody"}))
    refused.append(server.api.post("/v2/repository/index"))
    for answer in refused:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="model-manager"'
        assert set(answer.json()) == {"error"}
        assert not re.search("iris|churn", answer.text)
    for route in ("/v2/health/live", "/v2/health/ready", "/v2/health/live/", "/docs", "/docs/start.js"):
        assert server.api.get(route).status_code == 200


def test_a_key_opens_its_models_and_shows_no_other(guarded: tuple[LiveServer, ConfigMapVolume]) -> None:
    server = guarded[0]
    for _ in range(3):  # the first way to a model, and the short one
        assert server.api.post(V1.format("iris"), json={"instances": ROW}, headers=of("shop")).status_code == 200
        assert server.api.post(V2.format("churn"), json=TENSOR, headers={"x-api-key": "key-of-bank"}).status_code == 200
        for forbidden in (
            server.api.post(V1.format("iris"), json={"instances": ROW}, headers=of("bank")),
            server.api.post(V2.format("iris"), json=TENSOR, headers=of("bank")),
            server.api.get("/v2/models/iris/ready", headers=of("bank")),
            server.api.get("/v1/models/iris/versions/1", headers=of("bank")),
        ):
            assert forbidden.status_code == 403
            assert forbidden.json() == {"error": "this key may not use model 'iris'"}
    shown = [server.api.get(route, headers=of("bank")) for route in ("/", "/v1/models", "/v2/models")]
    shown.append(server.api.post("/v2/repository/index", headers=of("bank")))
    shown.append(server.api.get("/v2/models/chusan", headers=of("bank")))
    assert [answer.status_code for answer in shown] == [200] * 4 + [404]
    assert not [answer.text for answer in shown if "iris" in answer.text]
    assert server.api.get("/v2/models", headers=of("bank")).json() == {"models": ["churn"]}
    assert server.api.get("/v2/models", headers=of("shop")).json() == {"models": ["churn", "iris"]}


def test_a_rate_is_held_to(guarded: tuple[LiveServer, ConfigMapVolume]) -> None:
    server = guarded[0]
    ask = {"json": {"instances": ROW}, "headers": of("slow")}
    # Each worker allows one at least; one connection reaches one of them.
    answers = [server.api.post(V1.format("iris"), **ask) for _ in range(3)]  # type: ignore[arg-type]
    assert [answer.status_code for answer in answers][1:] == [429, 429]
    assert int(answers[-1].headers["retry-after"]) > 100


def test_a_key_is_told_by_its_id_in_logs_and_metrics_and_never_itself(
    guarded: tuple[LiveServer, ConfigMapVolume],
) -> None:
    server = guarded[0]
    before = server.metric("model_manager_client_requests_total", client="shop", outcome="admitted")
    answer = server.api.post(V1.format("iris"), json={"instances": ROW}, headers={**of("shop"), "x-request-id": "me"})
    server.api.get("/v2/models", headers={"x-api-key": "key-of-nobody"})
    (record,) = wait_until(lambda: [one for one in server.log if one.get("request_id") == "me"], "it to be logged")
    assert record["client"] == "shop"
    scraped = server.admin.get("/metrics").text
    assert server.metric("model_manager_client_requests_total", client="shop", outcome="admitted") == before + 1
    assert server.metric("model_manager_client_requests_total", outcome="unauthenticated") >= 1
    outputs = [answer.text, str(answer.headers), scraped, str(server.log), *server.plain]
    outputs += [server.admin.get(f"/debug/{topic}").text for topic in ("tasks", "queues", "batches")]
    assert not [one for one in outputs if "key-of-" in one or digest_of(b"key-of-shop").hex()[:12] in one]


def test_keys_change_without_a_restart_and_a_broken_file_opens_no_door(
    guarded: tuple[LiveServer, ConfigMapVolume],
) -> None:
    server, secret = guarded

    def status(id: str) -> int:
        return httpx.get(f"{server.api.base_url}/v2/models", headers=of(id)).status_code

    def settled(id: str, code: int) -> bool:
        return all(status(id) == code for _ in range(8))  # of every worker

    first = keys(shop="", bank=", models: [chu*]", slow=", requests_per_second: 0.001, burst: 1")
    secret.write({"api-keys.yaml": b"keys: {shop: {sha256: hunter2}}"})
    wait_until(lambda: server.logged("api-keys.yaml line 1: keys.shop.sha256"), "the broken file to be seen")
    assert (status("shop"), status("next"), status("nobody")) == (200, 401, 401)
    secret.write(keys(next=""))
    wait_until(lambda: settled("next", 200) and settled("shop", 401), "the new key to be in force")
    secret.write(first)
    wait_until(lambda: settled("shop", 200) and settled("next", 401), "the old key to be in force")
    assert "hunter2" not in str(server.log)


@pytest.mark.parametrize(
    ("workers", "flag", "text", "told"),
    [
        (1, "--api-keys", None, "cannot be read: No such file or directory"),
        (2, "--api-keys", "keys: {}", "there are no API keys"),
        (2, "--admin-token", "short", "must hold one token of at least 16 characters"),
        (1, "--tls-cert", "", "--tls-cert and --tls-key go together"),
    ],
)
def test_a_server_whose_door_cannot_be_shut_does_not_start(
    folder: Path, tmp_path: Path, workers: int, flag: str, text: str | None, told: str
) -> None:
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
    flags = ["--models", folder, "--port", 0, "--admin-port", 0, "--host", "127.0.0.1", "--workers", workers]
    ended = run([*COMMAND, *map(str, flags), flag, str(path)])
    assert ended.returncode == 2
    assert re.fullmatch(rf"model-manager: .*{re.escape(told)}.*\n", ended.stderr)


def test_the_command_makes_a_key_that_a_server_takes(folder: Path, tmp_path: Path) -> None:
    made = run([*COMMAND[:-1], "api-key", "shop", "--models", "iris"])
    key = made.stderr.split()[-1]
    assert re.fullmatch(r"mmk_[A-Za-z0-9_-]{43}", key)
    assert key not in made.stdout
    document = json.loads(run([*COMMAND[:-1], "api-key", "bank", "--json"]).stdout)
    (tmp_path / "shop.yaml").write_text(made.stdout)
    (tmp_path / "bank.yaml").write_text(json.dumps(document["file"]))
    with live_server(folder, api_keys=tmp_path) as server:
        for each, models in ((key, ["iris"]), (document["key"], ["churn", "iris"])):
            assert server.api.get("/v2/models", headers={"x-api-key": each}).json() == {"models": models}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_admin_port_asks_for_its_token(folder: Path, tmp_path: Path, workers: int) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-16-and-more\n")
    with live_server(folder, admin_token=file, workers=workers) as server:
        for route in ("/", "/metrics", "/debug/tasks"):
            assert server.admin.get(route).status_code == 401
            assert server.admin.get(route, headers={"authorization": "Bearer a-token-of-16"}).status_code == 401
            headers = {"authorization": "Bearer a-token-of-16-and-more"}
            assert server.admin.get(route, headers=headers).status_code == 200
        assert server.admin.post("/v2/repository/index").status_code == 401
        assert server.admin.get("/v2/health/ready").status_code == 200
        file.write_text("another-token-of-its-own\n")
        headers = {"authorization": "Bearer another-token-of-its-own"}
        wait_until(lambda: server.admin.get("/metrics", headers=headers).status_code == 200, "the new token")
        assert server.admin.get("/metrics", headers={"authorization": "Bearer a-token-of-16-and-more"}).is_error


def test_the_admin_port_has_an_address_of_its_own(folder: Path) -> None:
    with live_server(folder, admin_host="127.0.0.2") as server:
        assert server.admin.base_url.host == "127.0.0.2"
        assert server.api.base_url.host == "127.0.0.1"
        assert server.admin.get("/metrics").status_code == 200


def test_every_answer_says_that_it_is_not_to_be_guessed_at_or_kept(folder: Path) -> None:
    with live_server(folder) as server:
        answers = [
            server.predict("iris", ROW),
            server.predict("iris", ROW),
            server.predict("iris", ["wrong"]),
            server.predict("nobody", ROW),
            server.api.get("/"),
            server.api.get("/nowhere"),
            server.admin.get("/metrics"),
            server.admin.get("/v2/health/ready"),
        ]
    for answer in answers:
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert "server" not in answer.headers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "authority")


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


def serial(server: LiveServer, context: ssl.SSLContext) -> object:
    """Of the certificate that a new connection to the API is shown."""
    address = (server.api.base_url.host, server.api.base_url.port or 0)
    with (
        socket.create_connection(address, timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return (connection.getpeercert() or {})["serialNumber"]


@pytest.mark.parametrize("workers", [1, 2])
def test_certificates_are_renewed_under_traffic(
    folder: Path, tmp_path: Path, authority: Authority, workers: int
) -> None:
    secret = ConfigMapVolume(tmp_path / "tls")
    certificate, key = authority.sign("server")
    secret.write({"tls.crt": certificate, "tls.key": key})
    files: dict[str, Any] = {"tls_cert": secret.folder / "tls.crt", "tls_key": secret.folder / "tls.key"}
    trusted, codes, ended = trusting(authority), list[int](), threading.Event()
    with live_server(folder, workers=workers, verify=trusted, poll_interval_s=600, **files) as server:
        assert str(server.api.base_url).startswith("https://")
        assert server.metric("model_manager_ready") >= 1  # over TLS too
        with pytest.raises(httpx.TransportError):
            httpx.get(str(server.api.base_url).replace("https", "http"))
        with pytest.raises(httpx.ConnectError):
            httpx.get(str(server.api.base_url))  # which does not know this authority

        def ask() -> None:
            while not ended.is_set():
                codes.append(server.predict("iris", ROW).status_code)  # on one connection, which is never dropped

        traffic = threading.Thread(target=ask)
        traffic.start()
        try:
            first = serial(server, trusted)
            secret.write({"tls.crt": certificate, "tls.key": b"nothing of the kind"})
            wait_until(lambda: server.logged("tls_key"), "the wrong key to be told of")
            assert serial(server, trusted) == first
            renewed, its_key = authority.sign("server")
            secret.write({"tls.crt": renewed, "tls.key": its_key})
            wait_until(lambda: first not in [serial(server, trusted) for _ in range(8)], "the new certificate")
        finally:
            ended.set()
            traffic.join()
        assert set(codes) == {200}
        assert b"PRIVATE" not in str(server.log).encode()


def test_only_tls_1_2_and_later_is_spoken(folder: Path, tmp_path: Path, authority: Authority) -> None:
    for name, text in zip(("tls.crt", "tls.key"), authority.sign("server"), strict=True):
        (tmp_path / name).write_bytes(text)
    files: dict[str, Any] = {"tls_cert": tmp_path / "tls.crt", "tls_key": tmp_path / "tls.key"}
    with live_server(folder, verify=trusting(authority), **files) as server:
        address = f"127.0.0.1:{server.api.base_url.port}"
        for version, accepted in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
            command = ["openssl", "s_client", version, "-cipher", "DEFAULT:@SECLEVEL=0", "-connect", address]
            assert ("Verification" in run(command).stdout and run(command).returncode == 0) is accepted


def test_a_client_without_a_certificate_of_the_right_ca_is_refused(
    folder: Path, tmp_path: Path, authority: Authority
) -> None:
    strangers = Authority(tmp_path / "strangers", "strangers")
    secret = ConfigMapVolume(tmp_path / "tls")
    ours = authority.certificate.read_bytes()
    certificate, key = authority.sign("server")
    secret.write({"tls.crt": certificate, "tls.key": key, "ca.crt": ours})
    files: dict[str, Any] = {
        name: secret.folder / file
        for name, file in (("tls_cert", "tls.crt"), ("tls_key", "tls.key"), ("tls_client_ca", "ca.crt"))
    }

    def showing(by: Authority) -> ssl.SSLContext:
        context = trusting(authority)
        for name, text in zip(("client.crt", "client.key"), by.sign("client"), strict=True):
            (tmp_path / name).write_bytes(text)
        context.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
        return context

    known, unknown = showing(authority), showing(strangers)
    with live_server(folder, verify=trusting(authority), poll_interval_s=600, **files) as server:

        def lets_in(context: ssl.SSLContext) -> bool:
            try:
                return httpx.get(f"{server.api.base_url}/v2/models", verify=context).status_code == 200
            except httpx.TransportError:
                return False

        assert server.admin.get("/v2/health/ready").status_code == 200  # a kubelet has no certificate
        assert lets_in(known)
        assert not lets_in(unknown)
        assert not lets_in(trusting(authority))
        theirs = strangers.certificate.read_bytes()
        secret.write({"tls.crt": certificate, "tls.key": key, "ca.crt": theirs})
        wait_until(lambda: lets_in(unknown), "the other CA to be asked for")
        assert not lets_in(known)  # a CA that is taken away is trusted no more


def test_a_certificate_that_cannot_be_used_keeps_the_server_from_starting(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text("nothing")
    with pytest.raises(ProcessFailed, match=r"tls_cert .*tls\.crt, tls_key .*tls\.crt: cannot be used"):
        LiveServer(folder, {"tls-cert": tmp_path / "tls.crt", "tls-key": tmp_path / "tls.crt"})
