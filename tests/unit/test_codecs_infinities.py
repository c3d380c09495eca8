"""Infinite values of answers: JSON has no word for them, so null stands for them, and the answer says how many."""

import json

import numpy as np
from model_manager.codecs.protocols import codecs_for
from model_manager.signature import Output, PredictRequest, Rows

from tests.unit.v2_bodies import PAIRS

SIGNATURE = type(PAIRS)(PAIRS.layout, PAIRS.columns, False, (Output("a", "FP64", (-1, 2)), Output("b", "BYTES", (-1,))))
CODECS = codecs_for(SIGNATURE, max_rows=9, model="m", version="1")
REQUEST = PredictRequest(Rows((np.zeros((2, 2)),)), ("a", "b"))
WORDS = np.array(["null", "x"], dtype=object)


def test_infinities_are_null_and_counted() -> None:
    results = {"a": np.array([[np.inf, -np.inf], [np.nan, 1.5]]), "b": WORDS}
    headers, body = CODECS["v1"].encode(REQUEST, results)
    assert dict(headers)[b"x-infinite-values"] == b"2"
    assert json.loads(body)["predictions"][0] == {"a": [None, None], "b": "null"}
    headers, body = CODECS["v2"].encode(REQUEST, results)
    first, second = json.loads(body)["outputs"]
    assert (first["parameters"], first["data"]) == (
        {"content_type": "np", "infinite_values": 2},
        [None, None, None, 1.5],
    )
    assert second["parameters"] == {"content_type": "str"}


def test_what_is_missing_is_no_infinity() -> None:
    results = {"a": np.array([[np.nan, 0.0], [np.nan, 1.5]]), "b": WORDS}
    headers, _ = CODECS["v1"].encode(REQUEST, results)
    assert b"x-infinite-values" not in dict(headers)
    assert b"infinite" not in CODECS["v2"].encode(REQUEST, results)[1]
