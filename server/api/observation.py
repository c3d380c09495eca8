"""What is told of single requests, when anybody asked for it: a log line, a server-timing header.

In the flow: predict → **observer** (wants to know more of this request?) → observation, filled in on the way → told at
the end. Most requests have none, and cost nothing more than their metrics.
"""

import logging
import random
from typing import Final

from starlette.types import Scope

from server.api.problems import request_id
from server.serving.batch import Watch
from server.serving.servable import Servable
from server.serving.system import System

logger: Final = logging.getLogger("server.requests")


class Observer:
    """Decides which requests are observed."""

    def __init__(self, *, log_share: float, server_timing: bool) -> None:
        self._log_share = log_share
        self._server_timing = server_timing

    @classmethod
    def of(cls, system: System) -> "Observer | None":
        """What the settings ask for, or None when they ask for nothing."""
        settings = system.settings
        if not settings.log_requests and not settings.server_timing:
            return None
        return cls(log_share=settings.log_requests, server_timing=settings.server_timing)

    def begin(self, scope: Scope, route: str, began: float) -> "Observation | None":
        """Observe a request from its first byte, or let it pass; `began` in perf_counter seconds."""
        logged = self._log_share > 0 and random.random() < self._log_share
        if not logged and not self._server_timing:
            return None
        return Observation(scope, route, began, logged=logged, timed=self._server_timing)


class Observation(Watch):
    """One observed request: when each step of it ended, in perf_counter seconds, 0 for steps it never reached."""

    __slots__ = ("_logged", "_route", "_scope", "_timed", "began", "decoded", "decoding", "encoded", "encoding", "rows")

    def __init__(self, scope: Scope, route: str, began: float, *, logged: bool, timed: bool) -> None:
        super().__init__()
        self._scope = scope
        self._route = route
        self._logged = logged
        self._timed = timed
        self.began = began
        self.decoding = self.decoded = self.encoding = self.encoded = 0.0
        self.rows = 0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that tell a caller where the time went, once the answer is encoded."""
        if not self._timed:
            return []
        steps = (
            ("decode", self.decoded - self.decoding),
            ("queue", self.batch_started - self.decoded),
            ("batch", self.batch_ended - self.batch_started),
            ("total", self.encoded - self.began),
        )
        value = ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in steps)
        return [(b"server-timing", value.encode())]

    def ended(self, servable: Servable | None, status: int, now: float) -> None:
        """Tell what became of the request."""
        if not self._logged:
            return
        fields: dict[str, object] = {"request_id": request_id(self._scope), "route": self._route, "status": status}
        if servable is not None:
            fields |= {"model_name": servable.id.model, "model_version": servable.id.version}
        fields |= {"rows": self.rows, "duration_ms": round((now - self.began) * 1e3, 3)}
        logger.info("%s %s %d", self._scope["method"], self._scope["path"], status, extra=fields)
