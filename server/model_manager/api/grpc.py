"""gRPC ⇄ the flow of a prediction, and the calls of the Open Inference Protocol that predict nothing.

In the flow: grpc_port → **grpc** → serving.answering → grpc_port. A caller that leaves, or whose deadline passes,
cancels the task of its call, which takes its rows out of the queue. What comes as metadata is read as HTTP's headers.
"""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, TypeAlias

import grpc

from model_manager.api.grpc_problems import STATUS, refuse
from model_manager.api.v2 import describe
from model_manager.call import Call, Headers, Urgency, heed_headers, pinned_version
from model_manager.codecs.protobuf import INFERENCE, address_of, priority_of
from model_manager.errors import VersionNotReady
from model_manager.serving.keys import Client
from model_manager.serving.outcomes import explain
from model_manager.serving.system import System
from model_manager.version import __version__

Method: TypeAlias = Callable[[Any, Headers, "Client | None"], Awaitable[Any]]
"""A call that predicts nothing: its message, its metadata and whose key it carried → the answer's message."""

(SERVICE,) = INFERENCE.services
_INFER: Final = f"/{SERVICE}/ModelInfer"
_ELSEWHERE: Final = "what is served is declared in the models folder; over REST, the admin port loads and unloads"


class Inference:
    """GRPCInferenceService over one system. `began` is told of every call."""

    def __init__(self, system: System, began: Callable[[], None]) -> None:
        self._system = system
        self._answering = system.answering
        self._registry = system.registry
        self._keyring = system.keyring
        self._began = began

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server is given. A prediction's messages stay bytes, since its version's codec reads them."""
        methods: dict[str, tuple[Method, Callable[[Any], str | None]]] = {
            "ServerLive": (self._server_live, _no_model),
            "ServerReady": (self._server_ready, _no_model),
            "ServerMetadata": (self._server_metadata, _no_model),
            "ModelReady": (self._model_ready, _name),
            "ModelMetadata": (self._model_metadata, _name),
            "RepositoryIndex": (self._index, _no_model),
        }
        handlers = {name: self._unary(name, *method) for name, method in methods.items()}
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(self.infer)
        for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
            handlers[name] = grpc.unary_unary_rpc_method_handler(_not_here)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def infer(self, message: bytes, context: Any) -> bytes:
        """Answer one request for a prediction."""
        began = perf_counter()
        self._began()
        headers = headers_of(context)
        call = Call("grpc", _INFER, "POST", _INFER, headers, "", None, began)
        try:
            call.model, call.version = address_of(message)
            if self._keyring is not None:
                call.client = self._keyring.admit(headers, call.model).id
            heed_headers(call)
            _heed_context(call, message, context.time_remaining())
        except Exception as error:
            answer = self._answering.refuse(call, error)
        else:
            answer = await self._answering.answer(call, message, None)
        try:
            if answer.problem is not None:
                await refuse(context, answer.problem, answer.servable)
            if answer.headers:
                context.set_trailing_metadata(tuple((name.decode(), value.decode()) for name, value in answer.headers))
            return answer.body
        finally:
            answer.ended()

    def _unary(self, name: str, method: Method, model_of: Callable[[Any], str | None]) -> grpc.RpcMethodHandler:
        path = f"/{SERVICE}/{name}"
        open_to_all = name in ("ServerLive", "ServerReady")

        async def answer(message: Any, context: Any) -> Any:
            self._began()
            headers = headers_of(context)
            try:
                client = None
                if self._keyring is not None and not open_to_all:
                    client = self._keyring.admit(headers, model_of(message))
                return await method(message, headers, client)
            except Exception as error:
                problem = explain(error, headers, path)
            await refuse(context, problem)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=INFERENCE.messages[f"{name}Request"].FromString,
            response_serializer=INFERENCE.messages[f"{name}Response"].SerializeToString,
        )

    async def _server_live(self, message: Any, headers: Headers, client: Client | None) -> Any:
        return INFERENCE.messages["ServerLiveResponse"](live=True)

    async def _server_ready(self, message: Any, headers: Headers, client: Client | None) -> Any:
        return INFERENCE.messages["ServerReadyResponse"](ready=not await self._system.waiting_for())

    async def _server_metadata(self, message: Any, headers: Headers, client: Client | None) -> Any:
        answer = INFERENCE.messages["ServerMetadataResponse"]
        return answer(name="model-manager", version=__version__, extensions=["model_repository"])

    async def _model_ready(self, message: Any, headers: Headers, client: Client | None) -> Any:
        try:
            self._registry.servable(message.name, message.version or pinned_version(headers))
        except VersionNotReady:
            return INFERENCE.messages["ModelReadyResponse"](ready=False)
        return INFERENCE.messages["ModelReadyResponse"](ready=True)

    async def _model_metadata(self, message: Any, headers: Headers, client: Client | None) -> Any:
        servable = self._registry.servable(message.name, message.version or pinned_version(headers))
        described = describe(self._registry.model(message.name), servable)
        answer = INFERENCE.messages["ModelMetadataResponse"](
            name=described["name"],
            versions=described["versions"],
            platform=described["platform"],
            properties={name: str(value) for name, value in described["properties"].items()},
        )
        for kind in ("inputs", "outputs"):
            for tensor in described[kind]:
                getattr(answer, kind).add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        return answer

    async def _index(self, message: Any, headers: Headers, client: Client | None) -> Any:
        answer = INFERENCE.messages["RepositoryIndexResponse"]()
        for row in await self._system.index():
            if (row.state == "READY" or not message.ready) and (client is None or client.may_use(row.name)):
                answer.models.add(name=row.name, version=row.version, state=row.state, reason=row.reason or "")
        return answer


def headers_of(context: Any) -> Headers:
    """A call's metadata."""
    return [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in context.invocation_metadata()
    ]


def _heed_context(call: Call, message: bytes, remaining_s: float | None) -> None:
    """Let the deadline of a call count, and the priority that its message sets where no metadata does."""
    timeout_s, priority = call.urgency
    if remaining_s is not None and (timeout_s is None or remaining_s < timeout_s):
        timeout_s = remaining_s
    if priority is None:
        priority = priority_of(message)
    if timeout_s is not None or priority is not None:
        call.urgency = Urgency(timeout_s, priority)


async def _not_here(message: bytes, context: Any) -> bytes:
    await context.abort(STATUS[501], _ELSEWHERE)
    raise AssertionError("abort raises")


def _no_model(message: Any) -> None:
    return None


def _name(message: Any) -> str:
    name: str = message.name
    return name
