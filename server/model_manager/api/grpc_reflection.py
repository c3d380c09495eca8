"""grpc.reflection.v1, and v1alpha for older clients: the services of the port and the files that describe them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc

from model_manager.api.grpc import headers_of
from model_manager.api.grpc_health import HEALTH
from model_manager.api.grpc_problems import refuse
from model_manager.codecs.proto_files import ProtoFile, read_proto
from model_manager.codecs.protobuf import INFERENCE
from model_manager.errors import ModelManagerError
from model_manager.serving.keys import Keyring
from model_manager.serving.outcomes import explain

_REFLECTION: Final = (
    read_proto("reflection.proto"),
    read_proto("reflection.proto", package="grpc.reflection.v1alpha"),
)
_FILES: Final = (INFERENCE, HEALTH, *_REFLECTION)
_NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND.value[0]
_UNIMPLEMENTED: Final = grpc.StatusCode.UNIMPLEMENTED.value[0]


class Reflection:
    """Describes the services. `left`: set when nobody is served any more, so that open streams end."""

    def __init__(self, keyring: Keyring | None, left: asyncio.Event) -> None:
        self._keyring = keyring
        self._left = left

    def handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        """What a server is given, for each version of the protocol."""
        return [self._handler(file) for file in _REFLECTION]

    def _handler(self, file: ProtoFile) -> grpc.GenericRpcHandler:
        (service,) = file.services

        async def info(requests: Any, context: Any) -> AsyncIterator[Any]:
            if self._keyring is not None:
                headers = headers_of(context)
                try:
                    self._keyring.admit(headers, None)
                except ModelManagerError as error:
                    await refuse(context, explain(error, headers, f"/{service}/ServerReflectionInfo"))
            while (request := await self._next(context)) is not None:
                yield _answer(file, request)

        return grpc.method_handlers_generic_handler(
            service,
            {
                "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                    info,
                    request_deserializer=file.messages["ServerReflectionRequest"].FromString,
                    response_serializer=file.messages["ServerReflectionResponse"].SerializeToString,
                )
            },
        )

    async def _next(self, context: Any) -> Any:
        """The next question of a stream; None at its end, or when the server stops."""
        reading, leaving = asyncio.ensure_future(context.read()), asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait({reading, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return None
            request = reading.result()
            return None if request is grpc.aio.EOF else request
        finally:
            reading.cancel()
            leaving.cancel()


def _answer(file: ProtoFile, request: Any) -> Any:
    answer = file.messages["ServerReflectionResponse"](valid_host=request.host, original_request=request)
    asked = request.WhichOneof("message_request")
    if asked == "list_services":
        for one in _FILES:
            for service in one.services:
                answer.list_services_response.service.add(name=service)
        return answer
    if asked in ("file_by_filename", "file_containing_symbol"):
        wanted = getattr(request, asked)
        for one in _FILES:
            if wanted == one.name or wanted in one.symbols:
                answer.file_descriptor_response.file_descriptor_proto.append(one.serialized)
                return answer
        answer.error_response.error_message = f"there is no {wanted[:200]!r}"
        answer.error_response.error_code = _NOT_FOUND
        return answer
    answer.error_response.error_message = "there are no extensions in proto3"
    answer.error_response.error_code = _UNIMPLEMENTED
    return answer
