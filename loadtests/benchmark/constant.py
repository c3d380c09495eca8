"""The ceilings as a server of its own: read the body, answer a constant. What HTTP costs before anything is predicted.

python -m loadtests.benchmark.constant bare|starlette ANSWERS UVICORN: answers the file ANSWERS/<name> to POST /<name>.
Imports nothing of the server: its libraries would fill the heap that the garbage collector walks.
"""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_CONTENT_TYPE = b"application/json"


class Bare:
    """The least that an ASGI application can do with a request."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._messages = {
            f"/{name}": (
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", _CONTENT_TYPE), (b"content-length", b"%d" % len(answer))],
                },
                {"type": "http.response.body", "body": answer},
            )
            for name, answer in answers.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body", False):
            pass
        start, body = self._messages[scope["path"]]
        await send(start)
        await send(body)


def starlette(answers: Mapping[str, bytes]) -> Starlette:
    """The same behind one Starlette route, written as its documentation does."""

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(answers[request.path_params["name"]], media_type=_CONTENT_TYPE.decode())

    return Starlette(routes=[Route("/{name}", answer, methods=["POST"])])


async def serve(app: ASGIApp, options: dict[str, Any]) -> None:
    """Serve on a free port of the loopback until SIGTERM, and say where as the server's log does."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, **options))
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as bound:
        host, port = bound.getsockname()
        print(json.dumps({"api": f"http://{host}:{port}"}), file=sys.stderr, flush=True)
        await server.serve(sockets=[bound])


def main(kind: str, folder: str, options: str) -> None:
    """Read the answers and serve them."""
    answers = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    app: ASGIApp = Bare(answers) if kind == "bare" else starlette(answers)
    # uvicorn raises the signal again once it has stopped, which would make of a graceful stop an exit code of 143.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        runner.run(serve(app, json.loads(options)))


if __name__ == "__main__":
    main(*sys.argv[1:])
