"""What the operator demands of artifacts is read of the settings alone, and held by whoever opens one."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from model_manager.errors import LoadFailed, StartRefused
from model_manager.process import check_folder
from model_manager.repository.artifact import open_artifact
from model_manager.repository.policy import Policy
from model_manager.repository.source import Source
from model_manager.repository.wanted import WantedVersion
from model_manager.settings import Settings

CONTENT = b"a pickled estimator"
SHA = hashlib.sha256(CONTENT).hexdigest()


def policy_of(folder: Path, **settings: Any) -> Policy:
    return Policy.from_settings(Settings(models=folder, **settings))


def wanted(folder: Path, policy: Policy) -> WantedVersion:
    (model,) = Source(folder, policy.files, policy.artifact_limit).read().models.values()
    return model.versions[model.default]


def reason(folder: Path, **settings: Any) -> str:
    """Why the only version of a folder is refused; empty when it is not."""
    policy = policy_of(folder, **settings)
    try:
        open_artifact(wanted(folder, policy), policy).close()
    except LoadFailed as error:
        return f"{error.reason}: {error}"
    return ""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "iris" / "1"
    folder.mkdir(parents=True)
    (folder / "model.joblib").write_bytes(CONTENT)
    return folder


def test_nothing_is_demanded_unless_asked_for(tmp_path: Path, package: Path) -> None:
    assert reason(tmp_path) == ""


def test_a_digest_may_be_demanded_and_metadata_or_the_manifest_may_declare_it(tmp_path: Path, package: Path) -> None:
    assert reason(tmp_path, require_digest=True) == (
        f"digest_missing: {package}/model.joblib: no sha256 is declared, neither in models.yaml nor in metadata.json, "
        "and the operator asks for one (--require-digest): sha256sum prints it"
    )
    declared = {"artifact": {"file": "model.joblib", "sha256": SHA, "bytes": len(CONTENT)}}
    (package / "metadata.json").write_text(json.dumps(declared))
    assert reason(tmp_path, require_digest=True) == ""
    (package / "metadata.json").unlink()
    manifest = f'models: {{iris: {{versions: {{"1": {{artifact: iris/1/model.joblib, sha256: {SHA}}}}}}}}}'
    (tmp_path / "models.yaml").write_text(manifest)
    assert reason(tmp_path, require_digest=True) == ""


@pytest.mark.parametrize(("name", "format"), [("m.pkl", "joblib"), ("m.skops", "skops"), ("M.ONNX", "onnx")])
def test_formats_are_told_by_the_name_and_refused_before_a_byte_is_read(
    tmp_path: Path, package: Path, name: str, format: str
) -> None:
    (package / "model.joblib").rename(package / name)
    assert reason(tmp_path, allowed_formats=format) == ""
    others = ",".join(each for each in ("joblib", "skops", "onnx") if each != format)
    assert reason(tmp_path, allowed_formats=others) == (
        f"not_allowed: {package}/{name}: {format} is not among the formats that the operator allows "
        f"(--allowed-formats {others.replace(',', ', ')})"
    )


def test_size_owner_and_mode_may_be_limited(tmp_path: Path, package: Path) -> None:
    with (package / "model.joblib").open("ab") as file:
        file.truncate(3 * 2**20)
    assert reason(tmp_path, max_artifact_mb=3) == ""
    told = reason(tmp_path, max_artifact_mb=2)
    assert told.startswith("too_large: ")
    assert told.endswith("at most 2,097,152 are read of it: have the operator raise --max-artifact-mb")
    assert reason(tmp_path, artifact_owners="4294967294").startswith("not_allowed: ")
    (package / "model.joblib").chmod(0o666)
    assert reason(tmp_path, refuse_writable=True).startswith("not_allowed: ")


def test_artifacts_lie_in_the_models_folder_or_below_the_roots(tmp_path: Path, package: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "models.yaml").write_text(
        f'models: {{iris: {{versions: {{"1": {{artifact: {package}/model.joblib}}}}}}}}'
    )
    assert reason(models).startswith(f"not_allowed: {package}/model.joblib is outside of the models folder {models}")
    assert reason(models, artifact_roots=f"/artifacts, {tmp_path}/iris/") == ""


def test_metadata_that_may_not_be_read_fails_the_version_with_why(tmp_path: Path, package: Path) -> None:
    with (package / "metadata.json").open("wb") as file:
        file.truncate(3 * 2**30)
    told = reason(tmp_path)
    assert told.startswith(f"metadata_invalid: {package}/metadata.json has 3,221,225,472 bytes or more")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"artifact_roots": "relative"}, "--artifact-roots relative: give absolute paths"),
        ({"allowed_formats": "joblib,pickle"}, "--allowed-formats joblib,pickle: choose of joblib, skops, onnx"),
        ({"allowed_formats": " , "}, "choose of joblib, skops, onnx"),
        ({"artifact_owners": "root"}, "--artifact-owners root: give numeric user ids"),
        ({"signature_key": "/nowhere.pem"}, "--signature-key: /nowhere.pem cannot be read: No such file"),
        ({"signature_certificate": "/dev/null"}, "--signature-certificate: /dev/null holds no PEM certificates"),
        ({"signature_key": "/a", "signature_certificate": "/b"}, "give one of them"),
    ],
)
def test_a_setting_that_cannot_be_meant_ends_the_start(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    with pytest.raises(StartRefused) as caught:
        check_folder(Settings(models=tmp_path, **settings))  # type: ignore[arg-type]
    assert told in str(caught.value)
