"""The ceiling over gRPC as a server of its own: a grpc.aio stub that answers a constant to whatever it is asked.

python -m loadtests.benchmark.grpc_constant METHOD FILE: answers what the file holds. Imports nothing of the server.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop


async def serve(method: str, constant: bytes) -> None:
    """Serve one method on a free port of the loopback until SIGTERM, and say where as the server's log does."""

    async def answer(message: bytes, context: Any) -> bytes:
        return constant

    _, service, name = method.split("/")
    server = grpc.aio.server()
    handlers = {name: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"api": f"127.0.0.1:{port}"}), file=sys.stderr, flush=True)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()
    await server.stop(None)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        runner.run(serve(sys.argv[1], Path(sys.argv[2]).read_bytes()))
