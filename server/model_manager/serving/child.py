"""What a child does with a version: what it may not survive, we do. And the messages by which it is asked and answers.

In the flow: loader → trying → nursery → **child**: unpickle, golden rows or a probe, costs; or faster forms and their
proof. What comes back are plain values, or why not. Only what survived here is loaded in the server.
"""

import socket
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, Final, TypeAlias

import msgspec

from model_manager.errors import LoadFailed, LoadFailureReason
from model_manager.inference.compiled.compilation import Recipe, compile_predictor
from model_manager.inference.cost import Measured, measure_inline_limits
from model_manager.inference.threads import limit_native_threads
from model_manager.serving.proving import Reading, contained, describe, prove, read
from model_manager.signature import Signature

PREPARE: Final = "model_manager.serving.child:prepare"
"""What a nursery process calls before it forks children for this."""
JUDGE: Final = "model_manager.serving.child:judge"
"""What such a child runs."""


class Task(msgspec.Struct, frozen=True):
    """What a child is to do: prove the version, or with `compile_s` seconds of CPU look for faster forms of it."""

    reading: Reading
    compile_s: float | None = None


class Step(msgspec.Struct, frozen=True, tag=True):
    """What the child does from now on, for people."""

    name: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A LoadFailed."""

    reason: LoadFailureReason
    message: str


class Proven(msgspec.Struct, frozen=True, tag=True):
    """It answers, and this is what it takes and gives; None where that cannot be told in messages."""

    signature: Signature | None


class Costs(msgspec.Struct, frozen=True, tag=True):
    """What answers cost."""

    measured: Measured


class Compiled(msgspec.Struct, frozen=True, tag=True):
    """What was found, and what answers cost by it."""

    recipe: Recipe
    measured: Measured


class Serving(msgspec.Struct, frozen=True, tag=True):
    """It answers from now on in a process of its own: what it takes and gives, and a library mismatch if any."""

    signature: Signature
    library_warning: str | None


Message: TypeAlias = Step | Refused | Proven | Costs | Compiled | Serving
Verdict: TypeAlias = Proven | Costs | Compiled | Serving


def prepare() -> None:
    """What all children would do again: this module's imports, and holding BLAS and OpenMP to one thread."""
    limit_native_threads()


def judge(talk: int, artifact: int) -> None:
    """Carry out the task that comes in over `talk`, and say what was found."""
    with socket.socket(fileno=talk) as line, open(artifact, "rb") as file:

        def say(message: Message) -> None:
            send(line, message)

        task = msgspec.msgpack.decode(receive(line), type=Task)
        try:
            last: Message = _judge(task, file, say)
        except LoadFailed as error:
            if error.reason == "internal":
                traceback.print_exc()
            last = Refused(error.reason, str(error).encode(errors="replace").decode())
        say(last)


def _judge(task: Task, artifact: BinaryIO, say: Callable[[Message], None]) -> Verdict:
    say(Step("reading it"))
    loaded, metadata = contained("reading it", read, artifact, task.reading)
    if task.compile_s is None:
        say(Step("proving it"))
        described = contained("proving it", prove, loaded, metadata)
        say(Proven(told(described.predictor.signature)))
        say(Step("measuring it"))
        return Costs(measure_inline_limits(described.predictor, described.example).measured)
    described = contained("describing it", describe, loaded, metadata)
    say(Step("compiling it"))
    compilation = contained(
        "compiling it",
        compile_predictor,
        described.estimator,
        described.predictor,
        described.example,
        budget_s=task.compile_s,
    )
    return Compiled(compilation.recipe, measure_inline_limits(compilation.predictor, described.example).measured)


def told(signature: Signature) -> Signature | None:
    """A signature that can be sent, without what it has worked out."""
    plain = replace(signature)
    try:
        msgspec.msgpack.encode(plain)
    except (TypeError, UnicodeEncodeError, OverflowError):  # categories that are no plain values
        return None
    return plain


def send(line: socket.socket, message: Message) -> None:
    """Send a message as `Child.hear` of the nursery receives it."""
    encoded = msgspec.msgpack.encode(message)
    line.sendall(len(encoded).to_bytes(4, "big") + encoded)


def receive(line: socket.socket) -> bytes:
    """Receive a message as `Child.tell` of the nursery sends it."""
    with line.makefile("rb") as stream:
        return stream.read(int.from_bytes(stream.read(4), "big"))
