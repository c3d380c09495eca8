"""What MLServer's codecs make of answers, and write as requests; run in their environment: decode.py ANSWER…

Prints one JSON object: what became of each answer, and the request that its frame codec writes of a table.
"""

import json
import sys
from typing import Any

import pandas as pd
from mlserver.codecs import NumpyCodec, PandasCodec, StringCodec
from mlserver.types import InferenceResponse

TABLE = pd.DataFrame({"age": [20, 30], "fare": [1.5, 2.5], "sex": ["f", "m"]})


def decoded(text: str) -> dict[str, Any]:
    """The frame of an answer where all of its outputs are columns, and each output by its own codec."""
    answer = InferenceResponse.model_validate_json(text)
    codecs = {"np": NumpyCodec, "str": StringCodec}
    outputs: dict[str, Any] = {}
    for output in answer.outputs:
        value = codecs[output.parameters.content_type].decode_output(output)
        outputs[output.name] = value.tolist() if hasattr(value, "tolist") else value
    columns = [output for output in answer.outputs if len(output.shape) == 1]
    frame = PandasCodec.decode_response(answer.model_copy(update={"outputs": columns}))
    return {"outputs": outputs, "rows": len(frame), "columns": list(frame.columns)}


if __name__ == "__main__":
    request = PandasCodec.encode_request(TABLE, use_bytes=False)
    said = {"answers": [decoded(text) for text in sys.argv[1:]], "request": json.loads(request.model_dump_json())}
    print(json.dumps(said))  # noqa: T201
