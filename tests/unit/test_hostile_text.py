"""A manifest or metadata made to hurt is refused in a bounded number of steps, with what to do."""

import json
import subprocess
import sys

import pytest
from model_manager.errors import LoadFailed, ManifestInvalid
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.metadata import parse_metadata

from tools.patience import stretched

MB = 10**6
HOSTILE = {
    "a flow of small mappings": (b"[" + b"{a: 1}," * (4 * MB // 7) + b"]", "holds more than 100,000 keys and values"),
    "a flow of numbers": (b"[" + b"1," * (2 * MB - 1) + b"]", "holds more than 100,000 keys and values"),
    "keys without end": (b"".join(b"k%07d: 1\n" % i for i in range(300_000)), "more than 100,000 keys and values"),
    "documents without end": (b"--- a\n" * (4 * MB // 6), "holds more than 100,000 keys and values"),
    "a number of base 60": (b"models: 1" + b":59" * MB, "is it text? write it in quotes"),
    "a number of a million digits": (b"models: " + b"9" * MB, "is it text? write it in quotes"),
    "a long text, often": (b"a: &a " + b"x" * MB + b"\nb: [" + b"*a," * 9000 + b"]", "aliases make the document many"),
    "a long key, often": (b"? &a " + b"x" * 900 + b"\n:\n" + b"- {*a : 1}\n" * 9000, "aliases make the document many"),
}


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """What is said of each, from a process of its own: what has no bound would take days, or all of the memory."""
    program = "import tests.unit.test_hostile_text as it; it.print_refusals()"
    asked = [sys.executable, "-c", program]
    done = subprocess.run(asked, capture_output=True, timeout=stretched(40), check=True)
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_manifest_is_refused_soon(told: dict[str, str], name: str) -> None:
    assert HOSTILE[name][1] in told[name]


def print_refusals() -> None:
    print(json.dumps({name: refusal(text) for name, (text, _) in HOSTILE.items()}))  # noqa: T201 - for another process


def refusal(text: bytes) -> str:
    try:
        parse_manifest(text)
    except ManifestInvalid as error:
        return str(error)
    return "accepted"


def test_a_thousand_models_are_accepted() -> None:
    entries = {f"m{n}": {"versions": {"1": {"artifact": "x", "sha256": "a" * 64}}} for n in range(1000)}
    assert len(parse_manifest(json.dumps({"models": entries}).encode()).models) == 1000


@pytest.mark.parametrize(
    "entry",
    [
        "batching: {max_delay_ms: 1e300}",
        "batching: {max_delay_ms: 60001}",
        "batching: {max_delay_ms: .inf}",
        "batching: {max_delay_ms: .nan}",
        "batching: {max_rows: 99999999999999999999}",
        "batching: {max_queue_rows: 99999999999999999999}",
        "timeout_ms: 1e300",
        "timeout_ms: .nan",
        "timeout_ms: .inf",
    ],
)
def test_numbers_beyond_reason_are_refused_with_the_key(entry: str) -> None:
    text = f'models: {{m: {{versions: {{"1": {{artifact: x}}}}, {entry.replace("1e300", "1.0e+300")}}}}}'
    told = refusal(text.encode())
    assert f"models.m.{entry.split(':')[0]}" in told
    assert "must be" in told


@pytest.mark.parametrize(
    "metadata",
    [
        {"artifact": {"file": "x", "sha256": "a" * 64, "bytes": 10**30}},
        {"inputs": [{"datatype": "FP64", "shape": [-1, 10**12]}]},
        {"inputs": [{"datatype": "FP64", "shape": [-1, -7]}]},
        {"outputs": [{"name": "predict", "datatype": "FP64", "shape": [-1, 10**12]}]},
        {"data": {"uri": "x", "sha256": "a" * 64, "rows": -1, "columns": 1}},
        {"evaluation": {"dataset": "x", "rows": 10**30, "metrics": {}}},
        {"baseline": {"features": {"a": {"counts": [-1]}}, "outputs": {}}},
    ],
)
def test_numbers_of_metadata_have_bounds(metadata: dict[str, object]) -> None:
    with pytest.raises(LoadFailed, match=r"metadata\.json: .*should be"):
        parse_metadata(json.dumps(metadata).encode())
