"""Reads the chart's VirtualService as Envoy's routes: weights, pins, timeout, retries, mirror, and nothing else.

Not a control plane: whatever the chart starts to render beyond these fields is refused here, so that no measurement
passes over a field that it does not know. From DestinationRule only the subsets are read; how connections are pooled
and pods ejected is no matter of the split.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

ROUTES: Final = "mesh"
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class NotUnderstood(Exception):
    """A rendered resource says something that is not read here. The text names the field."""


def _seconds(text: object) -> float:
    match = re.fullmatch(r"(\d+)(ms|s|m|h)", str(text))
    if match is None:
        raise ValueError(f"no duration such as 500ms or 6s: {text!r}")
    return int(match[1]) * _UNITS[match[2]]


Seconds = Annotated[float, BeforeValidator(_seconds)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=False)


class Destination(_Closed):
    """A subset of the host, which is a track of the chart."""

    host: str
    subset: str


class Share(_Closed):
    """A destination and its percent of the route's requests; a route with one destination says no weight."""

    destination: Destination
    weight: Annotated[int, Field(ge=0, le=100)] = 100


class Text(_Closed):
    """What a header must be, to the letter or by an expression that matches all of it."""

    exact: str | None = None
    regex: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.exact is None) == (self.regex is None):
            raise ValueError("give one of exact and regex")
        return self


class Match(_Closed):
    """The headers that pin a request, all of them."""

    headers: Annotated[dict[str, Text], Field(min_length=1)]


class Retries(_Closed):
    """How often another pod is asked, and for what."""

    attempts: int
    retry_on: str = ""
    per_try_timeout: Seconds | None = None


class Percent(_Closed):
    """A share of requests, fractions allowed."""

    value: Annotated[float, Field(ge=0, le=100)]


class Route(_Closed):
    """One route; the first whose `match` fits, or that has none, takes the request."""

    name: str
    match: Annotated[list[Match], Field(min_length=1, max_length=1)] | None = None
    route: Annotated[list[Share], Field(min_length=1)]
    timeout: Seconds
    retries: Retries
    mirror: Destination | None = None
    mirror_percentage: Percent = Percent(value=100)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = sum(share.weight for share in self.route)
        if total != 100:
            raise ValueError(f"the weights add up to {total}, not 100")
        return self

    @property
    def weights(self) -> dict[str, int]:
        """The percent of every track."""
        return {share.destination.subset: share.weight for share in self.route}


class Routing(_Closed):
    """The spec of a VirtualService. `gateways` only says which proxies hold it; here there is one."""

    hosts: Annotated[list[str], Field(min_length=1)]
    gateways: list[str]
    http: Annotated[list[Route], Field(min_length=1)]


class _Subset(_Closed):
    name: str
    labels: dict[str, str]


class _Subsets(_Closed):
    host: str
    traffic_policy: object = None
    subsets: list[_Subset]


def read_routing(documents: Sequence[Mapping[str, Any]]) -> Routing:
    """Read the one VirtualService of a rendering, held against its DestinationRule. Raises NotUnderstood."""
    routing = _spec(documents, "VirtualService", Routing)
    rule = _spec(documents, "DestinationRule", _Subsets)
    subsets = {(rule.host, subset.name) for subset in rule.subsets}
    for route in routing.http:
        for target in [*(share.destination for share in route.route), *([route.mirror] if route.mirror else [])]:
            if (target.host, target.subset) not in subsets:
                raise NotUnderstood(f"VirtualService: route {route.name} leads to {target}, no DestinationRule has it")
    return routing


def read_subsets(documents: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The pod labels that select each track, from the DestinationRule. Raises NotUnderstood."""
    return {subset.name: subset.labels for subset in _spec(documents, "DestinationRule", _Subsets).subsets}


def route_configuration(routing: Routing) -> dict[str, Any]:
    """Envoy's RouteConfiguration of the name ROUTES; each track is a cluster of its name."""
    host = {"name": ROUTES, "domains": routing.hosts, "routes": [_route(route) for route in routing.http]}
    return {"name": ROUTES, "ignore_port_in_host_matching": True, "virtual_hosts": [host]}


_Spec = TypeVar("_Spec", Routing, _Subsets)


def _spec(documents: Sequence[Mapping[str, Any]], kind: str, form: type[_Spec]) -> _Spec:
    specs = [document["spec"] for document in documents if document["kind"] == kind]
    if len(specs) != 1:
        raise NotUnderstood(f"{len(specs)} documents of kind {kind}, not one")
    try:
        return form.model_validate(specs[0])
    except ValidationError as error:
        said = [f"spec.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise NotUnderstood(f"{kind}: {'; '.join(said)}") from None


def _route(route: Route) -> dict[str, Any]:
    headers = [_header(name, text) for match in route.match or [] for name, text in match.headers.items()]
    clusters = [{"name": track, "weight": weight} for track, weight in route.weights.items()]
    action: dict[str, Any] = {"weighted_clusters": {"clusters": clusters}, "timeout": f"{route.timeout:g}s"}
    if route.retries.attempts > 0:
        action["retry_policy"] = _retry_policy(route.retries)
    if route.mirror is not None:
        millionths = round(route.mirror_percentage.value * 10_000)
        share = {"default_value": {"numerator": millionths, "denominator": "MILLION"}}
        action["request_mirror_policies"] = [{"cluster": route.mirror.subset, "runtime_fraction": share}]
    return {"name": route.name, "match": {"prefix": "/", "headers": headers}, "route": action}


def _header(name: str, text: Text) -> dict[str, Any]:
    wanted = {"exact": text.exact} if text.exact is not None else {"safe_regex": {"regex": text.regex}}
    return {"name": name, "string_match": wanted}


def _retry_policy(retries: Retries) -> dict[str, Any]:
    """As Istio's control plane writes it: a retry prefers a pod that was not asked yet."""
    previous = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    policy: dict[str, Any] = {
        "retry_on": retries.retry_on,
        "num_retries": retries.attempts,
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": previous}}
        ],
        "host_selection_retry_max_attempts": "5",
    }
    if retries.per_try_timeout is not None:
        policy["per_try_timeout"] = f"{retries.per_try_timeout:g}s"
    return policy
