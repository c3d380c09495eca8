"""A process in which one version predicts: what its code does there, it does to nobody else.

In the flow: isolated (server) → nursery → **isolated child**: unpickle, prove, then answer batches for as long as the
server asks. It is proven once; a process that takes the place of one that ended is told what the version takes.
"""

import socket
import struct
import traceback
from typing import Final

import msgspec

from model_manager.errors import LoadFailed, PredictionFailed, one_line
from model_manager.inference.predictor import Predictor
from model_manager.serving.child import Message, Refused, Serving, Step, receive, send, told
from model_manager.serving.proving import Reading, contained, describe, prove, read
from model_manager.serving.shared_memory import SharedMemory
from model_manager.signature import Signature

PREDICT: Final = "model_manager.serving.isolated_child:predict"
"""What such a child runs."""
PACKET: Final = struct.Struct("<QQQ")
"""What is said of a batch and of its answers: its number, where the header is, the header's length."""


class Isolating(msgspec.Struct, frozen=True):
    """What the child is to answer with. `signature`: what the version takes and gives, where it was proven before."""

    reading: Reading
    signature: Signature | None


def predict(talk: int, artifact: int, line: int, memory: int) -> None:
    """Get ready as was asked over `talk`, then answer what is asked over `line`, until that is closed."""
    with socket.socket(fileno=talk) as talking:
        task = msgspec.msgpack.decode(receive(talking), type=Isolating)

        def say(message: Message) -> None:
            send(talking, message)

        try:
            with open(artifact, "rb") as file:
                say(Step("reading it"))
                loaded, metadata = contained("reading it", read, file, task.reading)
            say(Step("proving it"))
            prepare = prove if task.signature is None else describe
            predictor = contained("proving it", prepare, loaded, metadata, task.signature).predictor
            signature = told(predictor.signature)
            if signature is None:
                message = "isolation: process is not possible: its categories are no plain values"
                raise LoadFailed("not_isolated", message)
        except LoadFailed as error:
            if error.reason == "internal":
                traceback.print_exc()
            say(Refused(error.reason, str(error).encode(errors="replace").decode()))
            return
        say(Serving(signature, loaded.library_warning))
    del loaded, metadata
    with socket.socket(fileno=line) as asked:
        _answer(asked, SharedMemory(memory), predictor)


def _answer(line: socket.socket, memory: SharedMemory, predictor: Predictor) -> None:
    while packet := line.recv(PACKET.size):
        number, *place = PACKET.unpack(packet)
        try:
            at, length = place
            rows, outputs = memory.read_rows((at, length))
            written = memory.write_answers(predictor.predict(rows, outputs))
        except PredictionFailed as error:
            written = memory.write_failure(str(error), error.shown)
        except BaseException as error:  # what it answered cannot be sent, or there is no memory left
            shown = f"its answer raised {type(error).__name__[:100]}"
            written = memory.write_failure(f"its answer raised {one_line(error)}", shown)
        line.send(PACKET.pack(number, *written))
