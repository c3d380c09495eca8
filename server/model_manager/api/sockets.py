"""What the kernel knows of sockets and event loops do not tell: bytes unread, connections not accepted yet."""

import array
import asyncio
import ctypes
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

_SO_ATTACH_FILTER: Final = 26
_DROP_SYN: Final = (  # of classic BPF, which a listening socket sees TCP headers with
    (0x30, 0, 0, 13),  # load the flags
    (0x54, 0, 0, 0x12),  # only SYN and ACK of them
    (0x15, 0, 1, 0x02),  # a SYN alone?
    (0x06, 0, 0, 0),  # drop it: the client knocks again in a second, and finds the port closed
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it
)
_HANDSHAKE_S: Final = 0.1


def unread_bytes(transport: asyncio.Transport) -> int:
    """How many bytes of a client the kernel holds that were not read yet."""
    open_socket = transport.get_extra_info("socket")
    if open_socket is None or (number := open_socket.fileno()) < 0:
        return 0
    size = array.array("i", [0])
    try:
        fcntl.ioctl(number, termios.FIONREAD, size)
    except OSError:
        return 0
    return size[0]


async def accept_the_last(
    listening: socket.socket, protocol: Callable[[], asyncio.Protocol], tls: "ssl.SSLContext | None"
) -> None:
    """Let no new client in, and accept those who are: closing a port resets whom nobody has accepted.

    The socket is one that the event loop listens on no more. Where the kernel cannot be asked to let nobody in, a
    client in a thousand is reset still. On cancellation some are left.
    """
    loop = asyncio.get_running_loop()
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox that knows no filters
            _drop_handshakes(listening)
        await asyncio.sleep(_HANDSHAKE_S)  # the third step of handshakes under way
    listening.setblocking(False)
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # there is none, or no file is left to open
            return
        await loop.connect_accepted_socket(protocol, client, ssl=tls)


def _drop_handshakes(listening: socket.socket) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
