"""Is an answer right? Read it as its protocol says and hold it against what scikit-learn answered."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from loadtests.benchmark.workloads import Workload
from tools.servers import Answer, ask

RTOL: Final = 1e-9
ATOL: Final = 1e-12
_BINARY: Final = {"FP64": "<f8", "FP32": "<f4", "INT64": "<i8", "INT32": "<i4"}


class WrongAnswer(Exception):
    """A server answered something else than scikit-learn, or nothing. The text says what, and to which request."""


def check_answers(workload: Workload, address: str) -> bytes:
    """Ask every request of a workload once; return the first answer's body. Raises WrongAnswer."""
    bodies: list[bytes] = []
    for number, (path, expected) in enumerate(zip(workload.bodies, workload.expected, strict=True)):
        try:
            answer = ask(f"{address}{workload.plan.path}", path.read_bytes(), workload.headers)
        except (OSError, http.client.HTTPException) as error:
            raise WrongAnswer(f"request {number} was not answered: {type(error).__name__}: {error}") from None
        problem = difference(answer, expected)
        if problem:
            raise WrongAnswer(f"request {number}: {problem}")
        bodies.append(answer.body)
    return bodies[0]


def difference(answer: Answer, expected: Sequence[Any]) -> str:
    """What is wrong with an answer; empty when nothing is. Labels must be equal, floats all but."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:300].decode(errors='replace')}"
    try:
        values = read_values(answer.headers, answer.body)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"cannot be read: {type(error).__name__}: {error}: {answer.body[:200]!r}"
    if len(values) != len(expected):
        return f"{len(values)} predictions to {len(expected)} rows"
    for row, (ours, theirs) in enumerate(zip(values, expected, strict=True)):
        if not _same(ours, theirs):
            return f"row {row}: {ours!r} where scikit-learn says {theirs!r}"
    return ""


def read_values(headers: Mapping[str, str], body: bytes) -> list[Any]:
    """The predictions in an answer: V1's `predictions`, or V2's output `predict` as JSON or binary.

    Raises ValueError, KeyError, IndexError or TypeError for anything else.
    """
    head = int(headers.get("inference-header-content-length", len(body)))
    document = json.loads(body[:head])
    if "predictions" in document:
        return list(document["predictions"])
    offset = head
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        if output["name"] == "predict":
            if not size:
                return list(output["data"])
            raw = body[offset : offset + size]
            return list(np.frombuffer(raw, dtype=_BINARY[output["datatype"]]).tolist())
        offset += size
    raise ValueError("there is no output named predict")


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, float):
        return isinstance(ours, int | float) and bool(np.isclose(ours, theirs, rtol=RTOL, atol=ATOL, equal_nan=True))
    return type(ours) is type(theirs) and bool(ours == theirs)
