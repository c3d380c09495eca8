"""gRPC against its own ceiling: the processor time of a call for one row, beside one that a stub answers at once.

A client in Python takes as long over a call as a server does, so a rate would be its own. The time that each server's
process used for the same calls is what decides how many of them a core can answer, and moves less with the neighbours.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

import click
import grpc
import grpc.aio
import numpy as np
from model_manager.codecs.protobuf import INFERENCE
from model_manager.errors import PackageRefused

from loadtests.benchmark.targets import Stage
from models.samples import build_sample
from tools.cores import choose_cores, staying_on
from tools.processes import ProcessFailed, stop_when_told, without_server_settings
from tools.processor_time import used_s
from tools.servers import Server, model_manager

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_WARM = 200
_CALLS = 500
_AT_ONCE = 16


def message() -> bytes:
    """W1's row as raw contents, asking for the prediction alone, as V1 answers it."""
    request = INFERENCE.messages["ModelInferRequest"](model_name="iris")
    request.inputs.add(name="input", datatype="FP64", shape=[1, 4])
    request.raw_input_contents.append(np.array([6.0, 2.8, 4.8, 1.6]).tobytes())
    request.outputs.add(name="predict")
    serialized: bytes = request.SerializeToString()
    return serialized


async def _call(address: str, calls: int, at_once: int) -> bytes:
    """Make so many calls, and give the last answer. Raises grpc.RpcError."""
    async with grpc.aio.insecure_channel(address) as channel:
        ask = channel.unary_unary(_INFER)
        answers: list[bytes] = []

        async def caller() -> None:
            for _ in range(calls // at_once):
                answers[:] = [await ask(message_)]

        message_ = message()
        await asyncio.gather(*(caller() for _ in range(at_once)))
        return bytes(answers[0])


def _cost_s(process: Server, address: str, at_once: int) -> float:
    before = used_s(process.popen.pid)
    asyncio.run(_call(address, _CALLS, at_once))
    return (used_s(process.popen.pid) - before) / (_CALLS // at_once * at_once)


def grpc_costs(stage: Stage, rounds: int) -> list[tuple[float, float, float, float]]:
    """Seconds of the stub's and the server's processor for a call, one at a time and many at once, of each round.

    `stage.models` holds iris. Raises ProcessFailed.
    """
    constant = stage.folder / "grpc-answer"
    with model_manager("model-manager", stage.models, core=stage.cores.server, flags=("--grpc-port", "0")) as ours:
        address = ours.addresses["grpc"]
        try:
            constant.write_bytes(asyncio.run(_call(address, _WARM, 1)))
            command = [sys.executable, "-m", "loadtests.benchmark.grpc_constant", _INFER, str(constant)]
            with Server("stub", command, core=stage.cores.server, environment=without_server_settings()) as stub:
                asyncio.run(_call(stub.api, _WARM, 1))
                costs = []
                for _ in range(rounds):
                    one, many = ([_cost_s(stub, stub.api, n), _cost_s(ours, address, n)] for n in (1, _AT_ONCE))
                    costs.append((one[0], one[1], many[0], many[1]))
                return costs
        except grpc.RpcError as error:
            raise ProcessFailed(f"a call over gRPC ended with {error}") from None


@click.command(epilog="Example: python -m loadtests.benchmark.grpc_calls --rounds 10")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Rounds; medians are told.")
def main(rounds: int) -> None:
    """Measure what a prediction costs over gRPC, beside a grpc.aio stub that answers a constant, on this machine."""
    stop_when_told()
    cores = choose_cores()
    try:
        with staying_on(cores.generator), tempfile.TemporaryDirectory(prefix="model-manager-grpc-") as temporary:
            folder = Path(temporary)
            build_sample("iris", "1", folder / "models", created=None)
            costs = grpc_costs(Stage(cores, folder / "models", folder), rounds)
    except (ProcessFailed, PackageRefused) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{'calls at once':>14} {'stub':>10} {'model-manager':>14} {'stub ÷ ours':>12}")
    for at_once, stub, ours in ((1, 0, 1), (_AT_ONCE, 2, 3)):
        times = [median(one[place] for one in costs) * 1e6 for place in (stub, ours)]
        ratio = median(one[stub] / one[ours] for one in costs)
        click.echo(f"{at_once:>14} {times[0]:>7,.0f} µs {times[1]:>11,.0f} µs {ratio:>12.2f}")


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.grpc_calls")
