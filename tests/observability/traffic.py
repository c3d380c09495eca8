"""Steady traffic to look at: mostly right requests, now and then what metrics tell apart from them."""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from sklearn.datasets import load_breast_cancer, load_iris

from tests.observability.stage import SHED_ROWS, Stage
from tools.payloads import Package, defaults, draw, read_packages

_CANARY_SHARE = 0.2
_PAUSE_S = 0.02
_USERS = 2
_BURST = 8


class Traffic:
    """Counts what was sent; `send` sends the next request of one user."""

    def __init__(self, stage: Stage) -> None:
        packages = defaults(read_packages(stage.packages))
        self._right = [package for package in packages if package.model != "diabetes"]
        self._diabetes = next(package for package in packages if package.model == "diabetes")
        self._apis = {track: urlsplit(running.api).netloc for track, running in stage.servers.items()}
        self._observed = {"iris": load_iris().data.tolist(), "breast-cancer": load_breast_cancer().data.tolist()}
        self._said: dict[str, Any] = {}  # the last prediction of each model
        self.sent = 0

    def send(self, number: int) -> None:
        """Send one request, or every fortieth time a burst that overfills a queue, and read the answers."""
        track = "canary" if random.random() < _CANARY_SHARE else "stable"
        burst = number % 40 == 30
        requests = [self._drawn(self._diabetes, SHED_ROWS)] * _BURST if burst else [self._request(number)]
        connections = [http.client.HTTPConnection(self._apis[track], timeout=10) for _ in requests]
        for connection in connections:
            connection.connect()
        ids = [f"{threading.get_ident()}-{number}-{one}" for one in range(len(requests))]
        for connection, (path, body), id in zip(connections, requests, ids, strict=True):
            connection.request("POST", path, body, {"content-type": "application/json", "x-request-id": id})
        for connection, (path, _), id in zip(connections, requests, ids, strict=True):
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == HTTPStatus.OK and path.endswith(":predict") and not burst:
                self._label(connection, path.removesuffix(":predict"), id, json.loads(said)["predictions"][0])
            connection.close()
        self.sent += len(requests)

    def _label(self, connection: http.client.HTTPConnection, model: str, id: str, said: Any) -> None:
        """Tell what was true of the first row: mostly what was predicted, now and then what was predicted before."""
        before = self._said.get(model, said)
        self._said[model] = said
        label = said + random.gauss(0, 10) if isinstance(said, float) else random.choices([said, before], [9, 1])[0]
        connection.request("POST", f"{model}:feedback", json.dumps({"id": id, "label": label}))
        connection.getresponse().read()

    def _request(self, number: int) -> tuple[str, str]:
        """What is asked: of forty requests two are wrong, each in a way of its own."""
        if number % 40 == 10:
            return "/v1/models/nobody:predict", '{"instances": [[1]]}'
        if number % 40 == 20:
            return "/v1/models/iris:predict", '{"instances": [[1, "wide", 3, 4]]}'
        if number % 4 == 0:
            return self._drawn(self._diabetes, random.randint(1, 4))
        return self._drawn(random.choice(self._right), random.choice((1, 1, 1, 8, 32)))

    def _drawn(self, package: Package, rows: int) -> tuple[str, str]:
        request = draw(package, rows=rows)
        if package.model not in self._observed:  # golden rows, which are few and may all be of one class
            return request.path, request.body
        return request.path, json.dumps({"instances": random.choices(self._observed[package.model], k=rows)})


@contextmanager
def traffic(stage: Stage) -> Iterator[Traffic]:
    """Send requests from a few threads while the body runs."""
    going = Traffic(stage)
    stopped = threading.Event()

    def user() -> None:
        for number in itertools.count():
            if stopped.wait(_PAUSE_S * (1.3 + _wave())):
                break
            with contextlib.suppress(OSError, http.client.HTTPException):  # a server that stops, or is stopped
                going.send(number)

    users = [threading.Thread(target=user, daemon=True) for _ in range(_USERS)]
    for each in users:
        each.start()
    try:
        yield going
    finally:
        stopped.set()
        for each in users:
            each.join()


def _wave() -> float:
    """Between -1 and 1 over a minute, so that the curves of a picture are not straight."""
    return abs(time.monotonic() % 60 - 30) / 15 - 1
