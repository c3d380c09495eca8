"""What reads foreign bytes, and what it promises: one function of bytes each, which raises where a promise is broken.

A reader refuses in its own words (a 4xx, a manifest refused with its line), in text that JSON can hold; it raises
nothing else, answers what it accepts with well-formed JSON, and ends in bounded time.
"""

import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from model_manager.api.v2 import Index
from model_manager.call import Call, Headers, request_id
from model_manager.codecs.content import require_json
from model_manager.codecs.mlflow import MLflowCodec
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v1_examples import ClassifyCodec, RegressCodec
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import (
    KeysInvalid,
    LoadFailed,
    ManifestInvalid,
    PredictionFailed,
    RequestRefused,
    Unauthenticated,
)
from model_manager.inference.out_of_range import out_of_range
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.metrics import Metrics
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.serving.index import IndexRow
from model_manager.serving.keys import Keyring, digest_of, parse_keys
from model_manager.serving.outcomes import explain
from model_manager.signature import DTYPES, Array, Column, Declared, Layout, Moments, Output, PredictRequest, Signature
from model_manager.traces.headers import trace_fields
from model_manager.traces.propagation import Propagation
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from starlette.requests import Request

from tests.unit.v2_bodies import ANY_WIDTH, COUNTS, FLAGS, MIXED_OBJECTS, NAMED, OUTPUTS, TEXT, WORDS

Target = Callable[[bytes], None]

MOST_SECONDS: Final = 2.0
"""Of the processor's time, for the longest input that a fuzzer makes: a thousand times what it takes."""

_MOST_ROWS: Final = 64
TABLE = Signature(
    Layout.FRAME,
    (
        Column("age", "INT64", nullable=False),
        Column("fare", "FP32", nullable=True),
        Column("sex", "BYTES", categories=("f", "m")),
        Column("member", "BOOL"),
        Column("seen", "BYTES", moments=Moments("ns", None)),
    ),
    True,
    OUTPUTS,
)
WIDE = Signature(Layout.ARRAY, tuple(Column(f"c{n}", "FP64") for n in range(300)), True, OUTPUTS)
_SCORE = Output("predict_proba", "FP64", (-1, 2), classes=("no", "yes"))
SCORES = Signature(Layout.FRAME, TABLE.columns, True, (_SCORE,))
REGRESSION = Signature(Layout.ARRAY, NAMED.columns, True, (Output("predict", "FP64", (-1,)),))
SIGNATURES: Final[Mapping[str, Signature]] = {
    "array": NAMED,
    "unknown-width": ANY_WIDTH,
    "counts": COUNTS,
    "flags": FLAGS,
    "words": WORDS,
    "boxed": MIXED_OBJECTS,
    "table": TABLE,
    "wide": WIDE,
    "text": TEXT,
}


class PromiseBroken(AssertionError):
    """An input that was read, refused or answered otherwise than promised."""


def _refused(error: RequestRefused, headers: Headers = ()) -> None:
    """Hold a refusal to its form: a 4xx, told in text that JSON can hold, and no longer than a person reads."""
    problem = explain(error, headers, "/v2/models/m/infer")
    if not 400 <= problem.code < 500:
        raise PromiseBroken(f"{problem.code} for {error!r}")
    _told(problem.message)


def _told(message: str) -> None:
    text = json.dumps({"error": message}, ensure_ascii=False).encode()  # which refuses lone surrogates
    if len(text) > 10_000 or json.loads(text) != {"error": message}:
        raise PromiseBroken(f"a refusal of {len(text)} bytes")


def _codec(
    codec: V1Codec | V2Codec | MLflowCodec | ClassifyCodec | RegressCodec, signature: Signature, headers: Headers = ()
) -> Target:
    def decode(body: bytes) -> None:
        try:
            request = codec.decode(headers, body)
        except RequestRefused as refused:
            _refused(refused)
            return
        _is_well_formed(request, signature, infinities=b"inf" in body.lower())
        results = {name: _answer(signature, name, len(request.rows)) for name in request.outputs}
        _, answer = codec.encode(request, results)
        json.loads(answer.decode())

    return decode


def _is_well_formed(request: PredictRequest, signature: Signature, *, infinities: bool) -> None:
    rows = {len(block) for block in request.rows.blocks}
    if len(rows) != 1 or not 0 < rows.pop() <= _MOST_ROWS:
        raise PromiseBroken("blocks of different lengths, or of no or too many rows")
    columns = signature.columns
    if signature.layout is Layout.FRAME and len(request.rows.blocks) != len(columns or ()):
        raise PromiseBroken("a block is missing")
    if signature.layout is Layout.ARRAY and columns is not None and request.rows.blocks[0].shape[1:] != (len(columns),):
        raise PromiseBroken("a row of another width")
    for block in request.rows.blocks:
        if not infinities and block.dtype.kind == "f" and np.isinf(block).any():
            raise PromiseBroken("a number that JSON does not have")


def _answer(signature: Signature, name: str, rows: int) -> Array:
    (output,) = [output for output in signature.offered if output.name == name]
    shape = (rows, *output.shape[1:])
    return np.full(shape, "no", object) if output.datatype == "BYTES" else np.zeros(shape, DTYPES[output.datatype])


def _binary(signature: Signature) -> Target:
    """Two bytes say how many of the others are JSON; 0: none, so that they are the values of the one input."""
    codec = V2Codec(signature, max_rows=_MOST_ROWS, model="m", version="1")

    def decode(data: bytes) -> None:
        length, body = int.from_bytes(data[:2], "little"), data[2:]
        try:
            request = codec.decode(((b"inference-header-content-length", b"%d" % length),), body)
        except RequestRefused as refused:
            _refused(refused)
            return
        _is_well_formed(request, signature, infinities=True)
        results = {name: _answer(signature, name, len(request.rows)) for name in request.outputs}
        headers, answer = codec.encode(request, results)
        told = int(dict(headers).get(b"inference-header-content-length", len(answer)))
        json.loads(answer[:told].decode())

    return decode


@cache
def _served() -> list[tuple[V1Codec, V2Codec, SklearnPredictor]]:
    """Real estimators, of an array and of a table, as a server would serve them."""
    X, y = load_iris(return_X_y=True)
    table = pd.DataFrame({"age": [20, 30, 40, 50], "fare": [1.5, None, 3.0, 4.0], "sex": ["f", "m", "f", "m"]})
    columns = make_column_transformer(
        (SimpleImputer(), ["age", "fare"]), (OneHotEncoder(handle_unknown="ignore"), ["sex"])
    )
    estimators = [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y),
        make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 0, 1]),
        RandomForestClassifier(n_estimators=2, random_state=0).fit(X, y),  # which knows nothing beyond float32
    ]
    served = []
    for estimator in estimators:
        signature = infer_signature(estimator, Declared())
        options: dict[str, Any] = {"max_rows": _MOST_ROWS, "model": "m", "version": "1"}
        predictor = SklearnPredictor(estimator, signature)
        served.append((V1Codec(signature, **options), V2Codec(signature, **options), predictor))
    return served


def predicted(body: bytes) -> None:
    """What is let through is predicted: a caller causes no failure of a model."""
    for v1, v2, predictor in _served():
        for codec in (v1, v2):
            try:
                request = codec.decode((), body)
            except RequestRefused:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as of sums that overflow
                try:
                    results = predictor.predict(request.rows, request.outputs)
                except PredictionFailed as failed:  # told as the caller's fault where a value is too large
                    if out_of_range(failed.__cause__, request.rows, predictor.signature) is None:
                        raise
                    continue
            json.loads(codec.encode(request, results)[1])


def manifest(text: bytes) -> None:
    """models.yaml: refused with its line, or read."""
    try:
        parse_manifest(text)
    except ManifestInvalid as refused:
        _told(str(refused))


def metadata(text: bytes) -> None:
    """metadata.json: refused with the key, or read, and what it declares as well."""
    try:
        declared_from(parse_metadata(text))
    except LoadFailed as refused:
        _told(str(refused))


def api_keys(text: bytes) -> None:
    """A file of API keys: refused whole, quoting no value, or read."""
    try:
        parse_keys({"keys.yaml": text})
    except KeysInvalid as refused:
        _told(str(refused))


def index(body: bytes) -> None:
    """The body of a request for the repository index."""

    async def rows() -> list[IndexRow]:
        return [IndexRow("m", "1", "READY")]

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body}

    scope = {"type": "http", "method": "POST", "path": "/v2/repository/index", "headers": []}
    asked = Index(rows, limit=1 << 20).index(Request(scope, receive))  # type: ignore[arg-type]
    try:
        asked.send(None)
    except StopIteration as answered:
        json.loads(answered.value.body)
    except RequestRefused as refused:
        _refused(refused)
    else:
        raise PromiseBroken("it waits for more than it was sent")


def headers(text: bytes) -> None:
    """Headers as a connection hands them on: any bytes but line ends, names in lower case."""
    lines = [line.partition(b":") for line in text.replace(b"\r", b"").split(b"\n")]
    sent = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    try:
        require_json(sent, text)
    except RequestRefused as refused:
        _refused(refused, sent)
    try:
        _keyring().admit(sent, "m")
    except Unauthenticated as refused:
        _refused(refused, sent)
    _told(request_id(sent))
    _told(str(trace_fields(sent, None)))
    propagation = Propagation(("b3", "tracecontext"))
    propagation.extract(sent)
    propagation.glance(sent)
    Call("v2", "/", "POST", "/", sent, "m", None, 0.0)


@cache
def _keyring() -> Keyring:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.yaml"
        path.write_text(f"keys: {{a: {{sha256: {digest_of(b'no fuzzer finds this').hex()}}}}}")
        return Keyring(path, Metrics(), workers=1)


TARGETS: Final[dict[str, Target]] = {
    **{
        f"v1-{name}": _codec(V1Codec(one, max_rows=_MOST_ROWS, model="m", version="1"), one)
        for name, one in SIGNATURES.items()
    },
    **{
        f"v2-{name}": _codec(V2Codec(one, max_rows=_MOST_ROWS, model="m", version="1"), one)
        for name, one in SIGNATURES.items()
    },
    **{f"v2-binary-{name}": _binary(one) for name, one in SIGNATURES.items()},
    **{
        f"{kind}-{name}": _codec(
            codec(SIGNATURES[name], max_rows=_MOST_ROWS, model="m", version="1"), SIGNATURES[name], headers
        )
        for name in ("array", "table")
        for kind, codec, headers in (
            ("mlflow", MLflowCodec, ()),
            ("csv", MLflowCodec, ((b"content-type", b"text/csv"),)),
        )
    },
    "classify": _codec(ClassifyCodec(SCORES, max_rows=_MOST_ROWS, model="m", version="1"), SCORES),
    "regress": _codec(RegressCodec(REGRESSION, max_rows=_MOST_ROWS, model="m", version="1"), REGRESSION),
    "predicted": predicted,
    "manifest": manifest,
    "metadata": metadata,
    "api-keys": api_keys,
    "index": index,
    "headers": headers,
}


def hold(target: Target, data: bytes) -> None:
    """Give a target one input. Raises whatever it raises, and PromiseBroken where it takes too long, twice."""
    for last in (False, True):
        started = time.process_time()
        target(data)
        took = time.process_time() - started
        if took <= MOST_SECONDS:
            return
        if last:
            raise PromiseBroken(f"{took:.1f} s for {len(data)} bytes")
