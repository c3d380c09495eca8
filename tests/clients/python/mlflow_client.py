"""MLflow's own client of scoring servers, run where MLflow is installed: prints what it makes of the answers."""

import json
import sys

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main(host: str, port: str, table: str) -> None:
    """Ask for the predictions of a CSV file in every form in which the client sends one."""
    client = ScoringServerClient(host, port)
    client.wait_server_ready(timeout=60)
    frame = pd.read_csv(table, dtype={"zip": str})
    found = {
        "version": client.get_version(),
        "frame": client.invoke(frame).get_predictions()[0].tolist(),
        "shuffled": client.invoke(frame[list(frame)[::-1]]).get_predictions("ndarray").tolist(),
        "text": client.invoke(json.dumps({"dataframe_records": frame.to_dict("records")}))["predictions"],
        "params": client.invoke(frame, params={"outputs": "predict_proba"}).get_predictions().to_numpy().tolist(),
        "array": client.invoke(frame.to_numpy(dtype=object))["predictions"],
    }
    try:
        client.invoke(frame.drop(columns="zip"))
    except Exception as refused:
        found["refused"] = str(refused)
    sys.stdout.write(json.dumps(found))


main(*sys.argv[1:])
