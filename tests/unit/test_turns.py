"""Turns: a few at once, and whoever takes long makes room."""

import asyncio

from model_manager.serving.turns import Turns

from tools.patience import until


async def test_no_more_than_so_many_hold_a_turn() -> None:
    turns, inside, most = Turns(2, patience_s=60), 0, 0

    async def step() -> None:
        nonlocal inside, most
        async with turns.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(step() for _ in range(10)))
    assert (inside, most) == (0, 2)


async def test_one_that_takes_long_is_told_and_holds_nobody_up() -> None:
    turns, told, end = Turns(1, patience_s=0.01), [], asyncio.Event()

    async def long() -> None:
        async with turns.turn() as turn:
            turn.when_slow = lambda: told.append(True)
            await end.wait()

    holding = asyncio.create_task(long())
    await until(lambda: told, "the turn to be given away")
    async with turns.turn():
        assert not holding.done()
    end.set()
    await holding
    async with asyncio.timeout(30), turns.turn():  # given back once, not twice
        waiting = asyncio.create_task(long())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


async def test_a_cancelled_step_gives_its_turn_back() -> None:
    turns = Turns(1, patience_s=60)

    async def step() -> None:
        async with turns.turn():
            await asyncio.Event().wait()

    task = asyncio.create_task(step())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(30), turns.turn():
        pass
