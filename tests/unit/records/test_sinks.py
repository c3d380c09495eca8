"""Sinks, against real files and a real HTTP server: what arrives whole, and what is said when it does not."""

import json
import os
import resource
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from model_manager.errors import StartRefused
from model_manager.records.sinks import FileSink, HttpSink, NotDelivered, open_sink

from tests.event_receiver import EventReceiver, event_receiver
from tests.live import wait_until

FIRST, SECOND, THIRD = b'{"n":1}', b'{"n":2}', b'{"n":3}'


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size while the body runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_url_is_posted_to_and_anything_else_is_a_file(path: Path) -> None:
    assert isinstance(open_sink("http://localhost/events"), HttpSink)
    assert isinstance(open_sink(str(path)), FileSink)


def test_events_are_appended_as_lines_in_one_write_a_batch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b'{"n":0}\n')
    sink = FileSink(str(path))
    writes: list[int] = []
    write = os.write

    def counted(fd: int, text: memoryview) -> int:
        writes.append(len(text))
        return write(fd, text)

    monkeypatch.setattr(os, "write", counted)
    sink.deliver([FIRST, SECOND], 1)
    sink.deliver([THIRD], 1)
    sink.close()
    assert path.read_bytes() == b'{"n":0}\n' + b"\n".join([FIRST, SECOND, THIRD]) + b"\n"
    assert writes == [16, 8]


def test_a_new_file_is_not_for_everybody(path: Path) -> None:
    FileSink(str(path))
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


def test_a_rotated_file_is_made_anew(path: Path) -> None:
    sink = FileSink(str(path))
    sink.deliver([FIRST], 1)
    rotated = path.rename(path.with_suffix(".1"))
    sink.deliver([SECOND], 1)
    assert (rotated.read_bytes(), path.read_bytes()) == (FIRST + b"\n", SECOND + b"\n")
    path.unlink()
    sink.deliver([THIRD], 1)
    assert path.read_bytes() == THIRD + b"\n"
    path.write_bytes(b"")  # what logrotate's copytruncate does
    sink.deliver([FIRST], 1)
    assert path.read_bytes() == FIRST + b"\n"
    sink.close()


def test_a_folder_that_goes_and_comes_back_loses_what_came_between(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    sink = FileSink(str(folder / "records.jsonl"))
    sink.deliver([FIRST], 1)
    folder.rename(tmp_path / "away")
    with pytest.raises(NotDelivered, match=r"spool/records\.jsonl: No such file or directory") as failure:
        sink.deliver([SECOND], 1)
    assert failure.value.delivered == 0
    folder.mkdir()
    sink.deliver([THIRD], 1)
    assert (folder / "records.jsonl").read_bytes() == THIRD + b"\n"
    sink.close()


def test_a_full_disk_tears_at_most_one_line_and_counts_the_whole_ones(path: Path) -> None:
    sink = FileSink(str(path))
    with largest_file(len(FIRST) + 1 + 3), pytest.raises(NotDelivered, match="File too large") as failure:
        sink.deliver([FIRST, SECOND], 1)
    assert failure.value.delivered == 1
    with largest_file(1), pytest.raises(NotDelivered) as failure:
        sink.deliver([SECOND], 1)
    assert failure.value.delivered == 0
    with largest_file(path.stat().st_size + 1 + len(SECOND) + 1 + 2), pytest.raises(NotDelivered) as failure:
        sink.deliver([SECOND, THIRD], 1)
    assert failure.value.delivered == 1
    sink.deliver([THIRD], 1)
    sink.close()
    assert path.read_bytes().split(b"\n") == [FIRST, SECOND[:3], SECOND, THIRD[:2], THIRD, b""]


def test_lines_of_several_processes_stay_whole(path: Path) -> None:
    events = [json.dumps({"writer": n, "text": "x" * 3000}).encode() for n in range(2)]

    def write(event: bytes) -> None:
        sink = FileSink(str(path))
        for _ in range(50):
            sink.deliver([event] * 5, 1)
        sink.close()

    threads = [threading.Thread(target=write, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_bytes().splitlines()) == sorted(events * 250)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("{tmp}", "Is a directory"),
        ("{tmp}/absent/records.jsonl", "No such file or directory"),
        ("{tmp}/pipe", "No such device or address"),
        ("nul\0byte", "(open: )?embedded null (byte|character in path)"),  # as Python's version words it
    ],
)
def test_a_file_that_cannot_be_appended_to_is_refused_at_start(tmp_path: Path, target: str, said: str) -> None:
    os.mkfifo(tmp_path / "pipe")  # nobody reads it
    with pytest.raises(StartRefused, match=f"^--records .*: cannot be appended to: {said}$"):
        open_sink(target.format(tmp=tmp_path))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://broker/topic", "kafka is not supported; give http://, https:// or a file's path"),
        ("http:///events", r"expected http\(s\)://host\[:port\]/path"),
        ("http://host/ev ents", "printable ASCII"),
        ("http://host/e#part", "without a fragment"),
        ("http://host:0/", r"expected http\(s\)://host"),
        ("http://host:http/", "not a URL: Port could not be cast"),
        ("http://host:99999/", "not a URL: Port out of range"),
        ("http://[::1/", "not a URL: Invalid IPv6 URL"),
        (f"http://{'a' * 64}.example/", "not a URL: .*label"),
    ],
)
def test_a_url_that_cannot_be_posted_to_is_refused_at_start(url: str, said: str) -> None:
    with pytest.raises(StartRefused, match=f"^--records .*{said}"):
        open_sink(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(StartRefused, match="would not be sent") as refusal:
        open_sink("https://me:sesame@host/")
    assert "sesame" not in str(refusal.value)


def test_a_batch_is_one_post_in_the_batched_content_mode_over_a_kept_connection(receiver: EventReceiver) -> None:
    sink = HttpSink(f"{receiver.url}?token=sesame")
    sink.deliver([FIRST, SECOND], 5)
    sink.deliver([THIRD], 5)
    sink.close()
    assert receiver.bodies == [b'[{"n":1},{"n":2}]', b'[{"n":3}]']
    assert receiver.headers[0]["content-type"] == "application/cloudevents-batch+json; charset=UTF-8"
    assert receiver.paths == ["/events?token=sesame"] * 2
    assert receiver.connections == 1
    assert sink.destination == receiver.url


def test_a_connection_that_the_receiver_closed_while_idle_is_made_anew(receiver: EventReceiver) -> None:
    sink = HttpSink(receiver.url)
    sink.deliver([FIRST], 5)
    receiver.close_connections()
    wait_until(lambda: not receiver._open, "the receiver to have closed")
    sink.deliver([SECOND], 5)
    receiver.close_after_answer = True
    sink.deliver([THIRD], 5)
    sink.deliver([FIRST], 5)
    assert [event["n"] for event in receiver.events()] == [1, 2, 3, 1]
    assert receiver.connections == 3
    sink.close()


@pytest.mark.parametrize(("status", "said"), [(500, "500 Internal Server Error"), (429, "429 "), (307, "307 ")])
def test_any_answer_but_success_is_a_failure_and_is_not_tried_again(
    receiver: EventReceiver, status: int, said: str
) -> None:
    receiver.status, receiver.answer = status, b"try later"
    sink = HttpSink(receiver.url)
    with pytest.raises(NotDelivered, match=f"/events: it answers {said}"):
        sink.deliver([FIRST], 5)
    assert receiver.answered == 1
    receiver.status, receiver.answer = 200, b"x" * 100_000  # more than is read
    sink.deliver([SECOND], 5)
    receiver.answer = b"ok"
    sink.deliver([THIRD], 5)
    assert [event["n"] for event in receiver.events()] == [2, 3]
    assert receiver.connections == 2
    sink.close()


def test_an_answer_that_does_not_come_is_a_failure_in_the_time_allowed(receiver: EventReceiver) -> None:
    sink = HttpSink(receiver.url)
    receiver.gate.clear()
    with pytest.raises(NotDelivered, match=r"/events: no answer within 0\.05 s"):
        sink.deliver([FIRST], 0.05)
    receiver.gate.set()
    sink.deliver([SECOND], 5)
    sink.close()


def test_a_receiver_that_is_down_or_speaks_no_http_is_said_to_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotDelivered, match="Connection refused"):
        HttpSink(f"http://127.0.0.1:{port}").deliver([FIRST], 5)

    class Mute(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.wfile.write(b"hello\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Mute) as mute:
        thread = threading.Thread(target=mute.handle_request)
        thread.start()
        with pytest.raises(NotDelivered, match="hello"):
            HttpSink(f"http://127.0.0.1:{mute.server_address[1]}").deliver([FIRST], 5)
        thread.join()


def test_tls_keeps_its_connection_and_sends_nothing_to_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=receiver"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*make.split(), *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with event_receiver(tls=tls) as receiver:
        with pytest.raises(NotDelivered, match=r"self.signed certificate"):
            HttpSink(receiver.url).deliver([FIRST], 5)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        sink = HttpSink(receiver.url)
        for event in (FIRST, SECOND, THIRD):
            sink.deliver([event], 5)
        sink.close()
        assert [event["n"] for event in receiver.events()] == [1, 2, 3]
        assert receiver.connections == 1


@pytest.mark.parametrize("url", ["ftp://host/a?token=hunter2", "http://host:99999/a?k=hunter2", "http://a b?k=hunter2"])
def test_a_token_in_a_url_that_is_refused_is_not_told(url: str) -> None:
    with pytest.raises(StartRefused) as refusal:
        open_sink(url)
    assert "hunter2" not in str(refusal.value)
