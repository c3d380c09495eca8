"""Where a fuzzer starts from: a well-formed input or two of every target, and the words that make others."""

import json
from typing import Any, Final

import numpy as np
from model_manager.codecs.binary_tensors import bytes_of
from model_manager.signature import DTYPES, Signature

from tests.fuzz.targets import REGRESSION, SIGNATURES, TARGETS

_SHA: Final = "0123456789abcdef" * 4
_CELLS: Final[dict[str, Any]] = {"INT64": 3, "UINT8": 3, "FP32": 2.5, "FP64": 2.5, "BOOL": True, "BYTES": "f"}

TOKENS: Final = (
    *(b'"%b"' % word.encode() for word in (
        "instances", "inputs", "outputs", "signature_name", "parameters", "name", "shape", "datatype", "data", "id",
        "model_version", "content_type", "predict", "predict_proba", "input", "text", "age", "fare", "sex", "ready",
        "FP64", "FP32", "FP16", "INT64", "UINT64", "BOOL", "BYTES", "2026-11-02T10:00:00Z", "golden", "baseline",
        "dataframe_split", "dataframe_records", "columns", "params", "examples", "context", "b64",
        "binary_data_size", "binary_data", "binary_data_output", "classification", "base64", "pd_json",
    )),
    *(word.encode() for word in (
        "[", "]", "{", "}", ",", ":", "null", "true", "false", "NaN", "Infinity", "-0", "1e39", "1e308", "1e999", "-1",
        "9007199254740993", "18446744073709551616", "0.1", '"\\ud800"', '"\\u0000"', "models:", "versions:", "keys:",
        "artifact:", "sha256:", "default:", "batching:", "max_rows:", "timeout_ms:", "isolation:", "burst:",
        "requests_per_second:",
        "&a ", "*a", "<<: ", "!!python/name:os.system ", "!!binary ", "? ", "| \n", "- ", "---\n", ".inf", ".nan",
        "0x10", "2026-13-45", "traceparent:", "b3:", "x-b3-traceid:", "authorization: Bearer ", "x-api-key:",
        "content-type:", "content-encoding:", "x-request-id:", "00-", "-01", "\n", "\\", "\ufeff", "%",
    )),
    b"\xff", b"\xed\xa0\x80", b"\x00",
)  # fmt: skip
"""Words of the formats that are read, and values at the edges of what they hold."""


def _binary(name: str, signature: Signature, tensors: list[dict[str, Any]]) -> list[tuple[str, bytes]]:
    """The same tensors in binary, two bytes of their JSON's length in front."""
    described: list[dict[str, Any]] = []
    raw = b""
    for tensor in tensors:
        dtype = DTYPES[tensor["datatype"]]
        values = bytes_of(
            np.array([str(each) for each in tensor["data"]] if dtype.hasobject else tensor["data"], dtype)
        )
        kept = {key: value for key, value in tensor.items() if key != "data"}
        described.append({**kept, "parameters": {"binary_data_size": len(values)}})
        raw += values
    outputs = [{"name": "predict_proba", "parameters": {"binary_data": True}}]
    text = _json({"inputs": described, "outputs": outputs})
    alone = [] if len(tensors) > 1 else [(f"v2-binary-{name}", b"\0\0" + raw)]
    return [(f"v2-binary-{name}", len(text).to_bytes(2, "little") + text + raw), *alone]


def seeds() -> list[tuple[str, bytes]]:
    """Targets by name, with an input of theirs that is read without complaint."""
    found: list[tuple[str, bytes]] = []
    for name, signature in SIGNATURES.items():
        columns = signature.columns or ()
        row = ["2026-11-02T10:00:00" if one.moments else _CELLS[one.datatype] for one in columns] or [1.0, 2.0]
        names = [column.name for column in columns]
        text = name == "text"
        found.append((f"v1-{name}", _json({"instances": ["f"] if text else [row, row]})))
        tensor = {"name": signature.tensor, "shape": [1, len(row)], "datatype": signature.datatype, "data": row}
        tensors = [{**tensor, "shape": [1], "data": ["f"]} if text else tensor]
        if name == "table":
            found.append((f"v1-{name}", _json({"inputs": {one: [cell] for one, cell in zip(names, row, strict=True)}})))
            tensors = [
                {"name": column.name, "shape": [1], "datatype": column.datatype, "data": [cell]}
                for column, cell in zip(columns, row, strict=True)
            ]
        found.append((f"v2-{name}", _json({"id": "1", "inputs": tensors, "outputs": [{"name": "predict"}]})))
        found += _binary(name, signature, tensors)
        example = dict(zip(names, row, strict=False))
        if name in ("array", "table"):
            lines = [",".join(map(str, cells)) for cells in (names, row, row)]
            found += [
                (f"mlflow-{name}", _json({"dataframe_split": {"columns": names, "index": [0], "data": [row]}})),
                (f"mlflow-{name}", _json({"dataframe_records": [example], "params": {"outputs": "predict"}})),
                (f"csv-{name}", "\n".join(lines).encode()),
            ]
        if name == "table":
            found.append(("classify", _json({"examples": [{names[0]: [row[0]]}], "context": example})))
    numbers = [1.0] * 2 * 4096
    large = {"name": "input", "shape": [4096, 2], "datatype": "FP64", "data": numbers}
    found += [
        ("v2-unknown-width", _json({"inputs": [large]})),
        ("regress", _json({"examples": [dict.fromkeys((column.name for column in REGRESSION.columns or ()), 1.5)]})),
        ("predicted", _json({"instances": [[5.1, 3.5, 1.4, 0.2]]})),
        ("predicted", _json({"instances": [{"age": 3, "fare": None, "sex": "f"}]})),
        ("manifest", b"models:\n  iris:\n    default: '1'\n    versions:\n      '1': {artifact: a.joblib, sha256: %b}\n"
                     b"    batching: {max_rows: 2, max_delay_ms: 0}\n    timeout_ms: 10\n" % _SHA.encode()),
        ("metadata", _json({"name": "m", "version": "1", "golden": {"instances": [[1]], "outputs": {"predict": [1]}},
                            "inputs": [{"name": "a", "datatype": "FP64", "shape": [-1, 1]}]})),
        ("api-keys", b"keys:\n  a: {sha256: %b, models: [iris, 'b-*'], burst: 3}" % _SHA.encode()),
        ("index", b'{"ready": true}'),
        ("headers", b"content-type: application/json\ntraceparent: 00-%b-%b-01\nb3: 1\nx-request-id: a\n"
                    b"authorization: Bearer x" % (b"a" * 32, b"b" * 16)),
    ]  # fmt: skip
    assert {name for name, _ in found} == TARGETS.keys()
    return found


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
