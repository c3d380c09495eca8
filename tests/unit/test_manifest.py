"""models.yaml: what it says, and how each mistake is answered: with the line, the key and what to do."""

import json
import re
import textwrap

import pytest
from model_manager.errors import ManifestInvalid
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.metadata import parse_metadata

SHA = "0123456789abcdef" * 4

WHOLE = f"""
models:
  iris:
    default: "1"
    versions:
      "1": {{artifact: iris-1.joblib, sha256: {SHA}}}
      "2":
        artifact: s3://models/iris/2/model.joblib
        sha256: {SHA}
        metadata:
          created: 2026-11-02T10:00:00Z
          framework: {{version: "1.6"}}
    batching: {{max_rows: 64, max_queue_rows: 128, max_delay_ms: 1}}
    timeout_ms: 250
    isolation: process
  wine:
    versions:
      "9": {{artifact: /mnt/wine/9/model.joblib}}
      "10": {{artifact: file:///mnt/wine/10/model.joblib}}
"""


def manifest(text: str) -> bytes:
    return textwrap.dedent(text).strip().encode()


def refused(text: str | bytes) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(text if isinstance(text, bytes) else manifest(text))
    return str(caught.value)


def test_a_whole_manifest_is_read() -> None:
    models = parse_manifest(WHOLE.encode()).models
    iris, wine = models["iris"], models["wine"]
    assert list(iris.versions) == ["1", "2"]
    assert iris.versions["1"].artifact == "iris-1.joblib"
    assert iris.versions["1"].declared_sha256 == SHA
    assert iris.batching is not None
    assert (iris.batching.max_rows, iris.batching.max_queue_rows, iris.batching.max_delay_ms) == (64, 128, 1.0)
    assert iris.timeout_ms == 250.0
    assert (iris.isolation, wine.isolation) == ("process", None)
    assert wine.batching is None
    assert wine.timeout_ms is None


def test_the_default_is_the_declared_version_or_the_newest() -> None:
    models = parse_manifest(WHOLE.encode()).models
    assert models["iris"].default_version == "1"
    assert models["wine"].default_version == "10"


def test_without_a_default_the_version_with_the_most_traffic_stands_in_for_others() -> None:
    text = "models: {a: {versions: {'1': {artifact: x}, '2': {artifact: x}}, traffic: {'1': %d, '2': %d}}}"
    for weights, default in (((90, 10), "1"), ((50, 50), "2"), ((0, 100), "2")):
        assert parse_manifest((text % weights).encode()).models["a"].default_version == default


def test_an_explicitly_empty_manifest_is_valid_and_wants_nothing() -> None:
    assert parse_manifest(b"models: {}").models == {}


def test_a_byte_order_mark_and_windows_line_ends_are_let_through() -> None:
    assert parse_manifest(b"\xef\xbb\xbfmodels:\r\n  {}\r\n").models == {}


def test_keys_left_empty_mean_their_default() -> None:
    entry = parse_manifest(b"models: {a: {default: , batching: , timeout_ms: , versions: {'1': {artifact: x}}}}")
    assert entry.models["a"].default_version == "1"


def test_anchors_may_be_shared_between_models() -> None:
    text = """
        models:
          a: {versions: {"1": {artifact: a}}, batching: &few {max_rows: 2}}
          b: {versions: {"1": {artifact: b}}, batching: *few}
        """
    assert parse_manifest(manifest(text)).models["b"].batching == parse_manifest(manifest(text)).models["a"].batching


def test_inline_metadata_is_the_same_bytes_however_it_was_written() -> None:
    flow = "models: {a: {versions: {'1': {artifact: x, metadata: {python: '3.11', name: a}}}}}"
    block = """
        models:
          a:
            versions:
              "1":
                metadata:
                  name: "a"
                  python: "3.11"
                artifact: x
        """
    one, other = (parse_manifest(manifest(text)).models["a"].versions["1"].metadata_json for text in (flow, block))
    assert one == other == b'{"name":"a","python":"3.11"}'


def test_inline_metadata_reads_back_as_it_was_meant() -> None:
    text = """
        models:
          a:
            versions:
              "1":
                artifact: x
                metadata:
                  created: 2026-11-02T10:00:00Z
                  inputs: [{name: age, datatype: FP64, categories: [1, 2.5, true, "x"]}]
                  golden: {instances: [[.nan, null]], outputs: {predict: [1]}}
                  evaluation: {dataset: d, rows: 1, metrics: {r2: .nan}}
        """
    version = parse_manifest(manifest(text)).models["a"].versions["1"]
    assert version.metadata_json is not None
    back = parse_metadata(version.metadata_json)
    assert back.inputs == version.metadata.inputs  # type: ignore[union-attr]
    assert back.created == version.metadata.created  # type: ignore[union-attr]
    assert back.evaluation is not None
    assert back.evaluation.metrics["r2"] != back.evaluation.metrics["r2"]
    assert json.loads(version.metadata_json)["golden"]["outputs"] == {"predict": [1]}


def test_the_digest_may_be_declared_by_inline_metadata_alone() -> None:
    text = f"""
        models:
          a:
            versions:
              "1":
                artifact: s3://x
                metadata: {{artifact: {{file: x, sha256: {SHA}, bytes: 1}}}}
        """
    assert parse_manifest(manifest(text)).models["a"].versions["1"].declared_sha256 == SHA


MISTAKES = {
    "a misspelt key is named, with the one that was meant": (
        """
        models:
          iris:
            defualt: "1"
            versions:
              "1": {artifact: x}
        """,
        "models.yaml line 3: models.iris.defualt: unknown key (did you mean 'default'?)",
    ),
    "a key like no other is answered with those that are known": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {zzz: 1}}}",
        "models.yaml line 1: models.a.batching.zzz: unknown key (known: max_rows, max_queue_rows, max_delay_ms)",
    ),
    "an unknown key at the top": ("model: {}", "model: unknown key (did you mean 'models'?) (and 1 more)"),
    "an unknown key of a version": (
        "models: {a: {versions: {'1': {artifact: x, sha: y}}}}",
        "models.a.versions.1.sha: unknown key (did you mean 'sha256'?)",
    ),
    "an unknown key of the metadata": (
        "models: {a: {versions: {'1': {artifact: x, metadata: {input: []}}}}}",
        "metadata.input: unknown key (did you mean 'inputs'?)",
    ),
    "an unknown key deep in the metadata": (
        "models: {a: {versions: {'1': {artifact: x, metadata: {framework: {version: '1', v: 2}}}}}}",
        "metadata.framework.v: unknown key",
    ),
    "a default that is not listed": (
        """
        models:
          iris:
            versions:
              "1": {artifact: x}
              "10": {artifact: x}
              "9": {artifact: x}
            default: "2"
        """,
        "models.yaml line 7: models.iris.default: '2' is not among the versions (1, 9, 10)",
    ),
    "weights that do not add up": (
        """
        models:
          iris:
            versions: {"1": {artifact: x}, "2": {artifact: x}}
            traffic:
              "1": 90
              "2": 5
        """,
        "models.yaml line 4: models.iris.traffic: the weights are percent and add up to 95, not to 100",
    ),
    "a label of a version that is not listed": (
        "models: {a: {versions: {'1': {artifact: x}}, labels: {champion: '2'}}}",
        "models.a.labels.champion: '2' is not among the versions (1)",
    ),
    "a label that is the name of a version": (
        "models: {a: {versions: {'1': {artifact: x}, '2': {artifact: x}}, labels: {'1': '2'}}}",
        "models.a.labels.1: is the name of a version: a label needs one of its own",
    ),
    "a label that no path can hold": (
        "models: {a: {versions: {'1': {artifact: x}}, labels: {a b: '1'}}}",
        "models.a.labels.a b: is not a name",
    ),
    "traffic for a version that is not listed": (
        """
        models:
          iris:
            versions: {"1": {artifact: x}, "2": {artifact: x}}
            traffic:
              "1": 90
              "3": 10
        """,
        "models.yaml line 6: models.iris.traffic.3: '3' is not among the versions (1, 2)",
    ),
    "a weight that is no whole number": (
        "models: {a: {versions: {'1': {artifact: x}}, traffic: {'1': 99.5}}}",
        "models.a.traffic.1: must be a valid integer",
    ),
    "a weight in quotes": (
        "models: {a: {versions: {'1': {artifact: x}}, traffic: {'1': '100'}}}",
        "models.a.traffic.1: must be a valid integer",
    ),
    "a weight below zero": (
        "models: {a: {versions: {'1': {artifact: x}, '2': {artifact: x}}, traffic: {'1': 110, '2': -10}}}",
        "models.a.traffic.1: must be less than or equal to 100",
    ),
    "traffic for an unquoted version": (
        "models: {a: {versions: {'1': {artifact: x}}, traffic: {1: 100}}}",
        'models.a.traffic: the key 1 is a number to YAML, not text: write "1" in quotes',
    ),
    "traffic for nobody": (
        "models: {a: {versions: {'1': {artifact: x}}, traffic: {}}}",
        "models.a.traffic: must hold at least one",
    ),
    "a shadow that is not listed": (
        "models: {a: {versions: {'1': {artifact: x}}, shadow: '3'}}",
        "models.a.shadow: '3' is not among the versions (1)",
    ),
    "a sticky header that is none": (
        "models: {a: {versions: {'1': {artifact: x}}, sticky: 'x-user-id: ada'}}",
        "models.a.sticky: 'x-user-id: ada' is not the name of a header, such as x-user-id",
    ),
    "an unquoted default": (
        "models: {a: {default: 1, versions: {'1': {artifact: x}}}}",
        'models.a.default: must be text: write "1" in quotes',
    ),
    "an unquoted library version": (
        "models: {a: {versions: {'1': {artifact: x, metadata: {framework: {version: 1.6}}}}}}",
        'metadata.framework.version: must be text: write "1.6" in quotes',
    ),
    "a default that is a list": (
        "models: {a: {default: ['1'], versions: {'1': {artifact: x}}}}",
        "models.a.default: must be a valid string",
    ),
    "a name that starts with a dot": ("models: {.iris: {}}", 'models.".iris": is not a name'),
    "a version with a slash": ("models: {a: {versions: {a/b: {artifact: x}}}}", "models.a.versions.a/b: is not a name"),
    "a model without versions": ("models: {a: {}}", "models.a.versions: is required"),
    "a model with no version": ("models: {a: {versions: {}}}", "models.a.versions: must hold at least one"),
    "a version without an artifact": (
        "models: {a: {versions: {'1.2': {}}}}",
        'models.a.versions."1.2".artifact: is required',
    ),
    "a version that is only a path": (
        "models: {a: {versions: {'1': iris.joblib}}}",
        "models.a.versions.1: must be a mapping of keys",
    ),
    "models that are a list": ("models: [a]", "models: must be a mapping of keys"),
    "models that are nothing": ("models:", "models: must be a mapping of keys"),
    "a manifest that is a list": ("- a", "models.yaml line 1: must be a mapping of keys"),
    "a digest that is none": (
        "models:\n  a:\n    versions:\n      '1':\n        artifact: x\n        sha256: ABC",
        "models.yaml line 6: models.a.versions.1.sha256: must be 64 lower-case hex digits (sha256sum prints them)",
    ),
    "two digests that differ": (
        f"""
        models:
          a:
            versions:
              "1":
                artifact: x
                sha256: {SHA}
                metadata:
                  artifact: {{file: x, bytes: 1, sha256: {"f" * 64}}}
        """,
        "line 8: models.a.versions.1.metadata.artifact.sha256: differs from the version's own sha256",
    ),
    "a remote artifact without a digest": (
        "models: {a: {versions: {'1': {artifact: 's3://b/x'}}}}",
        "models.a.versions.1.artifact: a remote artifact needs a sha256 beside it",
    ),
    "an artifact outside of the folder": (
        "models: {a: {versions: {'1': {artifact: ../x}}}}",
        "models.a.versions.1.artifact: leaves the models folder with '..': give an absolute path instead",
    ),
    "a file on another host": (
        "models: {a: {versions: {'1': {artifact: 'file://h/x'}}}}",
        "models.a.versions.1.artifact: a file URI has no host",
    ),
    "no rows in a batch": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {max_rows: 0}}}",
        "models.a.batching.max_rows: must be greater than or equal to 1",
    ),
    "rows that are a text": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {max_queue_rows: '7'}}}",
        "models.a.batching.max_queue_rows: must be a valid integer",
    ),
    "a negative delay": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {max_delay_ms: -1}}}",
        "models.a.batching.max_delay_ms: must be greater than or equal to 0",
    ),
    "an endless delay": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {max_delay_ms: 1.0e+300}}}",
        "models.a.batching.max_delay_ms: must be less than or equal to 60000",
    ),
    "more rows than any memory holds": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {max_queue_rows: 1000000000000}}}",
        "models.a.batching.max_queue_rows: must be less than or equal to 10000000",
    ),
    "a batch without end": (
        "models: {a: {versions: {'1': {artifact: x}}, batching: {max_rows: 1000000000000}}}",
        "models.a.batching.max_rows: must be less than or equal to 1000000",
    ),
    "more time than a day": (
        "models: {a: {versions: {'1': {artifact: x}}, timeout_ms: 1.0e+300}}",
        "models.a.timeout_ms: must be less than or equal to 86400000",
    ),
    "no time at all": (
        "models: {a: {versions: {'1': {artifact: x}}, timeout_ms: 0}}",
        "models.a.timeout_ms: must be greater than 0",
    ),
    "endless time": (
        "models: {a: {versions: {'1': {artifact: x}}, timeout_ms: .inf}}",
        "models.a.timeout_ms: must be a finite number",
    ),
    "a wrong datatype in the metadata": (
        "models: {a: {versions: {'1': {artifact: x, metadata: {inputs: [{name: n, datatype: FP9}]}}}}}",
        "models.a.versions.1.metadata.inputs.0.datatype: must be 'BOOL', 'INT8'",
    ),
    "an input without a name": (
        "models: {a: {versions: {'1': {artifact: x, metadata: {inputs: [{datatype: FP32}]}}}}}",
        "models.a.versions.1.metadata.inputs.0.name: is required",
    ),
    "several mistakes: the first by line, and how many more": (
        "models:\n  b:\n    versions: {}\n  a:\n    timeout_ms: 0\n    versions: {}",
        "models.yaml line 3: models.b.versions: must hold at least one (and 2 more)",
    ),
    "an empty file": ("", "models.yaml line 1: empty; write 'models: {}' to unload every model"),
    "a file of comments": ("# nothing yet", "models.yaml line 1: empty"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_answered_with_line_key_and_cure(text: str, message: str) -> None:
    answer = refused(text)
    assert message in answer
    assert re.match(r"models\.yaml line \d+: ", answer)


def test_errors_call_the_file_by_the_name_given() -> None:
    with pytest.raises(ManifestInvalid, match=r"^live\.yaml line 1: "):
        parse_manifest(b"", "live.yaml")


def test_any_single_misspelling_of_a_whole_manifest_is_found_on_its_line() -> None:
    lines = WHOLE.splitlines()
    for number, line in enumerate(lines, start=1):
        key = re.match(r" +([a-z_]+[0-9]*):", line)
        if key is None or key[1] in ("iris", "wine"):
            continue
        misspelt = [*lines[: number - 1], line.replace(key[1], key[1] + "x", 1), *lines[number:]]
        answer = refused("\n".join(misspelt).encode())
        assert answer.startswith(f"models.yaml line {number}: ")
        assert f"{key[1]}x: unknown key (did you mean '{key[1]}'?)" in answer
