"""The measurements that have a command of their own: each runs whole, as short as it can be."""

import re

import pytest
from click import Command
from click.testing import CliRunner

from loadtests.benchmark import grpc_calls, sharing, workers
from tools.parts import program_of_debian

SAID = {
    grpc_calls.main: (["--rounds", "1"], r"16 +[\d,]+ µs +[\d,]+ µs +\d\.\d\d"),
    sharing.main: (["--models", "1", "--mb", "1", "--workers", "2", "--json"], r'"ratio": -?\d+\.\d+'),
    workers.main: (["--rounds", "1", "--seconds", "1"], r"2 workers on as many processors answer \d\.\d\d times"),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", SAID, ids=["grpc calls", "sharing", "workers"])
def test_a_measurement_runs_and_says_what_it_found(command: Command) -> None:
    program_of_debian("wrk", "wrk")
    arguments, said = SAID[command]
    ran = CliRunner().invoke(command, arguments)
    assert ran.exit_code == 0, ran.output
    assert re.search(said, ran.output)
