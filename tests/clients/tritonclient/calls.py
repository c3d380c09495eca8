"""What tritonclient's HTTP clients say and understand; run in their environment: calls.py HOST:PORT ROWS.

Prints one JSON object: by the name of a call what came back.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as sync
import tritonclient.http.aio as aio

NAMES = ("predict", "predict_proba")


def asked(
    module: Any, rows: Any, *, datatype: str = "FP64", binary_in: bool, binary_out: bool, classes: int = 0
) -> Any:
    """Input and outputs, as a client writes them."""
    tensor = module.InferInput("input", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary_in)
    names = NAMES if not classes else NAMES[1:]
    outputs = [module.InferRequestedOutput(name, binary_data=binary_out, class_count=classes) for name in names]
    return {"inputs": [tensor], "outputs": outputs}


def told(result: Any) -> dict[str, Any]:
    """The arrays of an answer."""
    arrays = {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}
    return {name: _plain(array) for name, array in arrays.items()}


def _plain(array: Any) -> Any:
    return np.char.decode(array.astype(bytes)).tolist() if array.dtype == object else array.tolist()


def blocking(address: str, rows: Any) -> dict[str, Any]:
    """The calls of the blocking client."""
    client = sync.InferenceServerClient(address)
    said: dict[str, Any] = {}
    for binary_in in (True, False):
        for binary_out in (True, False):
            how = asked(sync, rows, binary_in=binary_in, binary_out=binary_out)
            said[f"binary {binary_in} {binary_out}"] = told(client.infer("iris", **how))
    for coding in ("gzip", "deflate"):
        how = asked(sync, rows, binary_in=True, binary_out=True)
        squeezed = {"request_compression_algorithm": coding, "response_compression_algorithm": coding}
        said[coding] = told(client.infer("iris", **how, **squeezed))
    how = asked(sync, rows, binary_in=True, binary_out=True)
    said["urgent"] = told(client.infer("iris", **how, timeout=5_000_000, priority=1, request_id="7"))
    said["every output"] = told(client.infer("iris", how["inputs"]))
    halves = asked(sync, rows.astype(np.float16), datatype="FP16", binary_in=True, binary_out=True)
    said["halves"] = told(client.infer("iris", **halves))
    said["classes"] = told(client.infer("iris", **asked(sync, rows, binary_in=True, binary_out=True, classes=2)))
    said["metadata"] = client.get_model_metadata("iris")
    said["configuration"] = client.get_model_config("iris")
    said["statistics"] = client.get_inference_statistics("iris")
    said["ready"] = [client.is_server_live(), client.is_server_ready(), client.is_model_ready("iris", "1")]
    said["index"] = client.get_model_repository_index()
    client.close()
    return said


async def awaited(address: str, rows: Any) -> dict[str, Any]:
    """The calls of the asyncio client, which says of JSON that it is application/octet-stream."""
    said: dict[str, Any] = {}
    async with aio.InferenceServerClient(address) as client:
        for binary_in in (True, False):
            how = asked(aio, rows, binary_in=binary_in, binary_out=binary_in)
            try:
                said[f"aio binary {binary_in}"] = told(await client.infer("iris", **how))
            except Exception as error:
                said[f"aio binary {binary_in}"] = str(error)
    return said


if __name__ == "__main__":
    table = np.array(json.loads(sys.argv[2]))
    print(json.dumps({**blocking(sys.argv[1], table), **asyncio.run(awaited(sys.argv[1], table))}))  # noqa: T201
