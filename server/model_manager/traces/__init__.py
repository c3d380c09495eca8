"""Spans of requests, batches and loads, by OpenTelemetry: nothing of which is imported before traces are asked for.

In the flow: system starts it; each request that is recorded begins a trace, the batcher tells of batches, the loader of
loads. A thread of its own makes spans of them and sends them. This is the room's door: the rest of the server imports
from here alone, and what it holds in hand is imported for type checking only.
"""

from typing import TYPE_CHECKING

from model_manager.traces.headers import name_a_trace, trace_fields
from model_manager.traces.start import batch_span, start_tracing

if TYPE_CHECKING:
    from model_manager.traces.request_trace import RequestTrace as RequestTrace
    from model_manager.traces.tracing import LoadTrace as LoadTrace
    from model_manager.traces.tracing import Tracing as Tracing

__all__ = ["batch_span", "name_a_trace", "start_tracing", "trace_fields"]
