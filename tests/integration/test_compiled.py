"""A version answers with scikit-learn at once, and with a faster form once that proved equal; all can see which."""

from pathlib import Path
from shutil import copy

import pytest

from tests.live import live_server, wait_until

IRIS = [[5.1, 3.5, 1.4, 0.2], [6.0, 2.8, 4.8, 1.6]]


@pytest.mark.parametrize("compile_flag", ["auto", "off"])
def test_the_form_is_in_metadata_index_and_metrics_and_the_answers_stay(samples: Path, compile_flag: str) -> None:
    with live_server(samples, compile=compile_flag) as server:
        assert server.predict("iris", IRIS).json() == {"predictions": ["setosa", "virginica"]}
        if compile_flag == "auto":
            wait_until(lambda: len(server.logged("is answered by")) == 5, "every version to be compiled")
        properties = server.api.get("/v2/models/iris").json()["properties"]
        row = server.index()[("iris", "2")]
        assert row["parameters"].pop("default") == "true"
        assert row["parameters"] == {name: properties[name] for name in row["parameters"]}
        labels = {"model_name": "iris", "model_version": "2"}
        assert server.metric("model_manager_predictor_form", form=properties["form"], **labels) == 1
        if compile_flag == "off":
            assert properties["form"] == "sklearn"
            assert server.metric("model_manager_predictor_speedup_ratio", **labels) == 0
        else:
            assert properties["form"] != "sklearn"
            assert float(properties["speedup_1_rows"]) > 1
            assert float(properties["largest_difference"]) < 1e-9
            assert server.metric("model_manager_predictor_speedup_ratio", rows="1", **labels) > 1
        assert server.predict("iris", IRIS).json() == {"predictions": ["setosa", "virginica"]}


def test_a_manifest_decides_for_one_model(samples: Path, tmp_path: Path) -> None:
    for name in ("iris", "diabetes"):
        copy(samples / name / "1" / "model.joblib", tmp_path / f"{name}.joblib")
    (tmp_path / "models.yaml").write_text(
        'models:\n  iris: {versions: {"1": {artifact: iris.joblib}}, compile: off}\n'
        '  diabetes: {versions: {"1": {artifact: diabetes.joblib}}}\n'
    )
    with live_server(tmp_path) as server:
        wait_until(lambda: server.logged("diabetes/1 is answered by"), "diabetes to be compiled")
        assert server.api.get("/v2/models/iris").json()["properties"]["form"] == "sklearn"
        assert server.api.get("/v2/models/diabetes").json()["properties"]["form"] != "sklearn"
