"""`model-manager rollout`: move the traffic of a model to another version by steps, or back, by what canary says.

In the flow: cli → **rollout** → places (the manifest), evidence and comparison (the verdict), stepping (what follows).
"""

import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import click

from model_manager.commands.canary_options import limits_options, seconds, where_options
from model_manager.commands.terminal import fail, json_option, print_json, working
from model_manager.errors import ConfigurationError, QueryFailed

if TYPE_CHECKING:
    from model_manager.commands.rollout_places import Place
    from model_manager.rollout.comparison import Comparison
    from model_manager.rollout.stepping import Outcome, Plan

_EPILOG = """\b
Exit codes:
  0  the last step was reached
  1  the new version is worse: its traffic was given back
  2  wrong usage, it could not be done, somebody else changed the weights, or interrupted
  3  too few requests to tell: the weights stay as they are

\b
Examples:
  model-manager rollout models.yaml iris 2 --steps 5,25,50,100 --interval 10m
  model-manager rollout configmap/models iris 2 --namespace models --prometheus http://prometheus:9090

The manifest's `traffic` says how far a rollout is: the same command goes on where one was interrupted. A step is held
for the interval, looked at every 30 seconds, and left when the new version is no worse; when it is worse, the stable
version gets its traffic back at once. To change a ConfigMap, kubectl is asked.
"""


def _steps(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        steps = tuple(int(part) for part in value.split(","))
    except ValueError:
        steps = ()
    if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1 or steps[-1] > 100:
        raise click.BadParameter(f"{value!r} is no list of rising percents such as 5,25,50,100")
    return steps


@click.command(epilog=_EPILOG)
@click.argument("manifest", metavar="MODELS.yaml|configmap/NAME")
@click.argument("model")
@click.argument("version")
@click.option(
    "--steps", default="5,25,50,100", show_default=True, metavar="PERCENTS", callback=_steps, help="Weights to walk."
)
@click.option(
    "--interval",
    "interval_s",
    default="10m",
    show_default=True,
    metavar="TIME",
    callback=seconds,
    help="How long a step is held, and how far back it is judged.",
)
@click.option(
    "--patience",
    "patience_s",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=seconds,
    help="How much longer a step is held while there are too few requests to tell.",
)
@click.option("--stable", metavar="VERSION", help="The version to compare with.  [default: the one with most traffic]")
@where_options
@limits_options
@json_option
def rollout(
    manifest: str,
    model: str,
    version: str,
    steps: tuple[int, ...],
    interval_s: int,
    patience_s: int,
    stable: str | None,
    url: str,
    namespace: str | None,
    matchers: tuple[str, ...],
    as_json: bool,
    **limits: float,
) -> None:
    """Move the traffic of MODEL to VERSION step by step, as long as it is no worse, or back."""
    from model_manager.commands.rollout_places import WeightsOf, place_of
    from model_manager.rollout.comparison import Limits
    from model_manager.rollout.judging import Judge
    from model_manager.rollout.prometheus import Prometheus, quoted
    from model_manager.rollout.stepping import EXIT_CODES, Plan, walk

    if namespace is not None:
        matchers = (f"namespace={quoted(namespace)}", *matchers)
    diary = _Diary(model, version, quiet=as_json)
    try:
        place = place_of(manifest, namespace)
        plan = Plan(_stable(place, model, version, stable), version, steps, interval_s, patience_s)
        prometheus = Prometheus(url)
        with working(f"asking {url}"):  # whose imports are done with, too, before anything is changed
            prometheus.now()
        judge = Judge(prometheus, model, plan.stable, version, matchers, interval_s, Limits(**limits))  # type: ignore[arg-type]
        weights = WeightsOf(place, model)

        def wait(pause_s: float) -> None:
            with working(f"{model}/{version} has {weights.read().get(version, 0)}%"):
                time.sleep(pause_s)

        outcome = walk(plan, weights, compare=judge.compare, wait=wait, entered=diary.entered, left=diary.left)
    except (ConfigurationError, QueryFailed) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; the weights stay as they are: run the same command to go on")
    except Exception:  # Python would exit with 1, which says: it is worse
        traceback.print_exc()
        sys.exit(2)
    diary.end(plan, outcome, EXIT_CODES[outcome])
    sys.exit(EXIT_CODES[outcome])


def _stable(place: "Place", model: str, version: str, stable: str | None) -> str:
    """The version to start from: the one that is named, or that has the most traffic. Raises ConfigurationError."""
    from model_manager.manifests.traffic_editing import entry_of, weights_of

    entry = entry_of(place.read(), model, place.name)
    others = {name: weight for name, weight in weights_of(entry).items() if name != version}
    chosen = stable if stable is not None else max(others, key=others.__getitem__, default=version)
    for one in (version, chosen):
        if one not in entry.versions:
            listed = ", ".join(entry.versions)
            raise ConfigurationError(f"{place.name} lists no version {one!r} of {model}, only {listed}: add it first")
    if chosen == version:
        raise ConfigurationError(
            f"{place.name}: {version} answers for {model} already, and no other version does; make the one to start "
            "from its default"
        )
    return chosen


class _Diary:
    """Tells people of each step as it comes, and machines of all of them at the end."""

    def __init__(self, model: str, version: str, *, quiet: bool) -> None:
        self._id = f"{model}/{version}"
        self._quiet = quiet
        self._steps: list[dict[str, Any]] = []

    def entered(self, percent: int) -> None:
        self._say(f"{self._id} gets {percent}% of the traffic")

    def left(self, percent: int, comparison: "Comparison | None") -> None:
        if comparison is None:
            self._steps.append({"percent": percent, "verdict": None, "checks": []})
            self._say("  Prometheus gave no answer")
            return
        checks = [{"name": check.name, "outcome": check.outcome, "why": check.why} for check in comparison.checks]
        self._steps.append(
            {
                "percent": percent,
                "verdict": comparison.verdict,
                "requests": {side.name: side.faultless for side in (comparison.stable, comparison.canary)},
                "checks": checks,
            }
        )
        said = [check for check in checks if check["outcome"] in ("worse", "unknown")] or checks
        self._say(f"  {comparison.verdict}: " + "; ".join(dict.fromkeys(str(check["why"]) for check in said)))

    def end(self, plan: "Plan", outcome: "Outcome", code: int) -> None:
        ends = {
            "done": f"Done. {self._id} may be the default now, and the traffic entry go.",
            "worse": f"Rolled back: {plan.stable} has the traffic of {self._id} again.",
            "cannot tell": "Too little is known to go on; the weights stay as they are. Run the same command to go on.",
            "changed": "Somebody else changed the weights meanwhile; they are left as they are.",
        }
        if self._quiet:
            print_json({"outcome": outcome, "exit_code": code, "stable": plan.stable, "steps": self._steps})
        else:
            click.echo(ends[outcome])

    def _say(self, line: str) -> None:
        click.echo(line, err=self._quiet)
