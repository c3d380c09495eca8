"""A real server over folders that were made to hurt: nothing hangs or leaks, and what is good serves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.live import COMMAND, LiveServer, live_server, wait_until, without_server_settings
from tests.models import constant, dump, put
from tools.patience import stretched

ONE = dump(constant(1.0))
MANIFEST = """
models:
  good: {{versions: {{"1": {{artifact: good.joblib}}}}}}
  bad:
    versions:
{versions}
"""
HOSTILE = {
    "kmsg": ("/proc/kmsg", "not_allowed"),
    "environ": ("/proc/self/environ", "not_allowed"),
    "passwd": ("/etc/passwd", "not_allowed"),
    "zero": ("/dev/zero", "not_allowed"),
    "link": ("link.joblib", "not_allowed"),
    "pipe": ("pipe.joblib", "unreadable"),
    "folder": ("folder.joblib", "unreadable"),
    "sparse": ("sparse.joblib", "too_large"),
    "described": ("described.joblib", "metadata_invalid"),
    "forbidden": ("model.onnx", "not_allowed"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "good.joblib").write_bytes(ONE)
    (folder / "link.joblib").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.joblib")
    (folder / "folder.joblib").mkdir()
    with (folder / "sparse.joblib").open("wb") as file:
        file.truncate(10 * 2**30)
    (folder / "described.joblib").write_bytes(ONE)
    os.mkfifo(folder / "described.metadata.json")
    (folder / "model.onnx").write_bytes(b"")
    versions = "\n".join(f"      {name}: {{artifact: {artifact}}}" for name, (artifact, _) in HOSTILE.items())
    (folder / "models.yaml").write_text(MANIFEST.format(versions=versions))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    with live_server(folder, wait=False, allowed_formats="joblib,skops", poll_interval_s=0.2, compile="off") as server:
        wait_until(lambda: server.status("good", "1")[0] == "READY", "the good model")
        yield server


@pytest.mark.parametrize("version", HOSTILE)
def test_each_fails_alone_with_why(server: LiveServer, version: str) -> None:
    reason = HOSTILE[version][1]
    wait_until(lambda: server.status("bad", version)[1].startswith(f"{reason}: "), f"{version} to fail of {reason}")
    assert server.metric("model_manager_load_failures_total", model_version=version, reason=reason) >= 1
    assert server.predict("good", [[0, 0]]).json() == {"predictions": [1.0]}


def test_a_manifest_that_is_a_pipe_changes_nothing_and_its_successor_is_followed(
    server: LiveServer, folder: Path
) -> None:
    wait_until(lambda: server.status("good", "1")[0] == "READY", "the good model")
    written = (folder / "models.yaml").read_text()
    os.mkfifo(folder / "new")
    (folder / "new").replace(folder / "models.yaml")
    told = f"{folder}/models.yaml is a named pipe, not a file"
    wait_until(lambda: any(told in record["message"] for record in server.log), "the log to tell of it")
    assert server.predict("good", [[0, 0]]).status_code == 200
    (folder / "new").write_text(written.replace("good:", "better:"))
    (folder / "new").replace(folder / "models.yaml")
    wait_until(lambda: server.status("better", "1")[0] == "READY", "the next manifest to be followed")


def test_a_server_that_demands_signatures_serves_what_is_signed(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub.pem").write_bytes(public)
    models = tmp_path / "models"
    put(models, "m", "1", ONE)
    put(models, "m", "2", ONE)
    sign = [*COMMAND[:-1], "sign", str(models / "m" / "1"), "--key", str(tmp_path / "key.pem")]
    subprocess.run(sign, check=True, capture_output=True, timeout=stretched(30))
    with live_server(models, wait=False, signature_key=tmp_path / "key.pub.pem", compile="off") as server:
        wait_until(lambda: server.status("m", "1") == ("READY", ""), "the signed version to serve")
        wait_until(lambda: server.status("m", "2")[1].startswith("unsigned: "), "the other to be refused")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_key_that_cannot_be_read_ends_the_start_with_one_line(tmp_path: Path, workers: str) -> None:
    arguments = ["--models", str(tmp_path), "--signature-key", str(tmp_path / "none.pem"), "--workers", workers]
    done = subprocess.run(
        [sys.executable, "-m", "model_manager", "serve", *arguments, "--port", "0", "--admin-port", "0"],
        capture_output=True,
        text=True,
        env=without_server_settings(),
        timeout=stretched(30),
    )
    assert done.returncode == 2
    told = f"model-manager: --signature-key: {tmp_path}/none.pem cannot be read: No such file or directory\n"
    assert done.stderr.endswith(told)
