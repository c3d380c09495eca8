"""A small OTLP receiver: takes spans over HTTP (protobuf) and gRPC, keeps them, and shows them as JSON at GET /spans.

For tests, as a context manager; for people, `python -m tools.otlp_receiver --port 4318`, which says where it
listens in one JSON line on standard error.
"""

import argparse
import gzip
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tools.patience import Limit

Span: TypeAlias = dict[str, Any]


class OtlpReceiver:
    """Receives on two ports of 127.0.0.1 while the body of `with` runs; 0 picks free ones."""

    def __init__(self, port: int = 0, grpc_port: int = 0) -> None:
        self._unopened: list[ExportTraceServiceRequest] = []
        self._spans: list[Span] = []
        self._arrived = threading.Condition()
        self._http = _Server(self, port)
        self._grpc = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        add_TraceServiceServicer_to_server(_TraceService(self), self._grpc)  # type: ignore[no-untyped-call]
        self._grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{grpc_port}")
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._grpc.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._grpc.stop(0).wait()

    @property
    def http_endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to for http/protobuf; GET /spans is under it too."""
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def grpc_endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to for grpc."""
        return f"http://127.0.0.1:{self._grpc_port}"

    def spans(self) -> list[Span]:
        """Every span received so far, in order of arrival; times are Unix times in nanoseconds."""
        with self._arrived:
            return self._open()

    def wait_for(self, predicate: Callable[[list[Span]], Any]) -> list[Span]:
        """Return the spans once they satisfy a predicate. Raises AssertionError when they do not in time."""
        limit = Limit()
        with self._arrived:
            while not predicate(self._open()):
                if not self._arrived.wait(max(0.0, limit.left())) and limit.passed():
                    names = [span["name"] for span in self._spans]
                    raise AssertionError(f"not what was waited for after {limit.so_far:.0f} s: {names}")
            return list(self._spans)

    def receive(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of one request, unopened: under load, the receiver must not be what is measured."""
        with self._arrived:
            self._unopened.append(request)
            self._arrived.notify_all()

    def _open(self) -> list[Span]:
        self._spans += [
            _span(span, _attributes(resource.resource.attributes))
            for request in self._unopened
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self._unopened.clear()
        return list(self._spans)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, receiver: OtlpReceiver, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.receiver = receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Take an export request at /v1/traces."""
        body = self._body()
        if self.path != "/v1/traces":
            self._answer(404, "text/plain", b"spans are received at /v1/traces\n")
            return
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.receiver.receive(ExportTraceServiceRequest.FromString(body))
        self._answer(200, "application/x-protobuf", ExportTraceServiceResponse().SerializeToString())

    def do_GET(self) -> None:
        """Show the spans at /spans."""
        if self.path == "/spans":
            self._answer(200, "application/json", json.dumps(self.server.receiver.spans()).encode())
        else:
            self._answer(404, "text/plain", b"spans are shown at /spans\n")

    def _body(self) -> bytes:
        """The request's body; Envoy sends it in chunks."""
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks: list[bytes] = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what arrives is shown at /spans."""


class _TraceService(TraceServiceServicer):
    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:  # noqa: N802 - gRPC's name
        self._receiver.receive(request)
        return ExportTraceServiceResponse()


def _span(span: SpanMessage, resource: dict[str, Any]) -> Span:
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": _attributes(span.attributes),
        "events": [{"name": event.name, "attributes": _attributes(event.attributes)} for event in span.events],
        "links": [{"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links],
        "status": Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        "status_message": span.status.message,
        "resource": resource,
    }


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind) if kind else None


def main() -> None:
    """Receive until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.otlp_receiver", description=__doc__)
    parser.add_argument("--port", type=int, default=4318, help="port for HTTP (0: any free one)")
    parser.add_argument("--grpc-port", type=int, default=0, help="port for gRPC (0: any free one)")
    arguments = parser.parse_args()
    with OtlpReceiver(arguments.port, arguments.grpc_port) as receiver:
        print(json.dumps({"api": receiver.http_endpoint, "grpc": receiver.grpc_endpoint}), file=sys.stderr, flush=True)
        stopped = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, lambda signum, frame: stopped.set())
        stopped.wait()


if __name__ == "__main__":
    main()
