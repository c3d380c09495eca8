"""server/model_manager/serving/keys.py: who is let in, for what, how often; and which files of keys are refused."""

import hashlib
import os
from pathlib import Path
from time import monotonic

import pytest
from model_manager.errors import (
    ConfigurationError,
    KeysInvalid,
    ModelForbidden,
    MountUnusable,
    RateLimited,
    Unauthenticated,
)
from model_manager.metrics import Metrics
from model_manager.serving.keys import Keyring, new_key, parse_keys

A, B = "0" * 63 + "a", "b" * 64


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def keyring(tmp_path: Path, *more: str, workers: int = 1) -> tuple[Keyring, Metrics]:
    """One key, "secret", of "shop", with more said of it."""
    said = "".join(f", {each}" for each in more)
    (tmp_path / "keys.yaml").write_text(f"keys: {{shop: {{sha256: {sha256('secret')}{said}}}}}")
    metrics = Metrics()
    return Keyring(tmp_path / "keys.yaml", metrics, workers=workers), metrics


def counted(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {series.labels: series.value for series in metrics.client_requests.family().series if series.value}


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer secret")],
        [(b"host", b"x"), (b"authorization", b"bearer  secret ")],
        [(b"x-api-key", b"secret")],
        [(b"authorization", b"Bearer of.the.mesh"), (b"x-api-key", b"secret")],
    ],
)
def test_a_known_key_is_admitted(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    keys, metrics = keyring(tmp_path)
    client = keys.admit(headers, "iris")
    assert (client.id, client.may_use("anything")) == ("shop", True)
    assert counted(metrics) == {("shop", "admitted"): 1}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"secret")],
        [(b"authorization", b"Basic secret")],
        [(b"authorization", b"Bearer")],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"Secret")],
        [(b"x-api-key", b"\xff\x00")],
        [(b"x-api-key", sha256("secret").encode())],
        [(b"x-api-key", b"wrong"), (b"authorization", b"Bearer secret")],
    ],
)
def test_no_other_is(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    keys, metrics = keyring(tmp_path)
    with pytest.raises(Unauthenticated):
        keys.admit(headers, "iris")
    assert counted(metrics) == {("", "unauthenticated"): 1}


@pytest.mark.parametrize(
    ("model", "allowed"),
    [("iris", True), ("churn-eu", True), ("churn-", True), ("churn", False), ("iris2", False), ("xiris", False),
     ("iris\n", False), ("", False)],
)  # fmt: skip
def test_a_key_is_for_the_models_it_names(tmp_path: Path, model: str, allowed: bool) -> None:
    keys, metrics = keyring(tmp_path, "models: [iris, churn-*]")
    headers = [(b"x-api-key", b"secret")]
    assert keys.admit(headers, None).may_use(model) is allowed
    if not allowed:
        with pytest.raises(ModelForbidden, match="may not use model"):
            keys.admit(headers, model)
        assert counted(metrics)[("shop", "forbidden")] == 1
    else:
        assert keys.admit(headers, model).id == "shop"


@pytest.mark.parametrize(("workers", "at_once"), [(1, 4), (2, 2), (64, 1)])
def test_a_rate_is_held_to_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, at_once: int
) -> None:
    now = monotonic()
    monkeypatch.setattr("model_manager.serving.keys.monotonic", lambda: now)
    keys, metrics = keyring(tmp_path, "requests_per_second: 0.5, burst: 4", workers=workers)
    headers = [(b"x-api-key", b"secret")]
    for _ in range(at_once):
        keys.admit(headers, "iris")
    with pytest.raises(RateLimited) as limited:
        keys.admit(headers, "iris")
    assert limited.value.retry_after_s == 2 * workers
    keys.use(keys.read())  # which gives nothing back
    with pytest.raises(RateLimited):
        keys.admit(headers, "iris")
    now += 2 * workers
    keys.admit(headers, "iris")
    with pytest.raises(RateLimited):
        keys.admit(headers, "iris")
    assert counted(metrics) == {("shop", "admitted"): at_once + 1, ("shop", "rate_limited"): 3}


def test_a_rate_is_one_seconds_worth_at_once_where_no_burst_is_said(tmp_path: Path) -> None:
    keys, _ = keyring(tmp_path, "requests_per_second: 3")
    for _ in range(3):
        keys.admit([(b"x-api-key", b"secret")], None)


REFUSED = {
    "": "must be one mapping, `keys:`",
    "keys: {}": "there are no API keys",
    "keys: []": "must be one mapping",
    f"keys: {{a: {{sha256: {A}}}}}\nkey: {{}}": "must be one mapping",
    f"keys:\n  a: {{sha256: {A}}}\n  a: {{sha256: {B}}}": "line 3: keys.a: duplicate key",
    f"keys:\n  a: {{sha256: {A}}}\n  b: {{sha256: {A}}}": "keys.b: is the same key as a",
    "keys:\n  a: {sha256: hunter2}": "line 2: keys.a.sha256: must be 64 lower-case hex digits",
    f"keys: {{a: {{sha256: {sha256('')}}}}}": "keys.a: is the digest of no key at all",
    "keys:\n  a: {sha256: 12}": "keys.a.sha256: must be 64",
    "keys:\n  a: hunter2": "line 2: keys.a: ",
    "keys:\n  a: {}": "keys.a.sha256: is required",
    f"keys:\n  a: {{sha256: {A}, model: [x]}}": "keys.a.model: ",
    f"keys:\n  a: {{sha256: {A}, models: []}}": "keys.a.models: ",
    f"keys:\n  a: {{sha256: {A}, models: ['x/y']}}": "keys.a.models: ",
    f"keys:\n  a: {{sha256: {A}, requests_per_second: 0}}": "keys.a.requests_per_second: ",
    f"keys:\n  a: {{sha256: {A}, requests_per_second: .inf}}": "keys.a.requests_per_second: ",
    f"keys:\n  a: {{sha256: {A}, burst: 0}}": "keys.a.burst: ",
    f"keys:\n  'a b': {{sha256: {A}}}": "line 2: an id is letters",
    "keys: {a: {sha256: 2026-13-45}}": "a value cannot be read",
    "keys: !!python/object:os.system {}": "the tag",
    "hunter2: [": "not YAML",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_file_is_refused_whole_and_quotes_no_value(text: str) -> None:
    with pytest.raises(KeysInvalid) as refused:
        parse_keys({"keys.yaml": text.encode()})
    assert REFUSED[text] in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert A not in str(refused.value)


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    """A mounted Secret: its files are links into the generation that `..data` names."""
    generation = tmp_path / "..2026"
    generation.mkdir()
    (tmp_path / "..data").symlink_to(generation.name)
    for name, digest in (("a", A), ("b", B)):
        (generation / f"{name}.yaml").write_text(f"keys: {{{name}: {{sha256: {digest}}}}}")
        (tmp_path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    keys = Keyring(tmp_path, Metrics(), workers=1)
    assert keys.read().keys() == {"a", "b"}
    (generation / "b.yaml").write_text(f"keys: {{a: {{sha256: {B}}}}}")
    with pytest.raises(KeysInvalid, match=r"b\.yaml: keys\.a: another file has this id too"):
        keys.read()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "huge", "wb") as huge:
        huge.truncate(3 << 30)
    (tmp_path / "empty").mkdir()
    for name, problem in (("pipe", "is not a file"), ("huge", "larger than"), ("none", "cannot be read")):
        with pytest.raises(MountUnusable, match=problem):
            Keyring(tmp_path / name, Metrics(), workers=1)
    with pytest.raises(ConfigurationError, match="there are no API keys"):
        Keyring(tmp_path / "empty", Metrics(), workers=1)


def test_a_client_that_is_gone_takes_its_series_along(tmp_path: Path) -> None:
    keys, metrics = keyring(tmp_path)
    keys.admit([(b"x-api-key", b"secret")], None)
    keys.use(parse_keys({"keys.yaml": f"keys: {{bank: {{sha256: {A}}}}}".encode()}))
    with pytest.raises(Unauthenticated):
        keys.admit([(b"x-api-key", b"secret")], None)
    assert {series.labels[0] for series in metrics.client_requests.family().series} == {"", "bank"}


def test_new_keys_are_of_256_random_bits() -> None:
    first, second = new_key(), new_key()
    assert first != second
    assert len(first) == len("mmk_") + 43
