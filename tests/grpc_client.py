"""A small gRPC client for tests: our own messages over a channel of grpc's."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from model_manager.codecs.protobuf import INFERENCE

from tools.patience import LIMIT_S, stretched

MESSAGES = INFERENCE.messages
INFER = "/inference.GRPCInferenceService/ModelInfer"
Metadata = Sequence[tuple[str, str]]


def raw_request(model: str, tensors: Mapping[str, Any], *, outputs: Sequence[str] = (), **fields: Any) -> Any:
    """A request whose inputs are these arrays as raw contents."""
    request = MESSAGES["ModelInferRequest"](model_name=model, **fields)
    for name, values in tensors.items():
        array = np.asarray(values)
        datatype = {"f": "FP", "i": "INT", "u": "UINT"}[array.dtype.kind] + str(array.dtype.itemsize * 8)
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    for output in outputs:
        request.outputs.add(name=output)
    return request


class GrpcClient:
    """A channel to one server, as a context manager; every call ends in time."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        self.channel = (
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )

    def __enter__(self) -> "GrpcClient":
        return self

    def __exit__(self, *raised: object) -> None:
        self.channel.close()

    def call(self, name: str, /, metadata: Metadata = (), **fields: Any) -> Any:
        """Ask GRPCInferenceService."""
        return self.channel.unary_unary(
            f"/inference.GRPCInferenceService/{name}",
            request_serializer=MESSAGES[f"{name}Request"].SerializeToString,
            response_deserializer=MESSAGES[f"{name}Response"].FromString,
        )(MESSAGES[f"{name}Request"](**fields), timeout=stretched(LIMIT_S), metadata=metadata)

    def infer(self, request: Any, metadata: Metadata = (), **options: Any) -> Any:
        """Ask for a prediction by a message, or its bytes."""
        message = request if isinstance(request, bytes) else request.SerializeToString()
        ask = self.channel.unary_unary(INFER, response_deserializer=MESSAGES["ModelInferResponse"].FromString)
        return ask(message, timeout=stretched(LIMIT_S), metadata=metadata, **options)
