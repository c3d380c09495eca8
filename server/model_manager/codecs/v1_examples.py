"""V1's `:classify` and `:regress`, TensorFlow Serving's: `examples` of named features → `result`, for models that fit.

Beside v1.py. An example is an object of features, each a value or a list of one, as tf.train.Example has them;
`context` holds those that all examples share. Classes come with their scores, in the order of `classes_`.
"""

from collections.abc import Mapping

import numpy as np

from model_manager.call import Headers
from model_manager.codecs.bounds import SMALLEST_COUNTED, Bounds
from model_manager.codecs.content import json_headers, require_json
from model_manager.codecs.json_text import excerpt, parse_object, refuse_repeated_key
from model_manager.codecs.outputs import OutputChoice, encode_json
from model_manager.codecs.parameters import check_request_parameters
from model_manager.codecs.rows import refuse_too_many, rows_from_instances
from model_manager.errors import InvalidInput
from model_manager.signature import Array, Output, PredictRequest, Signature

_DEFAULT_SIGNATURE = "serving_default"


class _ExamplesCodec:
    """Decode bodies of examples, and encode what `_encode` makes of the one output that answers, for one version."""

    method: str
    wants: str

    def __init__(self, signature: Signature, *, max_rows: int, model: str, version: str) -> None:
        self._signature = signature
        self._max_rows = max_rows
        self._headers = json_headers(model, version)
        self._bounds = Bounds(signature, max_rows=max_rows)
        self._choice = OutputChoice(signature)
        self._fitting = [output for output in signature.outputs if self._fits(output)]

    def decode(self, headers: Headers, body: bytes) -> PredictRequest:
        """Decode a body of examples into rows in the signature's blocks.

        Raises InvalidInput naming example and column, or what the model lacks; UnsupportedContent as V1 does.
        """
        require_json(headers, body)
        if len(body) > SMALLEST_COUNTED:
            self._bounds.check(body)
        document = parse_object(body)
        output = self._chosen(document.get("signature_name"))
        examples, context = document.get("examples"), document.get("context", {})
        if not isinstance(examples, list):
            hint = "; instances are sent to :predict" if "instances" in document else ""
            raise InvalidInput(f'the body has no "examples", a list of objects of features{hint}')
        if not isinstance(context, dict):
            raise InvalidInput(f"context: expected an object of features, got {excerpt(context)}")
        refuse_repeated_key(context, "context")
        refuse_too_many(len(examples), self._max_rows, "examples")
        rows = [self._row(example, context, number) for number, example in enumerate(examples)]
        timeout_s, priority = check_request_parameters(document.get("parameters"), None)
        decoded = rows_from_instances(rows, self._signature, source="examples")
        self._choice.refuse_too_large((output.name,), len(decoded))
        return PredictRequest(decoded, (output.name,), None, False, timeout_s, priority)

    def encode(self, request: PredictRequest, results: Mapping[str, Array]) -> tuple[Headers, bytes]:
        """Encode the answer of the one output that was asked."""
        (name,) = request.outputs
        (output,) = (one for one in self._fitting if one.name == name)
        return self._headers, encode_json({"result": self._result(output, results[name])})

    def _chosen(self, signature_name: object) -> Output:
        if not self._fitting:
            raise InvalidInput(f"this model does not fit :{self.method}, which needs {self.wants}; ask it by :predict")
        if signature_name in (None, _DEFAULT_SIGNATURE):
            return self._fitting[0]
        for output in self._fitting:
            if output.name == signature_name:
                return output
        known = ", ".join(excerpt(output.name) for output in self._fitting)
        raise InvalidInput(f"signature_name: {excerpt(signature_name)} is no output for :{self.method}; known: {known}")

    def _row(self, example: object, context: dict[str, object], number: int) -> object:
        """One example as V1's rows are: features by name, or what the tensor alone holds."""
        place = f"examples: row {number}"
        if not isinstance(example, dict):
            raise InvalidInput(f"{place}: expected an object of features, got {excerpt(example)}")
        refuse_repeated_key(example, place)
        features = {**context, **example}
        if not self._signature.named and list(features) == [self._signature.tensor]:
            return features
        return {name: _single(value) for name, value in features.items()}

    def _fits(self, output: Output) -> bool:
        raise NotImplementedError

    def _result(self, output: Output, array: Array) -> object:
        raise NotImplementedError


class ClassifyCodec(_ExamplesCodec):
    """`:classify`: of each example every class and its score, `[["setosa", 0.98], …]`."""

    method = "classify"
    wants = "predict_proba, or another output with a score for each class"

    def _fits(self, output: Output) -> bool:
        numbers = output.datatype.startswith("FP")
        return numbers and bool(output.classes) and output.shape == (-1, len(output.classes))

    def _result(self, output: Output, array: Array) -> object:
        labels = [label if isinstance(label, str) else encode_json(label).decode() for label in output.classes]
        return [[[label, score] for label, score in zip(labels, row, strict=True)] for row in array.tolist()]


class RegressCodec(_ExamplesCodec):
    """`:regress`: of each example one number."""

    method = "regress"
    wants = "an output of one number a row"

    def _fits(self, output: Output) -> bool:
        number = output.datatype not in ("BYTES", "BOOL")
        return number and not output.classes and output.shape in ((-1,), (-1, 1)) and output.name.startswith("predict")

    def _result(self, output: Output, array: Array) -> object:
        return np.reshape(array, -1).tolist()


def _single(value: object) -> object:
    """The one value in a list of one, which is how tf.train.Example holds a number or a string."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
