"""Values that a model cannot compute with: the caller's mistake, told by row and column, on any way to the model."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier, ExtraTreeRegressor

from tests.integration.conftest import IRIS, Client, running_app, v1, v2
from tests.models import dump, put

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # which is what is asked about

X, Y = load_iris(return_X_y=True)
FRAME = load_iris(as_frame=True).data


MODELS = {
    "forest": RandomForestRegressor(3, random_state=0),
    "extra": ExtraTreesClassifier(3, random_state=0),
    "tree": DecisionTreeClassifier(),
    "random_tree": ExtraTreeRegressor(),
    "boosting": GradientBoostingClassifier(n_estimators=3),
    "ada": AdaBoostClassifier(n_estimators=3),
    "scaled": make_pipeline(StandardScaler(), RandomForestRegressor(3, random_state=0)),
    "squares": make_pipeline(PolynomialFeatures(2), LogisticRegression(max_iter=1000)),
}
FINE = {"hist": HistGradientBoostingClassifier(max_iter=3), "linear": LogisticRegression(max_iter=1000)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    for name, estimator in {**MODELS, **FINE}.items():
        put(models, name, "1", dump(estimator.fit(X, Y)))
    put(models, "named", "1", dump(ExtraTreesClassifier(3, random_state=0).fit(FRAME, Y)))
    put(models, "grows", "1", dump(make_pipeline(FunctionTransformer(np.exp), DecisionTreeClassifier()).fit(X, Y)))
    return models


@pytest.fixture
async def api(folder: Path) -> AsyncIterator[Client]:
    async with running_app(folder, compile="off") as (api, _, _):
        yield api


async def test_a_value_too_large_for_the_model_is_400_by_row_and_column(api: Client) -> None:
    for name in MODELS:
        for value in (1e39, -1e39, 1e200) if name != "squares" else (1e200, -1e300):
            answer = await v1(api, name, {"instances": [IRIS, [1, 2, value, 3]]})
            assert answer.status_code == 400, (name, value, answer.text)
            assert f"row 1, column 2: {value:g} is too large for this model" in answer.json()["error"]
        tensor = {"name": "input", "shape": [2, 4], "datatype": "FP64", "data": [*IRIS, 1, 2, 3, 1e250]}
        assert "row 1, column 3: 1e+250" in (await v2(api, name, [tensor])).json()["error"]
    answer = await v1(api, "named", {"instances": [[1, 2, 1e39, 3]]})
    assert 'row 0, column "petal length (cm)": 1e+39 is too large' in answer.json()["error"]
    ordinary = await v1(api, "grows", {"instances": [[1, 2, 1000, 3]]})
    assert ordinary.status_code == 500  # no value is too large: that it grows without bound is the model's own doing
    for name in FINE:
        assert (await v1(api, name, {"instances": [[1, 2, 1e39, 3]]})).status_code == 200


async def test_no_way_of_writing_a_number_gets_past(api: Client) -> None:
    for text in ("1e999", "-1e999", "1E+400", "1" * 400, "NaN", "Infinity", "-Infinity", "nan", "inf"):
        for name in ("forest", "hist", "linear", "named"):
            taken = (text == "NaN" and name != "linear") or (name == "hist" and text in ("Infinity", "-Infinity"))
            code = 200 if taken else 400  # what those take for a missing value, or for a number
            body = b'{"instances": [[1, 2, %b, 3]]}' % text.encode()
            assert (await v1(api, name, body)).status_code == code, (name, text)
            tensor = b'{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, %b, 3]}' % text.encode()
            answer = await api.post(f"/v2/models/{name}/infer", content=b'{"inputs": [%b]}' % tensor)
            assert answer.status_code == code, (name, text)


async def test_a_small_body_is_a_small_body_and_nesting_is_refused(api: Client) -> None:
    for deep in (b'{"x":' + b"[" * 30_000, b"[" * 60_000):
        for path in ("/v2/repository/index", "/v1/models/forest:predict", "/v2/models/forest/infer"):
            answer = await api.post(path, content=deep)
            assert answer.status_code == 400, (path, answer.text)
    large = await api.post("/v2/repository/index", content=json.dumps({"ready": True, "x": "y" * 70_000}))
    assert large.status_code == 413
    assert large.json()["error"] == "the body is larger than 65536 bytes"
