"""Data frames through V2, as MLServer's frame codec writes them: dates, categories and missing values, by column."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from model_manager import pack
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.integration.conftest import running_app

TABLE = pd.DataFrame(
    {
        "when": pd.to_datetime(["2026-01-31", "2026-02-28 12:30", "2026-03-31", "2026-01-31"] * 10, format="ISO8601"),
        "kind": pd.Categorical(["new", "used", None, "used"] * 10),
        "zip": ["01234", "98765", "01234", "00001"] * 10,
        "amount": [1.5, np.nan, 2.5, -1.0] * 10,
        "count": [1, 2, 3, 4] * 10,
    }
)
FRAME = TABLE.iloc[[1, 2, 0, 3]]


def fitted() -> Any:
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["when", "kind", "zip"]), remainder="passthrough"
    )
    model = make_pipeline(encoded, HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2))
    return model.fit(TABLE, ["no", "yes", "yes", "no"] * 10)


def columns_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """An input for each column, the last first."""
    said = {
        "when": ("BYTES", "datetime", [moment.isoformat() for moment in frame["when"]]),
        "kind": ("BYTES", "str", [None if pd.isna(kind) else kind for kind in frame["kind"]]),
        "zip": ("BYTES", "str", frame["zip"].tolist()),
        "amount": ("FP64", "np", [None if pd.isna(amount) else amount for amount in frame["amount"]]),
        "count": ("INT64", "np", frame["count"].tolist()),
    }
    shape = [len(frame), 1]
    return [
        {"name": name, "shape": shape, "datatype": datatype, "parameters": {"content_type": kind}, "data": values}
        for name, (datatype, kind, values) in reversed(said.items())
    ]


async def test_a_frame_of_dates_categories_and_missing_values_is_answered_as_the_estimator_answers_it(
    tmp_path: Path,
) -> None:
    model = await asyncio.to_thread(fitted)
    await asyncio.to_thread(pack, model, name="m", version="1", out=tmp_path, data=TABLE)
    request: dict[str, Any] = {"parameters": {"content_type": "pd"}, "inputs": columns_of(FRAME)}
    async with running_app(tmp_path) as (api, _, _):
        answer = await api.post("/v2/models/m/infer", json=request)
        assert answer.status_code == 200, answer.text
        outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
        assert outputs["predict"] == model.predict(FRAME).tolist()
        assert outputs["predict_proba"] == model.predict_proba(FRAME).ravel().tolist()
        request["inputs"][-1]["data"][2] = "tomorrow"
        refused = await api.post("/v2/models/m/infer", json=request)
        assert refused.status_code == 400
        assert 'input "when": row 2' in refused.json()["error"]
        assert "tomorrow" in refused.json()["error"]
