"""The mounted folder: both forms, what is wanted of them, and what unloads nothing."""

import hashlib
import json
import logging
import os
from pathlib import Path

import pytest
from model_manager.errors import ManifestInvalid, SourceUnreadable
from model_manager.repository.metadata import Metadata, parse_metadata
from model_manager.repository.regular_files import Files
from model_manager.repository.source import Source
from model_manager.repository.wanted import Batching, WantedModel, WantedState, WantedVersion

from tools.kubelet import ConfigMapVolume


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish(folder: Path, name: str, content: bytes = b"model", metadata: bytes | None = None) -> Path:
    package = folder / name
    package.mkdir(parents=True)
    (package / "model.joblib").write_bytes(content)
    if metadata is not None:
        (package / "metadata.json").write_bytes(metadata)
    return package


def metadata_for(content: bytes) -> bytes:
    return json.dumps({"artifact": {"file": "model.joblib", "sha256": sha(content), "bytes": len(content)}}).encode()


def only(state: WantedState) -> WantedVersion:
    (model,) = state.models.values()
    (version,) = model.versions.values()
    return version


def trouble(source: Source) -> str:
    with pytest.raises(SourceUnreadable) as caught:
        source.read()
    return str(caught.value)


class TestRepository:
    """A folder of `<model>/<version>/model.joblib`."""

    def test_every_version_with_an_artifact_is_wanted_and_the_newest_is_the_default(self, tmp_path: Path) -> None:
        for name in ("iris/9", "iris/10", "wine/2026-11-02.1"):
            publish(tmp_path, name)
        models = Source(tmp_path).read().models
        assert {name: (list(model.versions), model.default) for name, model in models.items()} == {
            "iris": (["10", "9"], "10"),
            "wine": (["2026-11-02.1"], "2026-11-02.1"),
        }

    def test_a_version_is_its_bytes_and_its_metadata(self, tmp_path: Path) -> None:
        package = publish(tmp_path, "iris/1", b"model", metadata_for(b"model"))
        version = only(Source(tmp_path).read())
        assert version.location == str(package / "model.joblib")
        assert version.digest == version.sha256 == sha(b"model")
        assert version.metadata == metadata_for(b"model")
        assert (version.batching, version.timeout_ms) == (Batching(), None)

    def test_a_bare_artifact_declares_nothing(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris/1")
        version = only(Source(tmp_path).read())
        assert (version.sha256, version.metadata) == (None, None)

    @pytest.mark.parametrize("metadata", [b"{", b"{}", b'{"artifact": {"sha256": 1}}'])
    def test_metadata_that_declares_no_digest_or_is_invalid_is_left_to_loading(
        self, tmp_path: Path, metadata: bytes
    ) -> None:
        publish(tmp_path, "iris/1", metadata=metadata)
        version = only(Source(tmp_path).read())
        assert (version.sha256, version.metadata) == (None, metadata)

    def test_metadata_that_cannot_be_read_comes_out_empty_so_that_loading_refuses_it(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (publish(tmp_path, "iris/1") / "metadata.json").mkdir()
        version = only(Source(tmp_path).read())
        assert version.metadata == b""
        assert version.metadata_problem == f"{tmp_path}/iris/1/metadata.json is a folder, not a file"
        assert version.metadata_problem in caplog.text

    def test_what_is_still_being_copied_is_not_wanted(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris/1")
        publish(tmp_path, "iris/.tmp-2")
        publish(tmp_path, ".cache/1")
        (tmp_path / "iris" / "3").mkdir()
        (tmp_path / "wine" / "1").mkdir(parents=True)
        (tmp_path / "README.md").write_text("models")
        (tmp_path / "iris" / "notes").write_text("models")
        assert only(Source(tmp_path).read()).id == ("iris", "1")

    @pytest.mark.parametrize(
        "name", ["svm.joblib", "model.pkl", "model.PICKLE", "finalized_model.sav", "model.skops", "model.onnx"]
    )
    def test_the_only_file_that_is_called_as_artifacts_are_is_it_whatever_its_name(
        self, tmp_path: Path, name: str
    ) -> None:
        publish(tmp_path, "iris/1", metadata=b"{}").joinpath("model.joblib").rename(tmp_path / "iris" / "1" / name)
        (tmp_path / "iris" / "1" / "README.md").write_text("the second try")
        version = only(Source(tmp_path).read())
        assert version.location == str(tmp_path / "iris" / "1" / name)
        assert (version.digest, version.metadata) == (sha(b"model"), b"{}")

    @pytest.mark.parametrize("names", [["a.joblib", "b.pkl"], ["model.dill"], ["model.pt", "notes.txt"]])
    def test_several_or_foreign_artifacts_are_wanted_so_that_loading_tells_of_them(
        self, tmp_path: Path, names: list[str]
    ) -> None:
        folder = publish(tmp_path, "iris/1").parent / "2"
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"model")
        version = Source(tmp_path).read().models["iris"].versions["2"]
        assert (version.location, version.digest) == (str(folder / "model.joblib"), None)

    def test_a_model_without_a_version_folder_is_its_version_1(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris", b"model", metadata_for(b"model"))
        version = only(Source(tmp_path).read())
        assert version.id == ("iris", "1")
        assert version.location == str(tmp_path / "iris" / "model.joblib")
        assert version.metadata == metadata_for(b"model")

    def test_an_artifact_beside_versions_is_ignored_and_said_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        publish(tmp_path, "iris", b"stray")
        publish(tmp_path, "iris/7")
        source = Source(tmp_path)
        assert only(source.read()) == only(source.read())
        assert only(source.read()).id == ("iris", "7")
        assert [record.getMessage() for record in caplog.records] == [
            f"ignored {tmp_path}/iris/model.joblib: put it into a folder named after its version"
        ]

    def test_odd_names_are_ignored_and_said_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        publish(tmp_path, "iris/1")
        publish(tmp_path, "iris/v 2")
        publish(tmp_path, "lost+found/1")
        source = Source(tmp_path)
        with caplog.at_level(logging.WARNING):
            assert only(source.read()) == only(source.read())
        assert [record.getMessage().split(":")[0] for record in caplog.records] == [
            f"ignored {tmp_path}/iris/v 2",
            f"ignored {tmp_path}/lost+found",
        ]

    def test_an_artifact_that_cannot_be_read_stays_wanted_and_fails_alone(self, tmp_path: Path) -> None:
        publish(tmp_path, "wine/1")
        (tmp_path / "iris" / "1").mkdir(parents=True)
        (tmp_path / "iris" / "1" / "model.joblib").symlink_to("model.joblib")
        models = Source(tmp_path).read().models
        assert models["iris"].versions["1"].digest is None
        assert models["wine"].versions["1"].digest == sha(b"model")

    def test_changed_bytes_are_seen_and_unchanged_ones_are_equal(self, tmp_path: Path) -> None:
        package = publish(tmp_path, "iris/1", b"old")
        source = Source(tmp_path)
        first = source.read()
        assert source.read() == first
        (package / "model.joblib").write_bytes(b"new")
        assert only(source.read()).digest == sha(b"new")

    def test_a_removed_version_is_no_longer_wanted(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris/1")
        package = publish(tmp_path, "iris/2")
        source = Source(tmp_path)
        source.read()
        package.rename(tmp_path / ".gone")
        assert source.read().models["iris"].default == "1"


class TestManifest:
    """A folder that holds models.yaml."""

    def test_relative_absolute_and_remote_artifacts(self, tmp_path: Path) -> None:
        elsewhere = publish(tmp_path / "pvc", "iris/2", b"two", b'{"name": "two"}')
        folder = tmp_path / "models"
        folder.mkdir()
        (folder / "iris-1.joblib").write_bytes(b"one")
        (folder / "iris-1.metadata.json").write_bytes(b'{"name": "one"}')
        (folder / "models.yaml").write_text(f"""
            models:
              iris:
                default: "1"
                versions:
                  "1": {{artifact: iris-1.joblib, sha256: {sha(b"one")}}}
                  "2": {{artifact: {elsewhere}/model.joblib}}
                  "3": {{artifact: "file://{elsewhere}/model.joblib", metadata: {{name: three}}}}
                  "4": {{artifact: "s3://b/4.joblib", sha256: {"4f" * 32}}}
                batching: {{max_rows: 8}}
                timeout_ms: 100
                isolation: process
            """)
        files = Files(str(folder), roots=(str(tmp_path / "pvc"),))
        model = Source(folder, files).read().models["iris"]
        assert (model.name, model.default) == ("iris", "1")
        found = {
            name: (each.location, each.sha256, each.digest, each.metadata) for name, each in model.versions.items()
        }
        assert found == {
            "1": (f"{folder}/iris-1.joblib", sha(b"one"), sha(b"one"), b'{"name": "one"}'),
            "2": (f"{elsewhere}/model.joblib", None, sha(b"two"), b'{"name": "two"}'),
            "3": (f"{elsewhere}/model.joblib", None, sha(b"two"), b'{"name":"three"}'),
            "4": ("s3://b/4.joblib", "4f" * 32, "4f" * 32, None),
        }
        assert {(each.batching, each.timeout_ms) for each in model.versions.values()} == {(Batching(max_rows=8), 100.0)}
        assert all(each.isolated for each in model.versions.values())

    def test_the_digest_in_the_metadata_beside_an_artifact_is_declared_too(self, tmp_path: Path) -> None:
        (tmp_path / "a.joblib").write_bytes(b"x")
        (tmp_path / "a.metadata.json").write_bytes(metadata_for(b"y"))
        (tmp_path / "models.yaml").write_text("models: {a: {versions: {'1': {artifact: a.joblib}}}}")
        version = only(Source(tmp_path).read())
        assert (version.sha256, version.digest) == (sha(b"y"), sha(b"x"))

    def test_a_missing_artifact_stays_wanted_and_refuses_no_other(self, tmp_path: Path) -> None:
        (tmp_path / "a.joblib").write_bytes(b"a")
        (tmp_path / "models.yaml").write_text("""
            models:
              a:
                versions:
                  "1": {artifact: a.joblib}
                  "2": {artifact: b.joblib}
                  "3": {artifact: a.joblib/x}
            """)
        versions = Source(tmp_path).read().models["a"].versions
        assert [each.digest for each in versions.values()] == [sha(b"a"), None, None]

    def test_an_explicitly_empty_manifest_wants_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "models.yaml").write_text("models: {}")
        assert Source(tmp_path).read() == WantedState({})

    def test_the_manifest_rules_over_model_folders(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris/1")
        (tmp_path / "models.yaml").write_text("models: {}")
        assert Source(tmp_path).read().models == {}

    def test_a_mistake_refuses_the_manifest_as_a_whole(self, tmp_path: Path) -> None:
        (tmp_path / "models.yaml").write_text("models: {a: {}}")
        with pytest.raises(ManifestInvalid, match="line 1"):
            Source(tmp_path).read()

    def test_a_corrected_manifest_is_read_and_an_unchanged_one_is_equal(self, tmp_path: Path) -> None:
        source = Source(tmp_path)
        (tmp_path / "models.yaml").write_text("models: {a: {}}")
        for _ in range(2):
            with pytest.raises(ManifestInvalid):
                source.read()
        (tmp_path / "models.yaml").write_text("models: {a: {versions: {'1': {artifact: x}}}}")
        assert source.read() == source.read()
        assert only(source.read()).id == ("a", "1")

    def test_a_repository_may_be_given_a_manifest_later(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris/1")
        source = Source(tmp_path)
        assert source.read().models
        (tmp_path / "models.yaml").write_text("models: {}")
        assert source.read().models == {}

    def test_a_manifest_that_vanishes_is_trouble_and_no_repository(self, tmp_path: Path) -> None:
        publish(tmp_path, "iris/1")
        (tmp_path / "models.yaml").write_text("models: {a: {versions: {'1': {artifact: iris/1/model.joblib}}}}")
        source = Source(tmp_path)
        state = source.read()
        (tmp_path / "models.yaml").rename(tmp_path / "models.yaml~")
        assert "no longer holds models.yaml: put it back" in trouble(source)
        (tmp_path / "models.yaml~").rename(tmp_path / "models.yaml")
        assert source.read() == state


class TestTrouble:
    """What raises, so that nothing is unloaded: the folder says nothing, rather than that nothing is wanted."""

    def test_no_folder(self, tmp_path: Path) -> None:
        assert trouble(Source(tmp_path / "models")) == (
            f"{tmp_path}/models does not exist: mount a folder of models there, or set --models"
        )

    def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "models").write_text("")
        assert "is not a folder" in trouble(Source(tmp_path / "models"))

    def test_a_folder_without_any_model(self, tmp_path: Path) -> None:
        (tmp_path / "iris").mkdir()
        assert trouble(Source(tmp_path)) == (
            f"{tmp_path} holds no model: neither models.yaml nor any <model>/<version>/model.joblib"
        )

    def test_a_manifest_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "models.yaml").mkdir()
        assert trouble(Source(tmp_path)) == f"{tmp_path}/models.yaml is a folder, not a file"

    def test_a_model_folder_that_cannot_be_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        publish(tmp_path, "iris/1")
        publish(tmp_path, "wine/1")
        really = os.listdir

        def refuse_wine(folder: str) -> list[str]:
            if folder.endswith("wine"):
                raise PermissionError(13, "Permission denied", folder)
            return really(folder)

        monkeypatch.setattr(os, "listdir", refuse_wine)
        assert trouble(Source(tmp_path)) == f"{tmp_path}/wine cannot be read: Permission denied"

    def test_a_volume_that_unmounts_and_comes_back(self, tmp_path: Path) -> None:
        publish(tmp_path / "models", "iris/1")
        source = Source(tmp_path / "models")
        state = source.read()
        (tmp_path / "models").rename(tmp_path / "away")
        assert "does not exist" in trouble(source)
        (tmp_path / "models").mkdir()
        assert "holds no model" in trouble(source)
        (tmp_path / "models").rmdir()
        (tmp_path / "away").rename(tmp_path / "models")
        assert source.read() == state

    def test_a_link_to_a_generation_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "..data").symlink_to("..2026_11_02")
        assert "does not exist" in trouble(Source(tmp_path))


def test_a_relative_folder_keeps_its_meaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ConfigMapVolume(tmp_path / "models").write({"iris/1/model.joblib": b"a"})
    monkeypatch.chdir(tmp_path)
    source = Source(Path("models"))
    monkeypatch.chdir("/")
    assert isinstance(source.read().models["iris"], WantedModel)


def test_a_release_link_is_followed_to_where_it_leads_now(tmp_path: Path) -> None:
    publish(tmp_path / "releases" / "1", "iris/1")
    publish(tmp_path / "releases" / "2", "iris/2")
    (tmp_path / "current").symlink_to("releases/1")
    source = Source(tmp_path / "current")
    assert source.read().models["iris"].default == "1"
    (tmp_path / "next").symlink_to("releases/2")
    (tmp_path / "next").replace(tmp_path / "current")
    assert list(source.read().models["iris"].versions) == ["2"]


def test_metadata_that_was_read_is_not_read_again_however_many_packages_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def reading(metadata: bytes) -> Metadata:
        read.append(metadata)
        return parse_metadata(metadata)

    monkeypatch.setattr("model_manager.repository.packages.parse_metadata", reading)
    for number in range(300):
        content = b"%d of many" % number
        publish(tmp_path, f"many/{number}", content, metadata_for(content))
    source = Source(tmp_path)
    first = source.read()
    assert len(read) == 300
    assert source.read() == first
    assert len(read) == 300
