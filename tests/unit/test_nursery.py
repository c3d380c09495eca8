"""Children: what they are given, what is kept from them, how they end, and that nothing of them stays."""

import asyncio
import json
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvloop
from model_manager.serving.confinement import QUICK_NICENESS, Limits
from model_manager.serving.nursery import Child, Nursery, _all_of

from tools.patience import until

ROOMY = Limits(None, 60, 1 << 20)


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    """A nursery whose process is gone, so that the first child makes it start another."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    made = Nursery(ours, os.getpid(), "tests.child_functions:prepare")
    yield made
    await asyncio.to_thread(made.close)


async def heard(child: Child) -> Any:
    message = await child.hear()
    assert message is not None
    return json.loads(message)


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_child_has_what_it_was_given_and_nothing_else(nursery: Nursery) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"an artifact")
        file.seek(0)
        function = "tests.child_functions:describe"
        async with nursery.child(function, fds=[file.fileno()], limits=Limits(None, 60, 1 << 20)) as child:
            told = await heard(child)
            assert await child.hear() is None
            ended = await child.ended()
    assert told.pop("files") == ["an artifact"]
    assert told.pop("open") == sorted([0, 1, 2, told.pop("talk"), *told.pop("given")])
    assert told == {
        "session": True,
        "stdin": "",
        "niceness": QUICK_NICENESS,
        "oom": 1000,
        "core": [0, 0],
        "cpu": [60, 65],
        "file": [1 << 20, 1 << 20],
        "sigterm": True,
        "blocked": [],
    }
    assert ended is not None
    assert (ended.status, ended.output, ended.output_bytes) == (0, b"out and err", 11)


@pytest.mark.parametrize(("memory", "told"), [(50 << 20, "too much"), (500 << 20, "taken"), (None, "taken")])
async def test_memory_is_limited_beyond_what_a_child_begins_with(
    nursery: Nursery, memory: int | None, told: str
) -> None:
    async with nursery.child("tests.child_functions:take", limits=Limits(memory, 60, 1 << 20)) as child:
        assert await heard(child) == told


async def test_what_a_child_raises_is_in_its_output(nursery: Nursery) -> None:
    async with nursery.child("tests.child_functions:raise_", limits=ROOMY) as child:
        assert await child.hear() is None
        ended = await child.ended()
    assert ended is not None
    assert os.waitstatus_to_exitcode(ended.status) == 1
    assert b"RuntimeError: a bug" in ended.output


@pytest.mark.parametrize("how", ["left", "cancelled", "killed", "keeper killed", "nursery closed"])
async def test_a_child_goes_with_all_that_it_started(nursery: Nursery, how: str) -> None:
    pids: list[int] = []

    async def hold() -> None:
        async with nursery.child("tests.child_functions:linger", limits=ROOMY) as child:
            pids.extend(await heard(child))
            if how == "left":
                return
            if how == "killed":
                child.kill()
            if how == "keeper killed":
                os.kill(pids[0], signal.SIGKILL)
            if how in ("killed", "keeper killed"):
                ended = await child.ended()
                assert (ended is None) == (how == "keeper killed")
                if ended is not None:
                    assert os.waitstatus_to_exitcode(ended.status) == -signal.SIGKILL
                return
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await until(lambda: len(pids) == 3 or task.done(), "the child to have started another")
    assert len(pids) == 3
    if how == "nursery closed":
        await asyncio.to_thread(nursery.close)
    if how in ("cancelled", "nursery closed"):
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        await task
    await until(lambda: not any(map(runs, pids)), "all of them to be gone")


async def test_a_slow_child_takes_what_is_left(nursery: Nursery) -> None:
    async with nursery.child("tests.child_functions:linger", limits=ROOMY) as child:
        _, pid, _ = await heard(child)
        child.slow()
        await until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19, "it to be niced")


def children_of(pid: int) -> list[int]:
    """The processes that it has started; none once it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(number) for number in file.read().split()]
    return []


async def test_a_child_is_prepared_in_advance_and_another_takes_its_place_when_it_is_killed(nursery: Nursery) -> None:
    async with nursery.child("tests.child_functions:linger", limits=ROOMY) as child:
        first = await heard(child)
    await until(lambda: not any(map(runs, first)), "the first child to be gone")
    await until(lambda: len(children_of(nursery._process)) == 1, "the next to be prepared")
    (keeper,) = children_of(nursery._process)
    await until(lambda: len(children_of(keeper)) == 1, "it to have its child")
    (prepared,) = children_of(keeper)
    async with nursery.child("tests.child_functions:linger", limits=ROOMY) as child:
        assert (await heard(child))[:2] == [keeper, prepared]
    await until(lambda: len(children_of(nursery._process)) == 1, "one more to be prepared")
    (keeper,) = children_of(nursery._process)
    os.kill(keeper, signal.SIGKILL)
    await until(lambda: not runs(keeper), "it to be gone")
    async with nursery.child("tests.child_functions:linger", limits=ROOMY) as child:
        assert keeper not in await heard(child)


def test_one_that_has_ended_may_be_told_anything() -> None:
    """On the loop of servers, which is stricter with sockets that are closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    nursery = Nursery(ours, os.getpid(), "tests.child_functions:prepare")

    async def tell() -> None:
        async with nursery.child("tests.child_functions:raise_", limits=ROOMY) as child:
            assert await child.ended() is not None
            for _ in range(20):  # the first of them finds out that nobody is there
                child.slow()
                child.tell(b"more")
                await asyncio.sleep(0.001)
            child.kill()

    try:
        with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
            runner.run(tell())
    finally:
        nursery.close()


async def test_what_a_keeper_said_last_is_heard_though_it_did_not_listen_any_more() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    writer.write(b"n")
    await writer.drain()
    theirs.sendall(b"how it ended")
    theirs.close()  # with something unread: the line is reset
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(_read_to_the_end(reader), 10)
    ours, theirs = socket.socketpair()
    reader, other = await asyncio.open_unix_connection(sock=ours)
    other.write(b"n")
    await other.drain()
    theirs.sendall(b"how it ended")
    theirs.close()
    assert await _all_of(reader) == b"how it ended"
    for one in (writer, other):
        one.close()


async def _read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    """As StreamReader.read does it, which is why it is not asked."""
    return await reader.read()
