"""The values as an interface: described, documented with their defaults, exercised, and in step with the server."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_manager import __version__
from model_manager.repository.manifest import BatchingEntry, ModelEntry, VersionEntry
from model_manager.settings import Settings

from tests.chart.chart import CHART, MATRIX, Helm, Refused, environment, leaves

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
README = (CHART / "README.md").read_text()
THE_CHARTS_OWN = {"models", "state", "cache", "ledger", "feedback_peers"}  # the mounted folders, a Service
UNSET = {"threads", "load_memory_mb", "admin_host", "grpc_port"}  # by limits of CPU and memory, by host; off
UNSET |= {"admin_token", "api_keys", "tls_cert", "tls_key", "tls_client_ca"}  # no Secret is there by itself
OPEN = {"global", "metadata"}  # a parent's values; metadata.json, which the server checks
OTHERWISE = {"log_format": "json", "require_digest": True}
"""Settings of which the chart's default is not the server's."""
ON_BY_DEFAULT = {
    "settings.requireDigest",
    "serviceAccount.create",
    "istio.outlierDetection.enabled",
    "istio.telemetry.accessLog.enabled",
    "monitoring.rules.builtin",
}


def camel(name: str) -> str:
    """The value that a setting has in the chart."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def nodes(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema with the property it is the value of."""
    if isinstance(schema, dict):
        if "object" in schema.get("type", ""):
            yield name, schema
        for key, child in schema.get("properties", {}).items():
            yield from nodes(child, key)
        for key in ("additionalProperties", "items"):
            yield from nodes(schema.get(key), name)


def default_of(path: str) -> Any:
    """The default of a value; None when it has none."""
    value: Any = VALUES
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def set_paths(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The paths of the schema that a file of values sets."""
    if "$ref" in schema:
        yield path
        path = schema["$ref"].removeprefix("#/").replace("properties/", "").replace("/", ".")
        target: Any = SCHEMA
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    yield path
    if isinstance(value, list) and schema.get("items"):
        for each in value:
            yield from set_paths(each, schema["items"], f"{path}[]")
    elif isinstance(value, Mapping):
        for name, child in value.items():
            if name in schema.get("properties", {}):
                yield from set_paths(child, schema["properties"][name], f"{path}.{name}" if path else name)
            elif isinstance(schema.get("additionalProperties"), Mapping):
                yield from set_paths(child, schema["additionalProperties"], f"{path}.*")


def test_every_object_of_the_schema_is_closed_and_every_field_described() -> None:
    for name, node in nodes(SCHEMA):
        if name in OPEN:
            continue
        assert node.get("additionalProperties") is False or isinstance(node["additionalProperties"], dict), name
        for field, child in node.get("properties", {}).items():
            assert "$ref" in child or child["description"].endswith((".", "…")), f"{name}.{field}"


def test_the_readme_has_a_row_for_every_value_with_its_default() -> None:
    for path, description in leaves(SCHEMA):
        if path in OPEN:
            continue
        default = "" if "*" in path else default_of(path)
        shown = "" if default is None or "*" in path else f"`{json.dumps(default, ensure_ascii=False)}`"
        row = f"| `{path}` | {shown} | {description} |"
        assert row in README, f"write this row: {row}"
    rows = re.findall(r"^\| `([^`]+)`", README.partition("## Values")[2], re.MULTILINE)
    assert sorted(rows) == sorted({path for path, _ in leaves(SCHEMA)} - OPEN)


def test_the_matrix_sets_every_value() -> None:
    files = [yaml.safe_load(file.read_text()) for file in MATRIX]
    given = {path for values in files for path in set_paths(values, SCHEMA)}
    assert {path for path, _ in leaves(SCHEMA)} - given <= OPEN


def test_the_matrix_turns_every_switch() -> None:
    for path, _ in leaves(SCHEMA):
        default = default_of(path)
        if isinstance(default, bool):
            turned = [file.name for file in MATRIX if _value(yaml.safe_load(file.read_text()), path) is (not default)]
            assert turned or path == "settings.serverTiming", path  # which a track turns


@pytest.mark.parametrize(
    "path", ["routing", "progressive", "keda.trigger", "tracing.protocol", "istio.peerAuthentication.adminMode"]
)
def test_the_matrix_takes_every_way_of_a_fork(path: str) -> None:
    node: Any = {"properties": SCHEMA["properties"]}
    for part in path.split("."):
        node = node["properties"][part]
    taken = {_value(yaml.safe_load(file.read_text()), path) for file in MATRIX} - {None}
    assert taken | {default_of(path)} == set(node["enum"])


def test_what_is_beyond_the_core_is_off() -> None:
    on = {path for path, _ in leaves(SCHEMA) if default_of(path) is True}
    assert on == ON_BY_DEFAULT
    assert VALUES["routing"] == VALUES["progressive"] == "none"


def test_the_chart_installs_the_version_it_is_released_with() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_every_setting_of_the_server_is_a_value_with_the_same_default() -> None:
    described = SCHEMA["properties"]["settings"]["properties"]
    assert set(described) == {camel(name) for name in Settings.model_fields if name not in THE_CHARTS_OWN}
    for name, field in Settings.model_fields.items():
        if name not in THE_CHARTS_OWN | UNSET:
            expected = OTHERWISE.get(name, field.default)
            assert VALUES["settings"][camel(name)] == expected


def test_the_manifest_in_values_has_the_fields_that_the_server_reads() -> None:
    model = SCHEMA["properties"]["tracks"]["additionalProperties"]["properties"]["models"]["additionalProperties"]
    version = model["properties"]["versions"]["additionalProperties"]
    assert set(model["properties"]) == set(ModelEntry.model_fields)
    assert set(version["properties"]) == set(VersionEntry.model_fields)
    assert set(model["properties"]["batching"]["properties"]) == set(BatchingEntry.model_fields)


@pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.name)
def test_the_server_accepts_the_environment_of_every_pod(
    helm4: Helm, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for deployment in helm4.template(file=file).all("Deployment"):
        variables = environment(deployment)
        assert variables.keys() <= {f"MODEL_MANAGER_{name.upper()}" for name in Settings.model_fields}
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            Settings()  # type: ignore[call-arg]


def test_what_a_track_says_wins_and_arrives_as_the_server_reads_it(
    helm4: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = helm4.template(file=CHART / "ci" / "bluegreen-values.yaml")
    for name, value in environment(render.one("Deployment", "green")).items():
        monkeypatch.setenv(name, value)
    settings = Settings()  # type: ignore[call-arg]
    assert (settings.max_body_bytes, settings.max_rows_per_request) == (134217728, 1000000)
    assert (settings.timeout_ms, settings.drain_timeout_s, settings.poll_interval_s) == (2500.5, 12.5, 0.5)
    assert (settings.lame_duck_s, settings.allowed_hosts) == (2.5, "iris.example.com,*.models.example.com")
    origins = "https://shop.example.com,https://lab.example.com:8443"
    assert (settings.cors_origins, settings.invocations_model, settings.repository_control) == (origins, "iris", True)
    assert (settings.max_connections, settings.max_receiving_bytes) == (1000, 536870912)
    assert (settings.max_header_bytes, settings.max_headers) == (16384, 50)
    assert (settings.header_timeout_s, settings.body_timeout_s, settings.write_timeout_s) == (5, 60, 60)
    assert (settings.port, settings.admin_port, settings.grpc_port, settings.host) == (9000, 9001, 9002, "::")
    assert (settings.threads, settings.workers, settings.log_requests, settings.compile) == (2, 2, 0.25, "off")
    assert (settings.server_timing, settings.records_sample) == (True, 0.5)
    assert (settings.ready_when, settings.frozen_after_s, settings.state) == ("any-model", 7.5, "/state")
    assert (settings.records, settings.records_redact) == ("https://records.example.com/events", "age,region")
    assert (settings.artifact_stores, settings.cache, settings.cache_mb) == ("s3://models/", "/cache", 2048)
    assert settings.drift_rows_per_s == 50
    assert (settings.explain_queue_rows, settings.explain_budget) == (16, 500)
    assert (settings.feedback_window_s, settings.feedback_entries) == (86400.5, 50_000)
    assert (settings.feedback_mb, settings.feedback_share) == (32, 0.25)
    assert settings.feedback_peers == "http://iris-peers.models:9001"
    assert (settings.ledger, settings.ledger_mb, settings.ledger_days) == ("", 32, 30)
    assert (settings.skops_trusted, settings.max_artifact_mb) == ("sklearn.tree._tree.Tree", 1048576)
    assert (settings.artifact_owners, settings.require_digest, settings.refuse_writable) == ("0,10001", False, True)
    assert (settings.models, settings.fetch_timeout_s) == (Path("/models"), 12.5)
    assert environment(render.one("Deployment", "volume"))["MODEL_MANAGER_MODELS"] == "/artifacts/shared"


def test_the_example_of_the_readme_renders(helm4: Helm) -> None:
    (example,) = [block for block in README.split("```yaml\n")[1:] if block.startswith("# values.yaml")]
    values = yaml.safe_load(example.partition("```")[0])
    assert helm4.template(values).one("Pod")
    with pytest.raises(Refused):
        helm4.template({**values, "traks": {}})


def test_the_example_of_progressive_delivery_renders(helm4: Helm) -> None:
    (example,) = [block for block in README.split("```yaml\n")[1:] if block.startswith("progressive:")]
    values = yaml.safe_load(example.partition("```")[0])
    assert helm4.template(values).one("Rollout")
    assert helm4.template({**values, "progressive": "flagger", "autoscaling": {"enabled": True}}).one("Canary")


def _value(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def test_the_example_of_fields_that_are_passed_on_renders(helm4: Helm) -> None:
    (example,) = [block for block in README.split("```yaml\n")[1:] if block.startswith("extraEnv:")]
    render = helm4.template(yaml.safe_load(example.partition("```")[0]))
    assert "company-authorities" in json.dumps(render.one("Deployment"))


@pytest.mark.parametrize("progressive", ["argo", "flagger"])
def test_the_way_back_from_a_controller_renders_what_was_theirs(helm: Helm, progressive: str) -> None:
    (way,) = [block for block in README.split("```sh\n")[1:] if block.startswith("kubectl patch rollout")]
    upgrade = way.partition("```")[0].partition("helm ")[2]
    sets = dict(each.split("=", 1) for each in re.findall(r"--set (\S+)", upgrade))
    file = CHART / "ci" / f"{progressive}-values.yaml"
    before, back = helm.template(file=file), helm.template(file=file, sets=sets)
    assert {"VirtualService", "DestinationRule", "Service"} <= back.kinds()
    assert not back.kinds() & {"Rollout", "AnalysisTemplate", "Canary", "MetricTemplate"}
    (deployment,) = re.findall(r"kubectl scale deployment (\S+)", way)
    assert deployment == before.one("Deployment")["metadata"]["name"] == back.one("Deployment")["metadata"]["name"]
    owner = before.one("Rollout" if progressive == "argo" else "Canary")["metadata"]["name"]
    assert f"kubectl {'patch rollout' if progressive == 'argo' else 'delete canary'} {owner} " in way
