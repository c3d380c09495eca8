"""Explanations as a real server gives them: by V1 and V2, for people, refused with a reason, and never wrong."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from model_manager import pack
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.live import LiveServer, live_server
from tests.overruled_model import overruled

RANDOM = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "plan": RANDOM.choice(["free", "paid", "trial"], 300),
        "zip": RANDOM.choice(["01234", "98765"], 300),
        "tenure_months": np.where(RANDOM.random(300) < 0.1, np.nan, RANDOM.integers(0, 60, 300)),
    }
)
LEFT = np.where(TABLE["tenure_months"].fillna(30) + 30 * (TABLE["plan"] == "paid") < 25, "yes", "no")
ROW = {"plan": "free", "zip": "01234", "tenure_months": 2}
ODD = {"plan": "never seen, and with a comma", "zip": None, "tenure_months": None}


def churn(last: Any) -> Any:
    words = make_pipeline(OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(
        ColumnTransformer([("words", words, ["plan", "zip"]), ("numbers", numbers, ["tenure_months"])]), last
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    data = TABLE.assign(left=LEFT)
    for version, last in (
        ("1", LogisticRegression()),
        ("2", KNeighborsClassifier(15)),
        ("3", RandomForestClassifier(20, random_state=0, min_samples_leaf=5)),
    ):
        pack(churn(last).fit(TABLE, LEFT), name="churn", version=version, out=folder, data=data, target="left")
    X = RANDOM.normal(size=(200, 3))
    bare = {
        "overruled": overruled(X, X[:, 0] > 0),
        "money": HistGradientBoostingRegressor(max_iter=5).fit(X, X[:, 0] * 100),
        "spam": make_pipeline(CountVectorizer(), LogisticRegression()).fit(["buy now", "see you"], [1, 0]),
        "bare": LogisticRegression().fit(X, X[:, 0] > 0),
    }
    for name, model in bare.items():
        (folder / name / "1").mkdir(parents=True)
        joblib.dump(model, folder / name / "1" / "model.joblib")
    with live_server(folder, compile="off", load_isolation="none", explain_queue_rows=4, explain_budget=300) as server:
        yield server


def explain(server: LiveServer, rows: list[Any], path: str = "/v1/models/churn", **parameters: Any) -> Any:
    body = {"instances": rows, **({"parameters": parameters} if parameters else {})}
    return server.api.post(f"{path}:explain", json=body)


def adds_up(told: dict[str, Any]) -> None:
    parts = [part["contribution"] for part in told["contributions"]]
    assert told["base"] + sum(parts) + told.get("others", 0.0) == pytest.approx(told["answer"], abs=1e-6)
    assert [abs(part) for part in parts] == sorted(map(abs, parts), reverse=True)


@pytest.mark.parametrize(
    ("path", "output", "unit", "method"),
    [
        ("/v1/models/churn", "predict_proba", "probability", "trees"),
        ("/v1/models/churn/versions/1", "decision_function", "log-odds", "linear"),
        ("/v1/models/churn/versions/2", "predict_proba", "probability", "subsets"),
        ("/v1/models/churn/versions/3", "predict_proba", "probability", "trees"),
    ],
)
def test_each_answer_is_explained_by_the_columns_of_its_row(
    server: LiveServer, path: str, output: str, unit: str, method: str
) -> None:
    answer = explain(server, [ROW, ODD], path)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["explained"] == {"output": output, "unit": unit, "method": method}
    asked = {"instances": [ROW, ODD], "outputs": ["predict", output]}
    served = server.api.post(f"{path}:predict", json=asked).json()["predictions"]
    assert told["predictions"] == [one["predict"] for one in served]
    for one, row, answered in zip(told["explanations"], (ROW, ODD), served, strict=True):
        adds_up(one)
        assert one["class"] == answered["predict"]
        assert {part["column"]: part["value"] for part in one["contributions"]} == row
        value = np.ravel(answered[output])
        expected = value[["no", "yes"].index(one["class"])] if len(value) == 2 else abs(value[0])
        assert one["answer"] == pytest.approx(expected, abs=1e-6)


def test_people_get_sentences_of_the_columns_that_moved_it_most(server: LiveServer) -> None:
    (told,) = explain(server, [ROW], top_k=1, text=True, **{"class": "yes"}).json()["explanations"]
    (part,) = told["contributions"]
    assert (part["column"], part["value"]) == ("tenure_months", 2)
    assert part["contribution"] > 0.1
    assert told["text"] == [f"tenure_months = 2 raised the chance of yes by {part['contribution']:.2g}"]
    adds_up(told)
    (other,) = explain(server, [ODD], text=True, **{"class": "no"}).json()["explanations"]
    assert any(sentence.startswith("tenure_months is missing, which ") for sentence in other["text"])
    (money,) = explain(server, [[1.0, 0.0, 0.0]], "/v1/models/money", text=True).json()["explanations"]
    assert "class" not in money
    assert money["text"][0].startswith("0 = 1 raised the answer by ")


def test_v2_answers_an_explanation_as_an_output(server: LiveServer) -> None:
    inputs = [
        {"name": name, "datatype": "FP64" if name == "tenure_months" else "BYTES", "shape": [1], "data": [value]}
        for name, value in ROW.items()
    ]
    asked: dict[str, Any] = {"name": "explanation", "parameters": {"top_k": 2}}
    every: list[list[dict[str, Any]]] = [[asked], [{"name": "predict"}, asked]]
    for outputs in every:
        body = {"id": "7", "inputs": inputs, "outputs": outputs}
        answer = server.api.post("/v2/models/churn/infer", json=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["id"], told["model_version"]) == ("7", "3")
        assert [one["name"] for one in told["outputs"]] == [one["name"] for one in outputs]
        explanation = told["outputs"][-1]
        assert (explanation["datatype"], explanation["shape"]) == ("BYTES", [1])
        found = json.loads(explanation["data"][0])
        (v1,) = explain(server, [ROW], top_k=2).json()["explanations"]
        assert found == v1
    wrong = {"inputs": inputs, "outputs": [{"name": "explanation", "parameters": {"best": 2}}]}
    answer = server.api.post("/v2/models/churn/infer", json=wrong)
    assert (answer.status_code, "best" in answer.text) == (400, True)
    quoted = {"inputs": inputs, "outputs": [{"name": 'an "explanation"'}, {"name": "other"}]}
    assert "unknown output" in server.api.post("/v2/models/churn/infer", json=quoted).json()["error"]


def test_an_explanation_that_does_not_add_up_is_an_error_and_no_fault_of_the_versions_answers(
    server: LiveServer,
) -> None:
    answer = explain(server, [[1.0, 0.0, 0.0]], "/v1/models/overruled")
    assert answer.status_code == 500
    assert "does not add up" in answer.json()["error"]
    metrics = server.admin.get("/metrics").text
    assert 'model_manager_explanations_total{model_name="overruled",model_version="1",outcome="mismatch"} 1' in metrics
    assert 'model_manager_requests_total{model_name="overruled",model_version="1",code="500"}' not in metrics


@pytest.mark.parametrize(
    ("path", "rows", "parameters", "why"),
    [
        ("churn", [{**ROW, "tenure_months": "wide"}], {}, "tenure_months"),
        ("churn", [ROW], {"class": "maybe"}, 'known: "no", "yes"'),
        ("churn", [ROW], {"top_k": 0}, "top_k"),
        ("churn", [ROW], {"text": "please"}, "text"),
        ("churn", [ROW], {"best": 1}, "best"),
        ("churn", [ROW] * 5, {}, "4 are explained at once"),
        ("money", [[1.0, 0.0, 0.0]], {"class": "yes"}, "leave class out"),
        ("spam", ["buy"], {}, "by column"),
        ("bare", [[1.0, 0.0, 0.0]], {}, "a baseline or golden rows"),
    ],
)
def test_what_is_not_explained_is_refused_with_a_reason(
    server: LiveServer, path: str, rows: list[Any], parameters: dict[str, Any], why: str
) -> None:
    answer = explain(server, rows, f"/v1/models/{path}", **parameters)
    assert answer.status_code == 400, answer.text
    assert why in answer.json()["error"]


def test_a_full_queue_and_a_time_that_passed_are_told_and_predictions_go_on(server: LiveServer) -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: explain(server, [ROW] * 3, "/v1/models/churn/versions/2"), range(24)))
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 503}, codes
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"]
    assert "explanation" in refused.json()["error"]
    late = server.api.post(
        "/v1/models/churn:explain", json={"instances": [ROW]}, headers={"x-request-timeout-ms": "0.001"}
    )
    assert late.status_code == 504
    assert server.api.post("/v1/models/churn:predict", json={"instances": [ROW]}).status_code == 200
    metrics = server.admin.get("/metrics").text
    assert 'model_manager_explanations_total{model_name="churn",model_version="2",outcome="queue_full"}' in metrics
    assert "model_manager_explain_queue_rows 0" in metrics


def test_other_outputs_are_not_chosen_here(server: LiveServer) -> None:
    body = {"instances": [ROW], "outputs": "predict_proba"}
    answer = server.api.post("/v1/models/churn:explain", json=body)
    assert (answer.status_code, "ask :predict" in answer.json()["error"]) == (400, True)


def test_unknown_models_and_versions_are_told(server: LiveServer) -> None:
    assert explain(server, [ROW], "/v1/models/nobody").status_code == 404
    assert explain(server, [ROW], "/v1/models/churn/versions/9").status_code == 404
    assert explain(server, [ROW], "/v1/models/churn/labels/none").status_code == 404
