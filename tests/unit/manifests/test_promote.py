"""`promote` and `rollback` as people and scripts use them: files, pipes, ConfigMaps, gates, exit codes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml
from model_manager.errors import ChangeRefused
from model_manager.manifests.writing import replace_file
from model_manager.repository.manifest import parse_manifest

from tests.unit.manifests.staging import MANIFEST, refusal, run

PROMOTED = MANIFEST.replace('"1"   # signed off by Ann\n', '"2"   # signed off by Ann\n    previous: "1"\n')
BACK = PROMOTED.replace('default: "2"', 'default: "1"').replace('previous: "1"', 'previous: "2"')
GATES = {
    "evaluation": {"gates": [{"expression": "accuracy < 0.9", "passed": False}, {"expression": "b", "passed": True}]}
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(MANIFEST, encoding="utf-8")
    return path


def test_promote_changes_the_file_and_shows_what(manifest: Path) -> None:
    manifest.chmod(0o640)
    result = run("promote", manifest, "iris", "2")
    assert result.exit_code == 0, result.output
    assert manifest.read_text() == PROMOTED
    assert manifest.stat().st_mode & 0o777 == 0o640
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith(("-", "+")) and "models.yaml" not in line] == [
        '-    default: "1"   # signed off by Ann',
        '+    default: "2"   # signed off by Ann',
        '+    previous: "1"',
    ]
    assert lines[-1] == "iris: 2 answers by default now (before: 1); no gates are recorded for it"
    assert os.listdir(manifest.parent) == ["models.yaml"]


def test_rollback_returns_and_returns_again(manifest: Path) -> None:
    manifest.write_text(PROMOTED, encoding="utf-8")
    assert run("rollback", manifest, "iris").exit_code == 0
    assert manifest.read_text() == BACK
    assert run("rollback", manifest.parent, "iris").exit_code == 0  # the folder means the manifest in it
    assert manifest.read_text() == PROMOTED
    assert run("rollback", manifest, "iris", "--to", "2").stdout == "iris: 2 answers by default already\n"


def test_a_dry_run_and_json_tell_the_same(manifest: Path) -> None:
    dry = run("promote", manifest, "iris", "2", "--dry-run")
    assert dry.stdout.endswith("(a dry run: nothing was written)\n")
    told = json.loads(run("promote", manifest, "iris", "2", "--dry-run", "--json").stdout)
    assert manifest.read_text() == MANIFEST
    assert told.pop("diff") == dry.stdout.rpartition("\n")[0].rpartition("\n")[0]
    assert told == {
        "model": "iris",
        "default": "2",
        "before": "1",
        "gates": {"passed": [], "failed": []},
        "changed": True,
        "written": False,
    }
    assert json.loads(run("promote", manifest, "iris", "2", "--json").stdout)["written"] is True
    assert manifest.read_text() == PROMOTED


def test_what_cannot_be_done_is_said_in_a_line(manifest: Path, tmp_path: Path) -> None:
    assert refusal(2, "promote", manifest, "iris", "3").endswith(
        "lists no version '3' of iris; it lists 1, 2: add the version first"
    )
    assert "no previous default of iris is recorded" in refusal(2, "rollback", manifest, "iris")
    assert refusal(2, "promote", tmp_path / "none.yaml", "iris", "1").endswith(
        "cannot be read: No such file or directory"
    )
    manifest.write_text("models:\n\tiris: 1\n", encoding="utf-8")
    assert f"{manifest} line 2: not YAML" in refusal(2, "promote", manifest, "iris", "1")
    assert manifest.read_text() == "models:\n\tiris: 1\n"
    for usage in (["iris", "--last-good", "--url", "http://x"], [], ["--last-good"], ["iris", "--url", "http://x"]):
        assert run("rollback", manifest, *usage).exit_code == 2


def test_a_version_that_failed_its_gates_is_refused_unless_forced(manifest: Path) -> None:
    (manifest.parent / "iris-2.metadata.json").write_text(json.dumps(GATES), encoding="utf-8")
    said = refusal(1, "promote", manifest, "iris", "2")
    assert said.endswith("iris/2 failed its gates: accuracy < 0.9; --force makes it the default nevertheless")
    assert manifest.read_text() == MANIFEST
    assert refusal(1, "rollback", manifest, "iris", "--to", "2") == said
    assert run("promote", manifest, "iris", "2", "--force").exit_code == 0
    assert manifest.read_text() == PROMOTED
    assert run("rollback", manifest, "iris").exit_code == 0  # the version before has none that failed


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        '{"evaluation": {"gates": "all"}}',
        '{"evaluation": {"gates": ["b"]}}',
        '{"evaluation": {"gates": [{"expression": "b"}]}}',
    ],
)
def test_gates_that_cannot_be_read_have_not_passed(manifest: Path, broken: str) -> None:
    (manifest.parent / "iris-2.metadata.json").write_text(broken, encoding="utf-8")
    assert "iris/2 failed its gates: " in refusal(1, "promote", manifest, "iris", "2")


def test_gates_inline_in_the_manifest_are_read(manifest: Path) -> None:
    inline = json.dumps({"evaluation": {"dataset": "d", "rows": 1, "metrics": {}, **GATES["evaluation"]}})
    manifest.write_text(MANIFEST.replace("iris-2.joblib}", f"iris-2.joblib, metadata: {inline}}}"), encoding="utf-8")
    assert "iris/2 failed its gates: accuracy < 0.9;" in refusal(1, "promote", manifest, "iris", "2")


def test_gates_that_passed_are_told(manifest: Path) -> None:
    passed = json.dumps({"evaluation": {"gates": [{"expression": "accuracy < 0.9", "passed": True}]}})
    (manifest.parent / "iris-2.metadata.json").write_text(passed, encoding="utf-8")
    assert "passed its gates: accuracy < 0.9" in run("promote", manifest, "iris", "2").stdout


def test_who_made_a_change_is_written_beside_where_it_is_wanted(manifest: Path) -> None:
    assert run("promote", manifest, "iris", "2", "--by", "Ann <ann@shop>").exit_code == 0
    beside = manifest.parent / "changed-by.json"
    assert json.loads(beside.read_text(encoding="utf-8"))["by"] == "Ann <ann@shop>"
    assert run("rollback", manifest, "iris").exit_code == 0
    assert "@" in (said := json.loads(beside.read_text(encoding="utf-8")))["by"]
    assert said["by"] != "Ann <ann@shop>"


def test_standard_input_goes_to_standard_output_and_the_change_to_the_terminal() -> None:
    result = run("promote", "-", "iris", "2", given=MANIFEST)
    assert (result.exit_code, result.stdout) == (0, PROMOTED)
    assert '+    previous: "1"' in result.stderr
    same = run("promote", "-", "iris", "1", given=MANIFEST)
    assert (same.exit_code, same.stdout) == (0, MANIFEST)
    dry = run("promote", "-", "iris", "2", "--dry-run", given=MANIFEST)
    assert (dry.exit_code, dry.stdout) == (0, "")
    assert refusal(2, "promote", "-", "iris", "9", given=MANIFEST).startswith("standard input lists no version '9'")
    assert run("promote", "-", "iris", "2", "--json", given=MANIFEST).exit_code == 2


def config_map() -> dict[str, object]:
    """A ConfigMap as `kubectl get configmap models --output json` prints it."""
    metadata = {
        "name": "models",
        "namespace": "shop",
        "resourceVersion": "81",
        "uid": "1",
        "creationTimestamp": "2026-11-02T10:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "flagger.app/x": "y"},
    }
    data = {"models.yaml": MANIFEST, "iris-2.metadata.json": json.dumps({"evaluation": {"gates": []}})}
    kind = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    return {**kind, "data": data, "binaryData": {"iris-1.joblib": "AAEC"}}


def test_a_config_map_of_kubectl_comes_out_ready_to_be_applied() -> None:
    result = run("promote", "-", "iris", "2", "--by", "ann", given=json.dumps(config_map()))
    assert result.exit_code == 0, result.stderr
    out = json.loads(result.stdout)
    assert out["data"].pop("models.yaml") == PROMOTED
    said = json.loads(out["data"].pop("changed-by.json"))
    assert (said["by"], said["manifest"]) == ("ann", hashlib.sha256(PROMOTED.encode()).hexdigest())
    assert out["metadata"].pop("annotations").items() >= {"flagger.app/x": "y"}.items()
    assert out["metadata"] == {"name": "models", "namespace": "shop", "resourceVersion": "81"}
    assert out["binaryData"] == {"iris-1.joblib": "AAEC"}
    again = run("rollback", "-", "iris", "--by", "ann", given=result.stdout)
    assert json.loads(again.stdout)["data"]["models.yaml"] == BACK
    assert json.loads(again.stdout)["metadata"]["annotations"]["model-manager/changed-by"].startswith("ann")


def test_gates_are_looked_for_in_the_config_map() -> None:
    document = config_map()
    document["data"] = {"models.yaml": MANIFEST, "iris-2.metadata.json": json.dumps(GATES)}
    assert "iris/2 failed its gates: accuracy < 0.9" in refusal(
        1, "promote", "-", "iris", "2", given=json.dumps(document)
    )


def test_a_config_map_without_a_manifest_is_told() -> None:
    document = {**config_map(), "data": {}}
    said = refusal(2, "promote", "-", "iris", "2", given=json.dumps(document))
    assert said == "standard input holds no ConfigMap with models.yaml in its data; give one that does"


IN_GIT = f"""\
# reviewed by two
apiVersion: v1
kind: ConfigMap
metadata: {{name: models, annotations: {{team: shop}}}}
immutable: false   # on purpose
data:
  notes: "kept"
  models.yaml: |  # the wanted state
{textwrap.indent(MANIFEST, "      ")}
---
apiVersion: v1
kind: Service
metadata: {{name: other}}
"""


def test_a_config_map_in_a_file_is_changed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "configmap.yaml"
    path.write_text(IN_GIT, encoding="utf-8")
    assert run("promote", path, "iris", "2").exit_code == 0
    changed = path.read_text(encoding="utf-8")
    first, second = yaml.safe_load_all(changed)
    assert parse_manifest(first["data"]["models.yaml"].encode()).models["iris"].default == "2"
    assert second["kind"] == "Service"
    lines = IN_GIT.splitlines()
    assert [line for line in lines if line not in changed.splitlines()] == [
        line for line in lines if "default" in line or "the wanted state" in line
    ]
    assert run("rollback", path, "iris").exit_code == 0
    assert "# signed off by Ann" in path.read_text(encoding="utf-8")


def test_a_link_to_the_manifest_stays_a_link(manifest: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.yaml"
    link.parent.mkdir()
    link.symlink_to(manifest)
    assert run("promote", link, "iris", "2").exit_code == 0
    assert link.is_symlink()
    assert manifest.read_text() == PROMOTED


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(manifest: Path) -> None:
    with pytest.raises(ChangeRefused, match=r"was changed by somebody else meanwhile; nothing was written"):
        replace_file(manifest, b"mine", before=b"what I read")
    assert manifest.read_text() == MANIFEST
    assert os.listdir(manifest.parent) == ["models.yaml"]


KILLED = """
import os, pathlib, signal, sys
from model_manager.manifests.writing import replace_file

real, left = os.{call}, [{times}]
def until_killed(*arguments, **named):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)
os.{call} = until_killed
path = pathlib.Path(sys.argv[1])
replace_file(path, sys.argv[2].encode(), before=path.read_bytes())
"""


@pytest.mark.parametrize(
    ("call", "times", "left"),
    [("fchmod", 1, MANIFEST), ("fsync", 1, MANIFEST), ("rename", 1, MANIFEST), ("fsync", 2, PROMOTED)],
)
def test_a_process_that_is_killed_leaves_the_one_or_the_other(manifest: Path, call: str, times: int, left: str) -> None:
    script = KILLED.format(call=call, times=times)
    done = subprocess.run([sys.executable, "-c", script, str(manifest), PROMOTED], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert manifest.read_text() == left
    assert run("promote", manifest, "iris", "2").exit_code == 0
    assert manifest.read_text() == PROMOTED


asked: list[str | None] = []
"""With which token the keeper was asked."""


class Keeper(BaseHTTPRequestHandler):
    """Answers as the admin port of a server with a ledger does, or as something else."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")

    def do_GET(self) -> None:
        asked.append(self.headers.get("authorization"))
        code, headers, body = self.answer if self.path == "/ledger/last-good" else (404, {}, b"{}")
        self.send_response(code)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def keeper() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def generation(text: bytes) -> dict[str, str]:
    return {"content-type": "application/yaml", "x-generation": hashlib.sha256(text).hexdigest()}


def test_the_last_good_state_comes_back_whole(keeper: str, manifest: Path) -> None:
    manifest.write_text(PROMOTED, encoding="utf-8")
    Keeper.answer = (200, generation(MANIFEST.encode()), MANIFEST.encode())
    asked.clear()
    result = run("rollback", manifest, "--last-good", "--url", keeper)
    assert result.exit_code == 0, result.output
    assert manifest.read_text() == MANIFEST
    assert '-    previous: "1"' in result.stdout
    assert result.stdout.endswith(f"models.yaml is back at the last good state of {keeper}\n")
    assert "is already the last good" in run("rollback", manifest, "--last-good", "--url", keeper).stdout
    piped = run("rollback", "-", "--last-good", "--url", keeper, given=PROMOTED)
    assert piped.stdout == MANIFEST
    assert {*asked} == {None}
    (manifest.parent / "token").write_text("0123456789abcdef\n", encoding="utf-8")
    run("rollback", manifest, "--last-good", "--url", keeper, "--api-key-file", manifest.parent / "token")
    assert asked[-1] == "Bearer 0123456789abcdef"


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ((404, {}, b'{"error": "no state was good yet: iris/2 failed"}'), 1, "no state was good yet: iris/2 failed"),
        ((404, {}, b"<html>"), 2, "is it the admin port of a server that keeps a ledger?"),
        ((403, {}, b'{"error": "no token"}'), 2, "answers 403: no token"),
        ((200, generation(b"models: {}"), b"models: {"), 2, "cut short, or not that of a model-manager"),
        ((200, {}, b"models: {}"), 2, "cut short, or not that of a model-manager"),
        ((200, generation(b"model: {}"), b"model: {}"), 2, "unknown key"),
    ],
)
def test_an_answer_that_is_no_good_state_changes_nothing(
    keeper: str, manifest: Path, answer: tuple[int, dict[str, str], bytes], code: int, said: str
) -> None:
    Keeper.answer = answer
    assert said in refusal(code, "rollback", manifest, "--last-good", "--url", keeper)
    assert manifest.read_text() == MANIFEST


def test_a_server_that_cannot_be_asked_is_told(manifest: Path) -> None:
    assert "write it as http" in refusal(2, "rollback", manifest, "--last-good", "--url", "localhost:8081")
    said = refusal(2, "rollback", manifest, "--last-good", "--url", "http://127.0.0.1:1")
    assert said == "http://127.0.0.1:1/ledger/last-good cannot be asked: [Errno 111] Connection refused"


def test_a_version_that_is_promoted_gets_all_of_the_traffic(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(
        'models:\n  iris:\n    default: "1"\n    traffic: {"1": 90, "2": 10}  # since Monday\n    versions:\n'
        '      "1": {artifact: a.joblib}\n      "2": {artifact: b.joblib}\n'
    )
    result = run("promote", path, "iris", "2")
    assert result.exit_code == 0, result.output
    assert 'traffic: {"1": 0, "2": 100}  # since Monday' in path.read_text()
    assert "iris: 2 answers by default now, and gets all of the traffic (before: 1)" in result.stdout
    assert run("rollback", path, "iris").exit_code == 0
    assert 'traffic: {"1": 100, "2": 0}' in path.read_text()
    assert "answers by default already" in run("promote", path, "iris", "1").stdout
