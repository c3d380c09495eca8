"""Users of a model server, for Locust: each kind sends one kind of request and checks every answer.

Usually started by loadtests.headless. By hand, from the project's root, which Locust then finds our modules in:
locust -f loadtests/locustfile.py --repository build/models --host …
"""

import json
import random
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from locust import FastHttpUser, LoadTestShape, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtests.checks import Seen, broken_limits, limits_from
from loadtests.shapes import SHAPES
from loadtests.timeline import Timeline
from tools.payloads import Package, Request, defaults, difference, draw, read_packages, several_versions

REQUESTS_PER_USER = 10
"""A second; a user who waits longer for an answer than that sends fewer."""
SMALL_BATCH = 16


class ModelUser(FastHttpUser):
    """What all users share: a steady pace, and answers that are held against the golden ones."""

    abstract = True
    wait_time = constant_throughput(REQUESTS_PER_USER)
    network_timeout = 10.0
    connection_timeout = 5.0

    def on_start(self) -> None:
        """Begin at a moment of one's own: users come in groups, and would send in step for ever."""
        time.sleep(random.random() / REQUESTS_PER_USER)

    @property
    def packages(self) -> tuple[Package, ...]:
        """What is served."""
        return read_packages(_options(self.environment).repository)

    def predict(self, request: Request, *, route: str) -> None:
        """Send a request; another answer than the expected one is a failure of its route."""
        headers = {"content-type": "application/json"}
        with self.client.post(
            request.path, data=request.body, headers=headers, name=route, catch_response=True
        ) as response:
            if response.status_code == 200:
                problem = difference(request, response.headers.get("x-model-version"), response.content or b"")
                if problem:
                    response.failure(problem)


class SingleRow(ModelUser):
    """Most traffic: one row, an array of numbers, to the default version of any model that takes such."""

    weight = 6

    @task
    def one_row(self) -> None:
        """Ask for one row."""
        package = _any([one for one in defaults(self.packages) if not one.by_name])
        self.predict(draw(package, rows=1), route=f"{package.model}: one row")


class SmallBatch(ModelUser):
    """A few rows at once."""

    weight = 2

    @task
    def some_rows(self) -> None:
        """Ask for a small batch."""
        package = _any(defaults(self.packages))
        self.predict(draw(package, rows=SMALL_BATCH), route=f"{package.model}: {SMALL_BATCH} rows")


class NamedColumns(ModelUser):
    """Rows as objects keyed by column, strings and gaps among them."""

    weight = 2

    @task
    def by_name(self) -> None:
        """Ask a model that was trained on a table."""
        package = _any([one for one in defaults(self.packages) if one.by_name])
        self.predict(draw(package, rows=1), route=f"{package.model}: one row by column names")


class PinnedVersion(ModelUser):
    """Names the version it wants, and must be answered by that one."""

    weight = 1

    @task
    def pinned(self) -> None:
        """Ask an old or a new version of a model that has several."""
        package = _any(several_versions(self.packages))
        self.predict(draw(package, rows=1, pinned=True), route=f"{package.model}: pinned to {package.version}")


class Course(LoadTestShape):
    """The shape that --shape names."""

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate for now."""
        assert self.runner is not None
        options = _options(self.runner.environment)
        second: float = self.get_run_time()  # type: ignore[no-untyped-call]
        return SHAPES[options.shape].users_at(second, stretch=options.stretch)


def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, required=True, help="The packages that are served.")
    parser.add_argument("--shape", choices=list(SHAPES), default="ramp", help="The course of load.")
    parser.add_argument("--stretch", type=float, default=1.0, help="Multiplies the length of every stage.")
    parser.add_argument("--report", type=Path, help="Where to write what was seen, as JSON.")
    for name in ("p95-ms", "p99-ms", "fail-ratio", "min-rate"):
        parser.add_argument(f"--{name}", type=float, help="A limit in place of the shape's own.")


def _watch(environment: Environment, **_: Any) -> None:
    """Keep a timeline while requests end, and judge the run when it is over."""
    timeline = Timeline()

    def record(response_time: float, exception: object, start_time: float, **_: Any) -> None:
        began = environment.stats.start_time or start_time
        moment = start_time + response_time / 1000 - began
        users = environment.runner.user_count if environment.runner is not None else 0
        timeline.record(moment, response_time, failed=exception is not None, users=users)

    def judge(**_: Any) -> None:
        options = _options(environment)
        seen = _seen(environment)
        limits = limits_from(SHAPES[options.shape].limits, vars(options))
        broken = broken_limits(seen, limits)
        environment.process_exit_code = 1 if broken else 0
        if options.report is not None:
            report = {"shape": options.shape, "stretch": options.stretch, "seen": asdict(seen), "rate": seen.rate}
            report |= {"limits": asdict(limits), "broken": broken, "routes": _routes(environment)}
            report["seconds"] = [asdict(second) for second in timeline.seconds()]
            options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

    environment.events.request.add_listener(record)
    environment.events.quitting.add_listener(judge)


def _seen(environment: Environment) -> Seen:
    total = environment.stats.total
    answered = total.num_requests > 0
    return Seen(
        requests=total.num_requests,
        failures=total.num_failures,
        seconds=max(0.0, (total.last_request_timestamp or 0.0) - total.start_time),
        p95_ms=total.get_response_time_percentile(0.95) if answered else None,
        p99_ms=total.get_response_time_percentile(0.99) if answered else None,
    )


def _routes(environment: Environment) -> list[dict[str, Any]]:
    return [
        {
            "route": name,
            "requests": entry.num_requests,
            "failures": entry.num_failures,
            "p50_ms": entry.get_response_time_percentile(0.5),
            "p95_ms": entry.get_response_time_percentile(0.95),
            "p99_ms": entry.get_response_time_percentile(0.99),
        }
        for (name, _), entry in sorted(environment.stats.entries.items())
    ]


def _options(environment: Environment) -> Namespace:
    options = environment.parsed_options
    assert isinstance(options, Namespace)
    return options


def _any(packages: Sequence[Package]) -> Package:
    return random.choice(packages)


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_watch)
