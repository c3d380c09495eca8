"""A stop under load: whatever reached a connection that was not announced closed is answered."""

import asyncio
import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.door.raw import Client, answer, connected, request
from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put
from tests.slow_model import SlowRegressor

REQUEST = request()
KINDS = [(True, 0.0)] * 12 + [(False, 0.0)] * 4 + [(True, 0.03)] * 4
"""Whether a client keeps its connection, and how long it thinks."""
CLIENTS = len(KINDS)


@pytest.fixture
def slow(tmp_path: Path) -> tuple[Path, SlowRegressor]:
    """A folder with a model that answers only while it is open, and the model."""
    model = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    put(tmp_path / "models", "m", "1", dump(model))
    return tmp_path / "models", model


class Hammer:
    """Clients that never stop asking: on connections they keep, on new ones each time, and with time to think."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._address = (parts.hostname or "", parts.port or 0)
        self.outcomes: Counter[str] = Counter()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def counted(self, outcome: str, times: int) -> bool:
        """Whether this came out so often."""
        return self.outcomes[outcome] >= times

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()
        self._thread.join()

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask(keep, pause) for keep, pause in KINDS))

    async def _ask(self, keep: bool, pause: float) -> None:
        """Ask until nobody listens any more."""
        while not self._stopping.is_set():
            try:
                reader, writer = await asyncio.open_connection(*self._address)
            except ConnectionRefusedError:
                self.outcomes["refused"] += 1
                return
            except OSError as error:
                self.outcomes[f"connecting: {error!r}"] += 1
                return
            try:
                while not self._stopping.is_set() and not reader.at_eof():
                    last = await self._once(reader, writer)
                    if last or not keep:
                        break
                    await asyncio.sleep(pause)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.outcomes[f"asking: {error!r}"] += 1
            finally:
                writer.close()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Ask once; whether the answer was the last one of its connection."""
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(size)
        last = b"connection: close" in head
        self.outcomes[f"{head[9:12].decode()}{' and closed' if last else ''}"] += 1
        return last


@contextmanager
def hammer(address: str) -> Iterator[Hammer]:
    """Ask while the body runs."""
    hammering = Hammer(address)
    hammering.start()
    try:
        yield hammering
    finally:
        hammering.stop()


@pytest.mark.parametrize(("workers", "rounds"), [(1, 3), (4, 1)])
@pytest.mark.timeout(300)
def test_a_stop_under_load_loses_no_request(folder: Path, workers: int, rounds: int) -> None:
    for _ in range(rounds):
        with live_server(folder, workers=workers, lame_duck_s=0.3) as server, hammer(server.server.api) as load:
            wait_until(partial(load.counted, "200", 300), "traffic")
            assert server.stop() == 0
            wait_until(partial(load.counted, "refused", CLIENTS), "everybody to be refused")
        answered = load.outcomes.pop("200") + load.outcomes.pop("200 and closed")
        assert answered > 300
        assert load.outcomes == {"refused": CLIENTS}


def test_idle_connections_do_not_hold_a_stop_up_and_end_without_a_reset(folder: Path) -> None:
    with live_server(folder) as server, connected(server.server.api) as idle, connected(server.server.api) as fresh:
        idle.send(REQUEST)
        assert idle.response().status == 200
        assert server.stop() == 0
        assert idle.closed()
        assert fresh.closed()


def test_the_lame_duck_serves_on_and_says_that_it_goes(folder: Path) -> None:
    with live_server(folder, lame_duck_s=600) as server, connected(server.server.api) as client:
        client.send(REQUEST)
        assert not client.response().closes
        server.process.send_signal(signal.SIGTERM)
        ready = request(method="GET", target="/v2/health/ready", body=None)
        wait_until(lambda: answer(server.server.api, ready).status == 503, "it to be not ready")
        for _ in range(20):  # whoever asks keeps it there
            assert answer(server.server.api, REQUEST).closes
        client.send(REQUEST)
        response = client.response()
        assert (response.status, response.closes) == (200, True)
        assert client.closed()
        wait_until(lambda: server.process.poll() is not None, "it to go, since nobody asks any more")
        assert server.process.returncode == 0


def test_an_interrupt_is_no_lame_duck(slow: tuple[Path, SlowRegressor]) -> None:
    folder, model = slow
    with live_server(folder, lame_duck_s=600) as server, connected(server.server.api) as client:
        model.shut()
        client.send(REQUEST)
        wait_until(model.entered, "the request to reach the model")
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: _refuses(server), "nobody new to be let in")
        model.open()
        response = client.response()
        assert (response.status, response.closes) == (200, True)
        wait_until(lambda: server.process.poll() is not None, "the process to end")


def test_what_is_pipelined_or_half_sent_at_the_stop_is_answered(slow: tuple[Path, SlowRegressor]) -> None:
    folder, model = slow
    with (
        live_server(folder, lame_duck_s=0) as server,
        connected(server.server.api) as pipelined,
        connected(server.server.api) as half,
        connected(server.server.api) as queued,
    ):
        for client in (half, queued):
            client.send(REQUEST)
            assert client.response().status == 200
        model.shut()
        half.send(REQUEST[:50])
        pipelined.send(REQUEST * 3)
        wait_until(model.entered, "the request to reach the model")
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: _refuses(server), "nobody new to be let in")
        assert queued.closed()
        half.send(REQUEST[50:])
        model.open()
        assert [pipelined.response().closes for _ in range(3)] == [False, False, True]
        response = half.response()
        assert (response.status, response.closes) == (200, True)
        wait_until(lambda: server.process.poll() is not None, "the process to end")
        assert server.process.returncode == 0


def test_slow_readers_do_not_hold_a_stop_up_for_as_long_as_requests_may(folder: Path) -> None:
    with live_server(folder, drain_timeout_s=600) as server, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.api.base_url.port or 0))
        slow.settimeout(0.5)
        rows = json.dumps({"instances": [[0.0, 0.0]] * 9000}).encode()
        with suppress(TimeoutError):  # the server reads no further
            while True:
                slow.sendall(request(body=rows))
        assert server.stop() == 0


def _refuses(server: LiveServer) -> bool:
    try:
        Client(server.server.api).socket.close()
    except ConnectionRefusedError:
        return True
    return False
