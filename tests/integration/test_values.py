"""Values reach a served model as its training data had them: None, dates, booleans, columns by name."""

from pathlib import Path

import numpy as np
import pandas as pd
from model_manager.packaging.package import write_package
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.live import live_server, wait_until
from tests.models import dump, put
from tests.unit.test_presentations import MANY, TARGET, Ratio

COLORS = ["a", "b", "b", None, "a", None] * 10
LABELS = [0, 1, 1, 1, 0, 1] * 10


def test_what_was_none_in_training_is_none_in_a_server_bare_and_packed_and_compiled(tmp_path: Path) -> None:
    X = pd.DataFrame(
        {
            "color": pd.Series(COLORS, dtype=object),
            "member": np.tile([True, False, True], 20),
            "day": pd.date_range("2024-01-01", periods=60),
        }
    )
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("color", encoder, ["color"]), ("kept", "passthrough", ["member"])])
    estimator = make_pipeline(columns, LogisticRegression()).fit(X, LABELS)
    put(tmp_path, "bare", "1", dump(estimator))
    write_package(estimator, name="packed", version="1", repository=tmp_path, sample=X)
    expected = estimator.predict_proba(X[["color", "member", "day"]].iloc[2:5])
    rows = [
        {"color": color, "member": member, "day": day}
        for color, member, day in [("b", True, "2024-01-03"), (None, True, "2024-01-04"), ("a", False, "2024-01-05")]
    ]
    with live_server(tmp_path) as server:
        for round in ("as loaded", "compiled"):
            for model in ("bare", "packed"):
                sent = rows if model == "packed" else [{**row, "day": 0} for row in rows]
                body = {"instances": sent, "outputs": ["predict_proba"]}
                answer = server.api.post(f"/v1/models/{model}:predict", json=body).raise_for_status().json()
                np.testing.assert_allclose(answer["predictions"], expected, rtol=1e-9, err_msg=f"{model}, {round}")
            wait_until(lambda: len(server.logged("is answered by")) == 2, "both to be compiled")
        inputs = {one["name"]: one for one in server.api.get("/v2/models/packed").json()["inputs"]}
        assert inputs["day"]["parameters"]["content_type"] == "datetime"
        assert (inputs["day"]["datatype"], inputs["member"]["datatype"]) == ("BYTES", "BOOL")
        reader = make_pipeline(Ratio(), LogisticRegression()).fit(MANY, TARGET > 0)
        put(tmp_path, "reader", "1", dump(reader))
        told = "Ratio reads columns of a DataFrame by name"
        wait_until(lambda: told in server.index().get(("reader", "1"), {}).get("reason", ""), "it to be refused")
