"""What tritonclient's gRPC clients, and those of health and reflection, say and understand: HOST:PORT ROWS TEXTS.

Run in their environment. Prints one JSON object: by the name of a call what came back.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as sync
import tritonclient.grpc.aio as aio
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

NAMES = ("predict", "predict_proba")


def asked(rows: Any, datatype: str = "FP64") -> Any:
    """Input and outputs, as both clients write them."""
    tensor = sync.InferInput("input", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows)
    return {"inputs": [tensor], "outputs": [sync.InferRequestedOutput(name) for name in NAMES]}


def told(result: Any) -> dict[str, Any]:
    """The arrays of an answer."""
    return {name: _plain(result.as_numpy(name)) for name in NAMES}


def _plain(array: Any) -> Any:
    return np.char.decode(array.astype(bytes)).tolist() if array.dtype == object else array.tolist()


def refused(call: Callable[[], object]) -> str:
    """The status that a call ends with, and what it says."""
    try:
        call()
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"
    return "answered"


def blocking(address: str, rows: Any, texts: Any) -> dict[str, Any]:
    """The calls of the blocking client."""
    client = sync.InferenceServerClient(address)
    said: dict[str, Any] = {"raw": told(client.infer("iris", **asked(rows)))}
    said["again"] = told(client.infer("iris", **asked(rows), request_id="7", model_version="1"))
    for coding in ("gzip", "deflate"):
        said[coding] = told(client.infer("iris", **asked(rows), compression_algorithm=coding))
    said["urgent"] = told(client.infer("iris", **asked(rows), timeout=5_000_000, priority=1, client_timeout=60))
    said["halves"] = told(client.infer("iris", **asked(rows.astype(np.float16), "FP16")))
    said["texts"] = told(client.infer("texts", **asked(texts.astype(object), "BYTES")))
    said["none"] = refused(lambda: client.infer("nowhere", **asked(rows)))
    said["version"] = refused(lambda: client.infer("iris", **asked(rows), model_version="9"))
    said["shape"] = refused(lambda: client.infer("iris", **asked(rows[:, :3])))
    many = rows[:1].repeat(10_000, axis=0)  # gRPC counts in milliseconds: a single row may be answered within the first
    said["late"] = refused(lambda: client.infer("iris", **asked(many), client_timeout=1e-6))
    said["load"] = refused(lambda: client.load_model("iris"))
    said["ready"] = [client.is_server_live(), client.is_server_ready(), client.is_model_ready("iris", "1")]
    said["metadata"] = client.get_model_metadata("iris", as_json=True)
    said["configuration"] = client.get_model_config("iris", as_json=True)
    said["statistics"] = client.get_inference_statistics("iris", as_json=True)
    said["index"] = client.get_model_repository_index(as_json=True)
    client.close()
    return said


async def awaited(address: str, rows: Any) -> dict[str, Any]:
    """The calls of the asyncio client."""
    async with aio.InferenceServerClient(address) as client:
        answers = await asyncio.gather(*(client.infer("iris", **asked(rows)) for _ in range(8)))
        return {f"aio {number}": told(answer) for number, answer in enumerate(answers)}


def bare(address: str, rows: Any) -> dict[str, Any]:
    """Typed contents by generated stubs; what health and reflection say."""
    with grpc.insecure_channel(address) as channel:
        request = service_pb2.ModelInferRequest(model_name="iris")
        tensor = request.inputs.add(name="input", datatype="FP64", shape=rows.shape)
        tensor.contents.fp64_contents.extend(rows.ravel())
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
        typed = {output.name: output.contents for output in answer.outputs}
        health = health_pb2_grpc.HealthStub(channel)
        services = ("", "inference.GRPCInferenceService", "iris")
        database = ProtoReflectionDescriptorDatabase(channel)
        service = descriptor_pool.DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
        return {
            "typed": [text.decode() for text in typed["predict"].bytes_contents],
            "health": [health.Check(health_pb2.HealthCheckRequest(service=one)).status for one in services],
            "services": list(database.get_services()),
            "methods": [method.name for method in service.methods],
        }


if __name__ == "__main__":
    address, table = sys.argv[1], np.array(json.loads(sys.argv[2]))
    said = {**blocking(address, table, np.array(json.loads(sys.argv[3]))), **bare(address, table)}
    print(json.dumps({**said, **asyncio.run(awaited(address, table))}))  # noqa: T201
