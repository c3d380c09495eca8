"""Where the microseconds of one request go, step by step, measured in this process on the real objects.

Sockets and HTTP parsing are uvicorn's and not in it: `make bench` measures the whole. Steps are timed by
themselves, so their sum leaves out what only the whole has: switching tasks, and caches that other work has emptied.
"""

import asyncio
import gc
import json
import timeit
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import click
import numpy as np
import uvloop
from model_manager.api.body import read_body
from model_manager.api.dispatch import Destination, KnownPaths
from model_manager.api.predict import Predict
from model_manager.inference.cost import InlineLimits
from model_manager.metrics.recording import FOLD_AT, Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.answering import Answering
from model_manager.serving.batcher import Batcher
from model_manager.serving.servable import Servable
from model_manager.serving.shadowing import Shadowing
from model_manager.signature import PredictRequest
from model_manager.traces import batch_span
from model_manager.traces.propagation import Propagation
from model_manager.traces.span_export import BoundedExport
from model_manager.traces.tracing import Tracing
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from rich.console import Console
from rich.table import Table
from starlette.types import Message, Scope

from loadtests.benchmark.in_process import running
from loadtests.benchmark.workloads import PLANS, ROWS, build_models, encode_json

TOGETHER: Final = 32
"""Requests that share a batch: about what 64 busy connections bring about."""
_SEND_S: Final = 60.0
HEADERS: Final = [
    (b"host", b"127.0.0.1:8080"),
    (b"content-type", b"application/json"),
    (b"content-length", b"33"),
    (b"user-agent", b"budget"),
]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the request path and its cost in microseconds a request."""

    name: str
    microseconds: float


def _cost(call: Callable[[], object], each: int = 1) -> float:
    """Microseconds of one call, the least of several repeats, divided among `each` requests."""
    number = max(1, int(0.02 / max(min(timeit.repeat(call, number=1, repeat=3)), 1e-7)))
    return min(timeit.repeat(call, number=number, repeat=7)) / number / each * 1e6


async def steps_of(servable: Servable, protocol: str, body: bytes) -> list[Step]:
    """Time every step for one version and one body."""
    codec = servable.codecs[protocol]
    request = codec.decode(HEADERS, body)
    results = servable.predictor.predict(request.rows, request.outputs)
    many = type(request.rows).concatenate([request.rows] * TOGETHER)
    metrics = Metrics().servable("m", "1")
    predict = servable.predictor.predict

    def lease() -> None:
        servable.leases += 1
        servable.release()

    def count() -> None:
        for _ in range(FOLD_AT):
            metrics.answered((0.001, 0.0001, 0.0001))
        metrics.fold()

    return [
        Step("lease the version", _cost(lease)),
        Step("read the body", await _read_cost(body)),
        Step("decode and validate", _cost(lambda: codec.decode(HEADERS, body))),
        Step("queue, gather, slice", await _batcher_cost(request, results)),
        Step(f"predict, {TOGETHER} requests together", _cost(lambda: predict(many, request.outputs), TOGETHER)),
        Step("encode", _cost(lambda: codec.encode(request, results))),
        Step("count and time", _cost(count, FOLD_AT)),
        Step("with tracing on: not recorded", _tracing_cost(0)),
        Step("with tracing on: recorded", _tracing_cost(1)),
        Step("… and its spans, on a thread", _span_cost()),
    ]


def _tracing_cost(share: float) -> float:
    """What tracing costs a request that is sampled out (share 0) or recorded (1), on the loop."""
    tracing, _ = _tracing(share)
    cost = _cost(lambda: _trace(tracing))
    tracing.shutdown(_SEND_S)
    return cost


def _span_cost() -> float:
    """What the spans of a recorded request cost the thread that sends them, until they are bytes."""
    tracing, export = _tracing(1)
    _trace(tracing)
    recorded = list(export._queue)
    cost = _cost(lambda: encode_spans([span for one in recorded for span in one.spans()]).SerializeToString())
    tracing.shutdown(_SEND_S)
    return cost


def _tracing(share: float) -> tuple[Tracing, BoundedExport]:
    """Tracing that sends nothing before it is shut down, so that the loop is timed alone."""
    export = BoundedExport(InMemorySpanExporter(), queue_size=1 << 20, batch_size=1 << 20, delay_s=_SEND_S)
    return Tracing(export, Propagation(["b3", "tracecontext"]), ParentBasedTraceIdRatio(share)), export


def _trace(tracing: Tracing) -> None:
    trace = tracing.begin(HEADERS, "POST", "/v1", "/v1", 0.0)
    if trace is not None:
        batch_span([trace], 0.2, 0.3, model="m", version="1", rows=1, requests=1)
        stages = (("decode", 0.1, 0.2), ("queue", 0.1, 0.2), ("encode", 0.1, 0.2))
        trace.finish(stages, status=200, model="m", version="1", rows=1, error=None, ended=0.4)


async def _read_cost(body: bytes) -> float:
    message: Message = {"type": "http.request", "body": body, "more_body": False}

    async def receive() -> Message:
        return message

    rounds = 2000
    started = perf_counter()
    for _ in range(rounds):
        await read_body(HEADERS, receive, limit=1 << 24)
    return (perf_counter() - started) / rounds * 1e6


async def _batcher_cost(request: PredictRequest, results: Mapping[str, Any]) -> float:
    """The batcher around a model that costs nothing."""
    copies = {name: np.concatenate([values] * TOGETHER) for name, values in results.items()}
    with ThreadPoolExecutor(1) as executor:
        batcher = Batcher(
            lambda rows, outputs: copies,
            batching=Batching(max_rows=len(request.rows) * TOGETHER),
            inline=InlineLimits({output: {1 << 30: 0.0} for output in request.outputs}),
            executor=executor,
            metrics=Metrics().servable("m", "1"),
            shapes_vary=False,
        )
        best = float("inf")
        for _ in range(300):
            started, deadline = perf_counter(), batcher.now() + 60
            futures = [batcher.submit(request.rows, request.outputs, deadline) for _ in range(TOGETHER)]
            await futures[-1]
            best = min(best, perf_counter() - started)
        batcher.close()
    return best / TOGETHER * 1e6


async def whole(endpoint: Destination, body: bytes) -> float:
    """Microseconds a request of the whole endpoint, `TOGETHER` at a time, with a socket that costs nothing."""
    message: Message = {"type": "http.request", "body": body, "more_body": False}
    scope: Scope = {"type": "http", "method": "POST", "path": f"/{endpoint.model}", "headers": HEADERS}

    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200

    async def nothing() -> None:
        await asyncio.sleep(0)

    tasks = await _together(nothing)
    return await _together(lambda: endpoint(scope, receive, send)) - tasks


async def _together(call: Callable[[], Awaitable[None]]) -> float:
    best = float("inf")
    for _ in range(300):
        started = perf_counter()
        await asyncio.gather(*(call() for _ in range(TOGETHER)))
        best = min(best, perf_counter() - started)
    return best / TOGETHER * 1e6


async def budget(models: Path, workload: str) -> list[Step]:
    """Every step of one workload's requests, and the whole."""
    plan = PLANS[workload]
    body = encode_json(plan.protocol, ROWS[workload]()[0])
    async with running(models, [plan.model]) as system:
        gc.freeze()
        steps = await steps_of(system.registry.servable(plan.model, None), plan.protocol, body)
        shadowing = Shadowing(system.registry, system.metrics, None)
        answering = Answering(system.registry, system.metrics, None, shadowing)
        predict = Predict(
            answering,
            system.registry,
            KnownPaths(),
            protocol=plan.protocol,
            route=plan.path,
            limit=1 << 24,
            compress_from=1 << 20,
        )
        endpoint = Destination(predict.answer, answering, plan.protocol, plan.path, plan.model, None, 1 << 24, 1 << 20)
        return [*steps, Step("the whole endpoint", await whole(endpoint, body))]


@click.command(epilog="Example: python -m loadtests.benchmark.budget --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(as_json: bool) -> None:
    """Print where the microseconds of a one-row request go, step by step, on this machine."""
    names = ("W1", "W2", "W5")
    with TemporaryDirectory(prefix="model-manager-") as folder:
        build_models([PLANS[name] for name in names], Path(folder))
        found = {name: uvloop.run(budget(Path(folder), name)) for name in names}
    if as_json:
        click.echo(
            json.dumps({name: {s.name: round(s.microseconds, 2) for s in steps} for name, steps in found.items()})
        )
        return
    table = Table(title=f"microseconds a request, {TOGETHER} requests to a batch", title_justify="left")
    table.add_column("step")
    for name in names:
        table.add_column(f"{name}: {PLANS[name].model}", justify="right")
    for position, step in enumerate(found["W1"]):
        if step.name == "the whole endpoint":
            table.add_section()
        table.add_row(step.name, *(f"{found[name][position].microseconds:.2f}" for name in names))
    Console().print(table)


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.budget")
