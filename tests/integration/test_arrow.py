"""Arrow streams to the whole app: the answers of JSON, for models of numbers and of tables; refusals as everywhere."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.integration.conftest import Client, v2

ARROW = "application/vnd.apache.arrow.stream"


def stream(frame: pd.DataFrame) -> bytes:
    table, sink = pa.Table.from_pandas(frame, preserve_index=False), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


async def test_streams_are_answered_as_json_is(api: Client, churn: dict[str, object]) -> None:
    rows = np.random.default_rng(0).uniform(0.1, 7, (50, 4))
    iris = pd.DataFrame(rows, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"])
    table = pd.DataFrame([churn, {**churn, "support_calls": None}, churn])
    of_iris = [{"name": "input", "shape": [50, 4], "datatype": "FP64", "data": rows.tolist()}]
    of_churn = [
        {
            "name": name,
            "shape": [3],
            "datatype": "BYTES" if isinstance(churn[name], str) else "FP64",
            "data": [None if one != one else one for one in table[name].tolist()],
        }
        for name in churn
    ]
    for model, frame, inputs in (("iris", iris, of_iris), ("churn", table, of_churn)):
        expected = (await v2(api, model, inputs)).json()
        answer = await api.post(
            f"/v2/models/{model}/infer", content=stream(frame), headers={"content-type": f"{ARROW}; x=y"}
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == ARROW
        assert answer.headers["x-model-version"] == expected["model_version"]
        found = pa.ipc.open_stream(answer.content).read_all()
        assert found.column_names == [one["name"] for one in expected["outputs"]]
        for output in expected["outputs"]:
            values = np.array(found[output["name"]].to_pylist()).reshape(-1)
            assert values.tolist() == output["data"], output["name"]


async def test_a_stream_that_does_not_fit_is_a_400_of_its_caller(api: Client) -> None:
    frame = pd.DataFrame({"sepal_length": [1.0], "sepal_width": [1.0], "petal_length": ["wide"], "petal_width": [1.0]})
    headers = {"content-type": ARROW}
    answer = await api.post("/v2/models/iris/infer", content=stream(frame), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith('the stream: row 0, column "petal_length": expected a number')
    cut = await api.post("/v2/models/iris/infer", content=stream(frame)[:-200], headers=headers)
    assert (cut.status_code, "no Arrow stream" in cut.json()["error"]) == (400, True), cut.text
