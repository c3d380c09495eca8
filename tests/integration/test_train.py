"""From a file to answers: the rows of a CSV file, as its author has them in pandas, are served by the model of it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from model_manager.commands.train import train

from tests.live import LiveServer, live_server
from tests.packaged import run

FIELD = Path(__file__).resolve().parents[1] / "field"
READ: dict[str, tuple[str, dict[str, Any]]] = {
    "r-write-csv.csv": ("species", {}),
    "zip-codes.csv": ("rent", {"dtype": {"zip": str}}),
    "german-excel.csv": ("Miete", {"sep": ";", "decimal": ",", "thousands": ".", "encoding": "cp1252"}),
    "excel-unicode.txt": ("note", {"sep": "\t", "encoding": "utf-16"}),
    "census-spaces.csv": ("income", {"skipinitialspace": True, "na_values": ["?"]}),
    "passengers.csv": ("Survived", {}),
    "telephone-customers.csv": ("Churn", {"na_values": [" "]}),
    "truths.csv": ("bought", {}),
    "excel-sep-line.csv": ("Preis", {"sep": ";", "decimal": ",", "skiprows": 1}),
    "comments.csv": ("rain", {"comment": "#", "na_values": ["-"]}),
}
"""The target of each file, and how its author reads it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("repository")
    for file, (target, _) in READ.items():
        result = run(train, FIELD / file, "--target", target, "--out", folder)
        assert result.exit_code == 0, result.output
    with live_server(folder) as running:
        yield running


@pytest.mark.parametrize("file", READ)
def test_the_authors_own_rows_are_served(server: LiveServer, file: str) -> None:
    _, reading = READ[file]
    model = Path(file).stem
    table = pd.read_csv(FIELD / file, **reading)
    names = [one["name"] for one in server.api.get(f"/v2/models/{model}").json()["inputs"]]
    rows = json.loads(table[names].to_json(orient="records", force_ascii=False))
    answer = server.predict(model, rows)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == len(table)
