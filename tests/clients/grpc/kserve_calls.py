"""What KServe's gRPC client says and understands: HOST:PORT ROWS. Run in its environment; prints one JSON object."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest


async def main(address: str, rows: Any) -> dict[str, Any]:
    """Ask for predictions, with raw contents and typed ones, and whether there is a server."""
    async with InferenceGRPCClient(address) as client:
        said: dict[str, Any] = {
            "ready": [
                await client.is_server_live(),
                await client.is_server_ready(),
                await client.is_model_ready("iris"),
            ]
        }
        for name, binary in (("raw", True), ("typed", False)):
            tensor = InferInput("input", list(rows.shape), "FP64")
            tensor.set_data_from_numpy(rows, binary_data=binary)
            answer = await client.infer(InferRequest(model_name="iris", infer_inputs=[tensor]))
            said[name] = {output.name: _plain(output.as_numpy()) for output in answer.outputs}
        return said


def _plain(array: Any) -> Any:
    return [one.decode() if isinstance(one, bytes) else one for one in array.tolist()]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], np.array(json.loads(sys.argv[2]))))))  # noqa: T201
