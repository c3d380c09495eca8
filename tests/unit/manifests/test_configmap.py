"""`configmap`: what Kubernetes takes, counts and refuses, and that what comes out is what went in."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from model_manager.manifests.configmap_yaml import as_json, as_yaml
from model_manager.manifests.configmaps import MOST_BYTES, ConfigMap
from model_manager.manifests.packages_named import Named, keys_of
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.metadata import parse_metadata
from model_manager.repository.wanted import ServableId

from tests.unit.manifests.staging import package, refusal, run
from tests.unit.test_signing import write_key
from tools import parts

OLDEST, NEWEST = "1.30", "1.37"


def printed(*arguments: object) -> list[dict[str, Any]]:
    """The ConfigMaps that the command prints, which the oldest and the newest Kubernetes take."""
    result = run("configmap", *arguments)
    assert result.exit_code == 0, result.stderr
    documents = list(yaml.load_all(result.stdout, Loader=yaml.CSafeLoader))
    for document in documents:
        for version in (OLDEST, NEWEST):
            parts.module("kubernetes_validate").validate(document, version, strict=True)
        assert size(document) <= MOST_BYTES
    return documents


def size(document: dict[str, Any]) -> int:
    """The size of a ConfigMap as Kubernetes counts it (ValidateConfigMap)."""
    return sum(map(len, files(document).values()))


def files(document: dict[str, Any]) -> dict[str, bytes]:
    """What a pod sees of a ConfigMap."""
    binary = {key: base64.b64decode(value, validate=True) for key, value in document.get("binaryData", {}).items()}
    return {key: value.encode() for key, value in document.get("data", {}).items()} | binary


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two versions of iris, and wine 10, which is newer than 9."""
    package(
        tmp_path / "repo", "iris", "1", b"\0one", evaluation={"dataset": "é: x", "rows": 1, "metrics": {"r2": 1e-05}}
    )
    package(tmp_path / "repo", "iris", "2", b"\0two")
    (tmp_path / "repo" / "iris" / "2" / "model.sig").write_bytes(b"{}")
    for version in ("9", "10"):
        package(tmp_path / "repo", "wine", version, version.encode())
    return tmp_path / "repo"


def test_one_config_map_holds_the_manifest_and_every_file(repository: Path) -> None:
    (document,) = printed("models", repository / "iris", repository / "wine" / "10", "--by", "ann")
    seen = files(document)
    models = parse_manifest(seen["models.yaml"]).models
    assert {name: (entry.default, list(entry.versions)) for name, entry in models.items()} == {
        "iris": ("2", ["1", "2"]),
        "wine": ("10", ["10"]),
    }
    for model, entry in models.items():
        for version, said in entry.versions.items():
            folder = repository / model / version
            assert seen[said.artifact] == (folder / "model.joblib").read_bytes()
            assert said.sha256 == hashlib.sha256(seen[said.artifact]).hexdigest()
            assert seen[f"{model}-{version}.metadata.json"] == (folder / "metadata.json").read_bytes()
    assert seen["iris-2.sig"] == b"{}"
    assert json.loads(seen["changed-by.json"])["by"] == "ann"
    assert document["metadata"]["annotations"]["model-manager/changed-by"].startswith("ann")
    assert document["metadata"]["annotations"]["flagger.app/config-tracking"] == "disabled"


def test_people_are_told_what_is_in_it_beside_the_document(repository: Path) -> None:
    result = run("configmap", "models", repository / "iris")
    assert "iris-1.joblib" in result.stderr
    assert "of 1 MiB" in result.stderr


def test_json_says_the_same_as_yaml(repository: Path) -> None:
    by_yaml = printed("models", repository, "--immutable")
    by_json = json.loads(run("configmap", "models", repository, "--immutable", "--json").stdout)
    assert (by_json["kind"], len(by_json["items"])) == ("List", 5)
    assert by_json["items"][:-1] == by_yaml[:-1]
    assert json.loads(run("configmap", "models", repository / "iris", "--json").stdout)["kind"] == "ConfigMap"


def test_the_default_is_the_one_that_is_asked_for(repository: Path) -> None:
    (document,) = printed("models", repository, "--default", "iris=1", "--default", "wine=9")
    models = parse_manifest(files(document)["models.yaml"]).models
    assert (models["iris"].default, models["wine"].default) == ("1", "9")
    said = refusal(2, "configmap", "models", repository / "iris", "--default", "iris=3")
    assert said == "--default iris=3: no such version is named here; of iris there is 1, 2"
    assert run("configmap", "models", repository, "--default", "iris").exit_code == 2


def test_immutable_ones_are_named_by_their_content_and_the_pointer_comes_last(repository: Path) -> None:
    *artifacts, pointer = printed("models", repository, "--immutable")
    assert [each["immutable"] for each in artifacts] == [True] * 4
    assert "immutable" not in pointer
    assert "binaryData" not in pointer
    assert pointer["metadata"]["name"] == "models"
    names = [each["metadata"]["name"] for each in artifacts]
    assert len({*names}) == 4
    assert all(each["metadata"]["labels"] == {"model-manager/artifacts-of": "models"} for each in artifacts)
    mounted = {key: value for each in (*artifacts, pointer) for key, value in files(each).items()}
    for entry in parse_manifest(mounted["models.yaml"]).models.values():
        for said in entry.versions.values():
            assert hashlib.sha256(mounted[said.artifact]).hexdigest() == said.sha256
    # What stays the same keeps its name, what differs has another.
    (repository / "iris" / "2" / "model.sig").write_bytes(b"{ }")
    again = [each["metadata"]["name"] for each in printed("models", repository, "--immutable")]
    assert [one == other for one, other in zip(names, again, strict=False)] == [True, False, True, True]


def test_a_signature_holds_under_the_flat_names(repository: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "key.pem")
    assert run("sign", repository / "iris" / "2", "--key", tmp_path / "key.pem").exit_code == 0
    (document,) = printed("models", repository / "iris" / "2")
    for key, content in files(document).items():
        (tmp_path / key).write_bytes(content)
    verified = run("verify", tmp_path / "iris-2.joblib", "--key", tmp_path / "key.pub")
    assert verified.exit_code == 0, verified.stderr


def test_what_it_printed_into_a_file_is_promoted_in_place(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "configmap.yaml"
    path.write_text(run("configmap", "models", repository / "iris", "--by", "ann").stdout, encoding="utf-8")
    before = path.read_text(encoding="utf-8").splitlines()
    assert run("promote", path, "iris", "1", "--by", "bob").exit_code == 0
    after = path.read_text(encoding="utf-8")
    (document,) = yaml.safe_load_all(after)
    said = json.loads(document["data"]["changed-by.json"])
    digest = hashlib.sha256(document["data"]["models.yaml"].encode()).hexdigest()
    assert (said["by"], said["manifest"]) == ("bob", digest)
    assert document["metadata"]["annotations"]["model-manager/changed-by"].startswith("bob")
    assert len([line for line in before if line not in after.splitlines()]) == 3  # default, and twice who it was


def test_what_does_not_fit_is_told_with_what_to_do(tmp_path: Path) -> None:
    repository = tmp_path / "repo"
    package(repository, "iris", "1", bytes(MOST_BYTES // 2))
    package(repository, "iris", "2", bytes(MOST_BYTES // 2))
    package(repository, "iris", "3", bytes(10))
    said = refusal(2, "configmap", "models", repository)
    assert said.startswith("models would hold 1,04")
    assert "and a ConfigMap holds 1,048,576 (iris/1 524,4" in said
    assert "--immutable gives each version a ConfigMap of its own; or publish what is large" in said
    assert len(printed("models", repository, "--immutable")) == 4
    package(repository, "iris", "4", bytes(MOST_BYTES))
    said = refusal(2, "configmap", "models", repository)
    assert "--immutable" not in said
    assert "--artifacts-at s3://BUCKET/PATH" in said
    assert "iris/4 has 1,04" in refusal(2, "configmap", "models", repository, "--immutable")


def test_the_limit_is_exact(tmp_path: Path) -> None:
    fits = MOST_BYTES - 1000
    package(tmp_path / "a", "iris", "1", bytes(fits))  # whose size has as many digits as those below
    (document,) = printed("models", tmp_path / "a", "--by", "x")
    fits += MOST_BYTES - size(document)
    package(tmp_path / "b", "iris", "1", bytes(fits))
    (document,) = printed("models", tmp_path / "b", "--by", "x")
    assert size(document) == MOST_BYTES
    package(tmp_path / "c", "iris", "1", bytes(fits + 1))
    assert "would hold 1,048,577 bytes" in refusal(2, "configmap", "models", tmp_path / "c", "--by", "x")


def test_artifacts_may_lie_elsewhere(repository: Path) -> None:
    package(repository, "iris", "3", bytes(2 * MOST_BYTES))
    (document,) = printed("models", repository / "iris", "--artifacts-at", "/artifacts/shared/")
    assert set(files(document)) == {"models.yaml", "changed-by.json"}
    versions = parse_manifest(files(document)["models.yaml"]).models["iris"].versions
    assert versions["3"].artifact == "/artifacts/shared/iris/3/model.joblib"
    assert versions["1"].metadata is None  # which lies beside it there
    (document,) = printed("models", repository / "iris", "--artifacts-at", "s3://bucket/m")
    versions = parse_manifest(files(document)["models.yaml"]).models["iris"].versions
    assert versions["3"].artifact == "s3://bucket/m/iris/3/model.joblib"
    for version, said in versions.items():
        assert said.metadata == parse_metadata((repository / "iris" / version / "metadata.json").read_bytes())
    assert "give an absolute path" in refusal(2, "configmap", "models", repository, "--artifacts-at", "shared")


def test_metadata_of_an_artifact_with_another_name_is_inline_where_it_would_not_be_found(repository: Path) -> None:
    folder = repository / "iris" / "2"
    (folder / "model.joblib").rename(folder / "flowers.pkl")
    (document,) = printed("models", folder, "--artifacts-at", "/artifacts/shared")
    (said,) = parse_manifest(files(document)["models.yaml"]).models["iris"].versions.values()
    assert said.artifact == "/artifacts/shared/iris/2/flowers.pkl"
    assert said.metadata is not None


def test_what_is_no_package_or_was_changed_is_refused(repository: Path) -> None:
    assert "there is no such folder; beside it there is 1, 2" in refusal(2, "configmap", "m", repository / "iris" / "7")
    (repository / "iris" / "1" / "model.joblib").write_bytes(b"another")
    said = refusal(2, "configmap", "m", repository / "iris" / "1")
    assert "it was changed after it was packed; pack it again as another version" in said
    (repository / "iris" / "1" / "metadata.json").write_text("{", encoding="utf-8")
    assert "metadata.json: the whole file: Invalid JSON" in refusal(2, "configmap", "m", repository / "iris" / "1")
    for name in ("Models", "a.b", "a-", "a" * 64, ""):
        assert "is no name for a ConfigMap" in refusal(2, "configmap", name, repository / "wine")
    other = package(repository.parent / "other", "wine", "9", b"x")
    assert "wine/9 is named twice" in refusal(2, "configmap", "m", repository / "wine", other)
    assert len(printed("m", repository / "wine", repository / "wine" / "9")) == 1


names = st.sampled_from(["a", "a-1", "1", "1-2", "2", "a.b", "2-a", "A", "x" * 128])


@example([("a-1", "2"), ("a", "1-2")])
@settings(max_examples=50)
@given(st.lists(st.tuples(names, names), unique=True, max_size=8))
def test_no_two_versions_share_a_key_and_every_key_is_one_of_kubernetes(ids: list[tuple[str, str]]) -> None:
    named = [Named(ServableId(*id), Path("model.joblib"), 1, "0" * 64, None, None) for id in ids]
    keys = keys_of(named)
    assert len({*keys.values()}) == len(ids)
    assert all(len(key.replace(".joblib", ".metadata.json")) <= 253 for key in keys.values())


texts = st.text(max_size=30)
keys = st.sampled_from(["models.yaml", "1", "true", "-", "a.b_C", "null"])


@settings(max_examples=50)
@given(st.dictionaries(keys, texts), st.dictionaries(keys, st.binary(max_size=50)))
def test_whatever_the_files_hold_comes_back(text: dict[str, str], binary: dict[str, bytes]) -> None:
    whole = ConfigMap("m", text, binary)
    (by_yaml,) = yaml.safe_load_all(as_yaml([whole]))
    assert by_yaml == json.loads(json.dumps(as_json([whole])))
    assert by_yaml.get("data", {}) == text
    assert {key: base64.b64decode(value) for key, value in by_yaml.get("binaryData", {}).items()} == binary
