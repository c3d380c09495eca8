"""Customers who are asked about, and labels that come later: what became of them."""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from tests.demo.customers import MODEL, RISE, rows_and_labels

FEEDBACK_WINDOW_S: Final = 2
_LATE_S: Final = 1.0
_PAUSE_S: Final = 0.03
_USERS: Final = 2
_ROWS: Final = 5
_KNOWN: Final = 4000
_LIMIT_S: Final = 30.0


class Traffic:
    """Asks and tells, each thread on a connection of its own. `sent` and `labelled` count requests and rows."""

    def __init__(self, api: str) -> None:
        self._host = urlsplit(api).netloc
        self._usual = rows_and_labels(_KNOWN, seed=2)
        self._risen = rows_and_labels(_KNOWN, seed=3, rise=RISE)
        self._due: deque[tuple[float, list[dict[str, Any]]]] = deque()
        self.prices_rose = False
        self.sent = 0
        self.labelled = 0

    def ask(self, connection: http.client.HTTPConnection, id: str) -> None:
        """Ask about some customers, and note what will be told of them."""
        chosen = random.sample(self._risen if self.prices_rose else self._usual, _ROWS)
        body = json.dumps({"instances": [row for row, _ in chosen]})
        self._post(connection, "predict", body, {"x-request-id": id})
        labels = [{"id": id, "row": number, "label": label} for number, (_, label) in enumerate(chosen)]
        self._due.append((time.monotonic() + _LATE_S, labels))
        self.sent += 1

    def tell(self, connection: http.client.HTTPConnection) -> None:
        """Tell the labels that are known by now."""
        labels: list[dict[str, Any]] = []
        while self._due and self._due[0][0] <= time.monotonic():
            labels += self._due.popleft()[1]
        if labels:
            self._post(connection, "feedback", json.dumps({"labels": labels}), {})
            self.labelled += len(labels)

    def connection(self) -> http.client.HTTPConnection:
        """A new connection, which is kept."""
        return http.client.HTTPConnection(self._host, timeout=_LIMIT_S)

    def _post(self, connection: http.client.HTTPConnection, verb: str, body: str, headers: dict[str, str]) -> None:
        headers = {"content-type": "application/json", **headers}
        connection.request("POST", f"/v1/models/{MODEL}:{verb}", body, headers)
        connection.getresponse().read()


@contextmanager
def traffic(api: str) -> Iterator[Traffic]:
    """Ask and tell from a few threads while the body runs."""
    going = Traffic(api)
    stopped = threading.Event()

    def user(name: int) -> None:
        connection = going.connection()
        for number in itertools.count():
            if stopped.wait(_PAUSE_S):
                break
            with contextlib.suppress(OSError, http.client.HTTPException):  # a server that stops; a connection heals
                going.ask(connection, f"{name}-{number}")
        connection.close()

    def clerk() -> None:
        connection = going.connection()
        while not stopped.wait(_LATE_S / 4):
            with contextlib.suppress(OSError, http.client.HTTPException):
                going.tell(connection)
        connection.close()

    threads = [threading.Thread(target=user, args=[name], daemon=True) for name in range(_USERS)]
    threads.append(threading.Thread(target=clerk, daemon=True))
    for each in threads:
        each.start()
    try:
        yield going
    finally:
        stopped.set()
        for each in threads:
            each.join()
