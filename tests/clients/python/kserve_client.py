"""KServe's own client of inference servers, run where KServe is installed: prints what it makes of the answers."""

import asyncio
import json
import sys
from typing import Any

import pandas as pd
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(url: str, table: str) -> None:
    """Ask for the predictions of a CSV file by V1, in the old way and the new, and by V2."""
    frame = pd.read_csv(table, dtype={"zip": str})
    found: dict[str, Any] = {}
    first = InferenceRESTClient(RESTConfig(protocol="v1"))
    rows = frame.to_dict("records")
    found["live"] = [await first.is_server_live(url), await first.is_model_ready(url, "m")]
    found["instances"] = (await first.infer(url, {"instances": rows}, model_name="m"))["predictions"]
    found["inputs"] = (await first.infer(url, {"inputs": frame.values.tolist()}, model_name="m"))["predictions"]
    second = InferenceRESTClient(RESTConfig(protocol="v2"))
    found["ready"] = [
        await second.is_server_live(url),
        await second.is_server_ready(url),
        await second.is_model_ready(url, "m"),
    ]
    inputs = []
    for name in frame:
        strings = frame[name].dtype == object
        one = InferInput(str(name), [len(frame), 1], "BYTES" if strings else "FP64")
        one.set_data_from_numpy(frame[[name]].to_numpy(dtype=object if strings else float), binary_data=False)
        inputs.append(one)
    answer: Any = await second.infer(url, InferRequest(model_name="m", infer_inputs=inputs), model_name="m")
    found["v2"] = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    sys.stdout.write(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
