"""A LitServe app as people write it around an estimator, with its batching. PEER_MODELS: one artifact by name, in JSON.

python litserve_app.py PORT
"""

# mypy: allow-subclassing-any
import json
import os
import sys
from typing import Any

import joblib
import litserve
import numpy as np


class Api(litserve.LitAPI):
    """One model."""

    def setup(self, device: str) -> None:
        """Load it, in the process that predicts."""
        (path,) = json.loads(os.environ["PEER_MODELS"]).values()
        self.model = joblib.load(path)

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The rows of one request."""
        return np.asarray(request["instances"])

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Requests stay apart: they differ in rows."""
        return inputs

    def predict(self, inputs: list[Any]) -> list[Any]:
        """Predict the rows of several requests with one call."""
        answers = self.model.predict(np.concatenate(inputs))
        ends = np.cumsum([len(rows) for rows in inputs])[:-1]
        return [part.tolist() for part in np.split(answers, ends)]

    def unbatch(self, output: list[Any]) -> list[Any]:
        """An answer for each request."""
        return output

    def encode_response(self, output: list[Any]) -> dict[str, list[Any]]:
        """The answer to one request."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Api(max_batch_size=64, batch_timeout=0.001), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
