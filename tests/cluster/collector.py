"""Takes spans in both forms that there are in a mesh, OTLP over HTTP and Zipkin's JSON: a pod runs this text.

Each span is a line of JSON on standard output, with ids in hexadecimal.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self._read()
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        for span in _zipkin(body) if "spans" in self.path else _otlp(body):
            sys.stdout.write(json.dumps(span) + "\n")
        sys.stdout.flush()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def _read(self) -> bytes:
        if length := self.headers["content-length"]:
            return self.rfile.read(int(length))
        body = b""  # proxies send theirs in chunks
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size + 2)[:-2]
        self.rfile.readline()
        return body

    def log_message(self, format: str, *arguments: object) -> None:
        """Only spans are said."""


def _otlp(body: bytes) -> Iterator[dict[str, Any]]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                ids = {"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
                yield {**ids, "name": span.name, "links": [each.trace_id.hex() for each in span.links], "by": "server"}


def _zipkin(body: bytes) -> Iterator[dict[str, Any]]:
    for span in json.loads(body):
        ids = {"trace": span["traceId"], "id": span["id"], "parent": span.get("parentId", "")}
        yield {**ids, "name": span["name"], "links": [], "by": span["localEndpoint"]["serviceName"]}


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), _Taking).serve_forever()
