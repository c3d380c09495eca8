"""The API over gRPC, at a real server: the same answers, errors, keys, limits and stop as over HTTP."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from model_manager.api.grpc_health import HEALTH
from model_manager.api.grpc_problems import shortened
from model_manager.codecs.proto_files import read_proto

from tests.certificates import Authority
from tests.grpc_client import INFER, MESSAGES, GrpcClient, raw_request
from tests.integration.test_doors import keys, run
from tests.live import COMMAND, LiveServer, live_server, wait_until
from tests.models import constant, dump, put
from tests.slow_model import SlowRegressor
from tools.kubelet import ConfigMapVolume
from tools.patience import LIMIT_S, stretched

IRIS = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.8, 4.8, 1.6]]
ROW = {"input": [[0.0, 0.0]]}
TYPES = MESSAGES["ModelInput"].DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
LIMIT = 400_000
Code = grpc.StatusCode


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> SlowRegressor:
    folder = tmp_path_factory.mktemp("gate")
    model = SlowRegressor(str(folder / "gate"), str(folder / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    return model


@pytest.fixture(scope="module")
def server(samples: Path, slow: SlowRegressor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    for model in ("iris", "churn"):
        shutil.copytree(samples / model, folder / model)
    put(folder, "slow", "1", dump(slow))
    options: dict[str, Any] = {
        "grpc_port": 0,
        "max_body_bytes": LIMIT,
        "log_requests": 1,
        "server_timing": True,
        "compile": "off",
    }
    with live_server(folder, **options) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> Iterator[GrpcClient]:
    with GrpcClient(address_of(server)) as client:
        yield client


def address_of(server: LiveServer) -> str:
    return server.server.addresses["grpc"]


def refused(call: Any) -> Any:
    """The error that a call ends with."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value


def test_answers_are_those_of_http(server: LiveServer, client: GrpcClient) -> None:
    for version in ("", "1"):
        answer = client.infer(raw_request("iris", {"input": IRIS}, id="7", model_version=version))
        path = f"/v2/models/iris/versions/{version}/infer" if version else "/v2/models/iris/infer"
        flat = [value for row in IRIS for value in row]
        tensor = {"name": "input", "shape": [2, 4], "datatype": "FP64", "data": flat}
        said = server.api.post(path, json={"inputs": [tensor], "id": "7"}).json()
        assert (answer.model_name, answer.model_version, answer.id) == ("iris", said["model_version"], "7")
        assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [
            (one["name"], one["datatype"], one["shape"]) for one in said["outputs"]
        ]
        for output, raw in zip(said["outputs"], answer.raw_output_contents, strict=True):
            if output["datatype"] == "FP64":
                assert np.frombuffer(raw).tolist() == output["data"]
        assert answer.raw_output_contents[0] == b"\x06\0\0\0setosa\x09\0\0\0virginica" or version


def test_typed_contents_are_answered_so(client: GrpcClient) -> None:
    request = MESSAGES["ModelInferRequest"](model_name="iris")
    tensor = request.inputs.add(name="input", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend(IRIS[0])
    request.outputs.add(name="predict")
    answer = client.infer(request)
    assert list(answer.outputs[0].contents.bytes_contents) == [b"setosa"]
    assert len(answer.raw_output_contents) == 0


@pytest.mark.parametrize(
    ("request_", "metadata", "code", "said"),
    [
        (raw_request("nowhere", ROW), (), Code.NOT_FOUND, "no model 'nowhere'; models: churn, iris, slow"),
        (raw_request("iris", ROW, model_version="9"), (), Code.NOT_FOUND, "no version '9'"),
        (raw_request("iris", ROW), (("x-model-version", "9"),), Code.NOT_FOUND, "no version '9'"),
        (raw_request("iris", ROW), (), Code.INVALID_ARGUMENT, "expected shape [rows, 4], got [1, 2]"),
        (raw_request("iris", ROW), (("x-priority", "soon"),), Code.INVALID_ARGUMENT, "header x-priority"),
        (b"\xff\xff", (), Code.INVALID_ARGUMENT, "is no inference.ModelInferRequest"),
        (raw_request("€" * 3000, ROW), (), Code.NOT_FOUND, "no model '€€€"),
    ],
    ids=["model", "version", "pinned version", "shape", "priority", "no message", "long name"],
)
def test_errors_have_the_words_of_http_and_codes_of_grpc(
    client: GrpcClient, request_: Any, metadata: Any, code: Any, said: str
) -> None:
    error = refused(lambda: client.infer(request_, metadata=(*metadata, ("x-request-id", "me"))))
    assert error.code() == code
    assert said in error.details()
    assert dict(error.trailing_metadata())["x-request-id"] == "me"


def test_what_is_asked_is_counted_and_logged(server: LiveServer, client: GrpcClient) -> None:
    counter = {"model_name": "iris", "model_version": "1", "code": "200"}
    before = server.metric("model_manager_requests_total", **counter)
    call = client.channel.unary_unary(INFER)
    parent = ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01")
    message = raw_request("iris", {"input": IRIS}, model_version="1").SerializeToString()
    _, done = call.with_call(message, timeout=stretched(LIMIT_S), metadata=[("x-request-id", "seen"), parent])
    assert "total;dur=" in dict(done.trailing_metadata())["server-timing"]
    assert server.metric("model_manager_requests_total", **counter) == before + 1
    record = wait_until(
        lambda: next((one for one in server.log if one.get("request_id") == "seen"), None), "the line of the request"
    )
    assert (record["route"], record["status"], record["rows"]) == (INFER, 200, 2)
    assert record["trace_id"] == "a" * 32


def test_the_server_and_its_models_describe_themselves(server: LiveServer, client: GrpcClient) -> None:
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ServerMetadata").name == "model-manager"
    assert client.call("ModelReady", name="iris", version="1").ready
    assert refused(lambda: client.call("ModelReady", name="nowhere")).code() == Code.NOT_FOUND
    said, described = client.call("ModelMetadata", name="churn"), server.api.get("/v2/models/churn").json()
    assert (said.name, list(said.versions), said.platform) == ("churn", ["1"], described["platform"])
    for kind in ("inputs", "outputs"):
        told = [(one.name, one.datatype, list(one.shape)) for one in getattr(said, kind)]
        assert told == [(one["name"], one["datatype"], one["shape"]) for one in described[kind]]
    assert said.properties["sha256"] == described["properties"]["sha256"]
    rows = {(one.name, one.version): one.state for one in client.call("RepositoryIndex", ready=True).models}
    assert rows == {place: row["state"] for place, row in server.index().items()}
    for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
        error = refused(lambda name=name: client.call(name, model_name="iris"))
        assert (error.code(), "admin port" in error.details()) == (Code.UNIMPLEMENTED, True)


@pytest.mark.parametrize(
    "name", ["ModelStreamInfer", "TraceSetting", "LogSettings", "SystemSharedMemoryStatus", "CudaSharedMemoryRegister"]
)
def test_what_is_not_offered_is_unimplemented(client: GrpcClient, name: str) -> None:
    call = client.channel.unary_unary(f"/inference.GRPCInferenceService/{name}")
    error = refused(lambda: call(b"", timeout=stretched(LIMIT_S)))
    assert error.code() == Code.UNIMPLEMENTED


def test_statistics_and_configuration_are_those_of_http(server: LiveServer, client: GrpcClient) -> None:
    client.infer(raw_request("iris", {"input": IRIS}, model_version="1"))
    (said,) = client.call("ModelStatistics", name="iris", version="1").model_stats
    assert (said.name, said.version) == ("iris", "1")
    assert said.inference_count >= len(IRIS)
    assert said.execution_count >= 1
    assert said.inference_stats.success.count >= 1
    assert said.inference_stats.compute_infer.ns > 0
    assert {one.name for one in client.call("ModelStatistics").model_stats} == {"iris", "churn", "slow"}
    config, told = client.call("ModelConfig", name="churn").config, server.api.get("/v2/models/churn/config").json()
    for kind in ("input", "output"):
        shown = [(one.name, TYPES[one.data_type].name, list(one.dims)) for one in getattr(config, kind)]
        assert shown == [(one["name"], one["data_type"], one["dims"]) for one in told[kind]]
    assert (config.max_batch_size, config.backend) == (told["max_batch_size"], told["backend"])
    assert list(config.version_policy.specific.versions) == [1]
    for name in ("ModelConfig", "ModelStatistics"):
        assert refused(lambda name=name: client.call(name, name="nowhere")).code() == Code.NOT_FOUND


def check_health(client: GrpcClient, service: str) -> int:
    request, response = HEALTH.messages["HealthCheckRequest"], HEALTH.messages["HealthCheckResponse"]
    ask = client.channel.unary_unary("/grpc.health.v1.Health/Check", None, response.FromString)
    status: int = ask(request(service=service).SerializeToString(), timeout=stretched(LIMIT_S)).status
    return status


def test_health_knows_the_server_and_its_models(client: GrpcClient) -> None:
    assert [check_health(client, service) for service in ("", "inference.GRPCInferenceService", "iris")] == [1, 1, 1]
    assert refused(lambda: check_health(client, "nowhere")).code() == Code.NOT_FOUND


@pytest.mark.parametrize("package", ["grpc.reflection.v1", "grpc.reflection.v1alpha"])
def test_reflection_describes_every_service(client: GrpcClient, package: str) -> None:
    messages = read_proto("reflection.proto", package=package).messages
    request, response = messages["ServerReflectionRequest"], messages["ServerReflectionResponse"]
    ask = client.channel.stream_stream(f"/{package}.ServerReflection/ServerReflectionInfo", None, response.FromString)
    questions = [
        request(list_services=""),
        *(request(file_containing_symbol=name) for name in ("inference.ModelInferRequest", "grpc.health.v1.Health")),
        request(file_by_filename="inference.proto"),
        request(file_containing_symbol="nobody.Knows"),
        request(all_extension_numbers_of_type="inference.ModelInferRequest"),
    ]
    timeout = stretched(LIMIT_S)
    services, *files, unknown, extensions = ask((one.SerializeToString() for one in questions), timeout=timeout)
    assert {one.name for one in services.list_services_response.service} >= {
        "inference.GRPCInferenceService", "grpc.health.v1.Health", f"{package}.ServerReflection"
    }  # fmt: skip
    described = [
        descriptor_pb2.FileDescriptorProto.FromString(one.file_descriptor_response.file_descriptor_proto[0]).package
        for one in files
    ]
    assert described == ["inference", "grpc.health.v1", "inference"]
    assert [one.error_response.error_code for one in (unknown, extensions)] == [5, 12]


def test_a_message_is_bounded_compressed_or_not(client: GrpcClient) -> None:
    rows = np.zeros((10_000, 4))
    message = raw_request("iris", {"input": rows[:1000]}, outputs=["predict"])
    answer = client.infer(message, compression=grpc.Compression.Gzip)
    assert list(answer.outputs[0].shape) == [1000]
    huge = raw_request("iris", {"input": np.tile(rows, (10, 1))}).SerializeToString()
    assert len(gzip.compress(huge)) < LIMIT < len(huge)
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
        error = refused(lambda compression=compression: client.infer(huge, compression=compression))
        assert error.code() == Code.RESOURCE_EXHAUSTED
    assert client.call("ServerLive").live


def test_a_caller_that_leaves_or_whose_time_is_up_takes_its_rows_away(
    server: LiveServer, client: GrpcClient, slow: SlowRegressor
) -> None:
    place = {"model_name": "slow", "model_version": "1"}
    gone = {**place, "code": "499"}
    before = server.metric("model_manager_requests_total", **gone)
    slow.shut()
    ask = client.channel.unary_unary(INFER)
    message = raw_request("slow", {"input": [[7.0, 0.0]]}).SerializeToString()
    holding = ask.future(message, timeout=stretched(LIMIT_S))
    try:
        wait_until(slow.entered, "a request to be computed")
        leaving = ask.future(message, timeout=stretched(LIMIT_S))
        wait_until(lambda: server.metric("model_manager_queue_rows", **place) == 1, "one to wait behind it")
        leaving.cancel()
        wait_until(lambda: server.metric("model_manager_queue_rows", **place) == 0, "it to be taken out of the queue")
        assert refused(lambda: ask(message, timeout=0.2)).code() == Code.DEADLINE_EXCEEDED
        wait_until(lambda: server.metric("model_manager_queue_rows", **place) == 0, "the queue to be empty")
        wait_until(lambda: server.metric("model_manager_requests_total", **gone) == before + 2, "both to be counted")
    finally:
        slow.open()
    answer = MESSAGES["ModelInferResponse"].FromString(holding.result())
    assert np.frombuffer(answer.raw_output_contents[0]).tolist() == [7.0]


def test_messages_that_gRPC_could_not_carry_are_cut() -> None:  # noqa: N802
    assert shortened("a" * 4000) == "a" * 4000
    assert shortened("€" * 4000) == "€" * 455 + "…"


@pytest.mark.parametrize("workers", [1, 2])
def test_keys_open_models_as_over_http_and_stops_are_clean(tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "models"
    for name in ("iris", "churn"):
        put(folder, name, "1", dump(constant(1.0)))
    secret = ConfigMapVolume(tmp_path / "secret")
    secret.write(keys(shop="", bank=", models: [churn]", slow=", requests_per_second: 0.001, burst: 1"))
    options: dict[str, Any] = {"api_keys": secret.folder, "workers": workers, "compile": "off"}
    with live_server(folder, grpc_port=0, **options) as server, GrpcClient(address_of(server)) as client:
        of = {id: (("authorization", f"Bearer key-of-{id}"),) for id in ("shop", "bank", "slow")}
        iris = raw_request("iris", ROW)
        assert np.frombuffer(client.infer(iris, metadata=of["shop"]).raw_output_contents[0]).tolist() == [1.0]
        assert refused(lambda: client.infer(iris)).code() == Code.UNAUTHENTICATED
        assert refused(lambda: client.infer(iris, metadata=of["bank"])).code() == Code.PERMISSION_DENIED
        answers = [_code(lambda: client.infer(iris, metadata=of["slow"])) for _ in range(3)]
        assert answers[1:] == [Code.RESOURCE_EXHAUSTED] * 2
        assert {row.name for row in client.call("RepositoryIndex", metadata=of["bank"]).models} == {"churn"}
        assert {one.name for one in client.call("ModelStatistics", metadata=of["bank"]).model_stats} == {"churn"}
        for name in ("ModelStatistics", "ModelConfig"):
            error = refused(lambda name=name: client.call(name, name="iris", metadata=of["bank"]))
            assert error.code() == Code.PERMISSION_DENIED
        assert refused(lambda: client.call("ModelMetadata", name="iris")).code() == Code.UNAUTHENTICATED
        assert client.call("ServerReady").ready
        assert check_health(client, "") == 1
        assert refused(lambda: check_health(client, "iris")).code() == Code.NOT_FOUND
        if workers > 1:
            _reach_every_worker(server)


def _code(call: Any) -> Any:
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return Code.OK


def _reach_every_worker(server: LiveServer) -> None:
    """Connections are dealt out, so that enough of them reach both: the keys of each count for themselves."""
    key = (("authorization", "Bearer key-of-slow"),)
    admitted = 0
    for _ in range(64):
        with GrpcClient(address_of(server)) as client:
            admitted += _code(lambda client=client: client.infer(raw_request("iris", ROW), metadata=key)) == Code.OK
        if admitted:
            return
    raise AssertionError("one worker has all connections")


def test_tls_is_that_of_http_and_follows_its_files(tmp_path: Path) -> None:
    put(tmp_path / "models", "iris", "1", dump(constant(1.0)))
    first, second, clients = (Authority(tmp_path / name, name) for name in ("first", "second", "clients"))
    secret = ConfigMapVolume(tmp_path / "secret")

    def write(authority: Authority) -> None:
        certificate, key = authority.sign("server")
        ca = clients.certificate.read_bytes()
        secret.write({"tls.crt": certificate, "tls.key": key, "ca.crt": ca})

    write(first)
    files = {"tls-cert": "tls.crt", "tls-key": "tls.key", "tls-client-ca": "ca.crt"}
    options = {name: secret.folder / file for name, file in files.items()}
    certificate, key = clients.sign("client")
    running: list[LiveServer] = []

    def answers(authority: Authority, *, shown: bool = True) -> bool:
        pair = (key, certificate) if shown else (None, None)
        credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *pair)
        with GrpcClient(address_of(running[0]), credentials) as client:
            return bool(_code(lambda: client.call("ServerLive")) == Code.OK)

    settings = {"grpc-port": 0, "poll-interval-s": 600, **options}
    with LiveServer(tmp_path / "models", settings, verify=False) as server:
        running.append(server)
        wait_until(lambda: server.ready(), "the server to be ready")
        assert answers(first)
        assert not answers(first, shown=False)
        assert not answers(second)
        write(second)
        wait_until(lambda: answers(second), "the new certificate to be shown")
        assert not answers(first)
        assert server.stop() == 0


def test_a_stop_finishes_what_was_accepted_and_says_so_first(tmp_path: Path) -> None:
    model = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    put(tmp_path / "models", "slow", "1", dump(model))
    options: dict[str, Any] = {"lame_duck_s": 60, "timeout_ms": 60_000}
    with live_server(tmp_path / "models", grpc_port=0, **options) as server, GrpcClient(address_of(server)) as client:
        watch = client.channel.unary_stream(
            "/grpc.health.v1.Health/Watch", None, HEALTH.messages["HealthCheckResponse"].FromString
        )(HEALTH.messages["HealthCheckRequest"]().SerializeToString(), timeout=stretched(2 * LIMIT_S))
        assert next(watch).status == 1
        model.shut()
        message = raw_request("slow", {"input": [[3.0, 0.0]]}).SerializeToString()
        held = client.channel.unary_unary(INFER).future(message, timeout=stretched(LIMIT_S))
        wait_until(model.entered, "a request to be computed")
        server.process.terminate()
        assert next(watch).status == 2
        model.open()
        answer = MESSAGES["ModelInferResponse"].FromString(held.result())
        assert np.frombuffer(answer.raw_output_contents[0]).tolist() == [3.0]
        assert list(watch) == []


def test_a_port_that_is_taken_and_a_library_that_is_not_there_end_in_one_line(tmp_path: Path) -> None:
    put(tmp_path / "models", "iris", "1", dump(constant(1.0)))
    with live_server(tmp_path / "models", grpc_port=0) as server:
        port = server.server.addresses["grpc"].rpartition(":")[2]
        flags = ["--models", tmp_path / "models", "--port", 0, "--admin-port", 0, "--host", "127.0.0.1"]
        ended = run([*COMMAND, *map(str, flags), "--grpc-port", port])
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"model-manager: --grpc-port {port}: cannot listen on 127.0.0.1")
