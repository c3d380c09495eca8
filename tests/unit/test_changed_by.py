"""Who changed models.yaml, as changed-by.json beside it says: read with the manifest, and never in its way."""

import hashlib
import json
from pathlib import Path

import pytest
from model_manager.repository.changed_by import ChangedBy
from model_manager.repository.source import Source

from tests.models import constant, dump, put
from tools.kubelet import ConfigMapVolume

MANIFEST = b'models: {m: {versions: {"1": {artifact: m-1.joblib}}}}\n'
DIGEST = hashlib.sha256(MANIFEST).hexdigest()


@pytest.mark.parametrize(
    ("said", "expected", "warning"),
    [
        ({"by": "ana", "at": "2026-11-02", "commit": "abc"}, ChangedBy("ana", "2026-11-02", "abc"), ""),
        ({"by": "ana", "manifest": DIGEST, "tool": "ours"}, ChangedBy("ana", manifest=DIGEST), ""),
        ({"by": "ana", "manifest": "0" * 64}, None, "is about another models.yaml"),
        ({"at": "2026-11-02"}, None, "missing required field `by`"),
        ({"by": 7}, None, "Expected `str`, got `int`"),
        ({"by": "a" * 301}, None, "length <= 300"),
        ("[" * 50_000, None, "says nothing of who changed models.yaml"),
        ("x" * 70_000, None, "it only says who, when and which commit"),
    ],
)
def test_what_it_says_and_what_it_does_not(
    tmp_path: Path, said: object, expected: ChangedBy | None, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    volume = ConfigMapVolume(tmp_path / "models")
    text = said if isinstance(said, str) else json.dumps(said)
    volume.write({"models.yaml": MANIFEST, "changed-by.json": text.encode()})
    source = Source(tmp_path / "models")
    for state in (source.read(), source.read()):
        assert list(state.models) == ["m"]
        assert state.declared.changed_by == expected
        assert (state.declared.generation, state.declared.manifest) == (DIGEST, MANIFEST)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == (1 if warning else 0)
    assert all(warning in one for one in warnings)


def test_a_manifest_of_which_nobody_says_anything(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_bytes(MANIFEST)
    assert Source(tmp_path).read().declared.changed_by is None


def test_the_generation_of_a_folder_is_that_of_all_it_wants(tmp_path: Path) -> None:
    source = Source(tmp_path)
    generations = []
    for version, answer in (("1", 1.0), ("2", 2.0)):
        put(tmp_path, "m", version, dump(constant(answer)))
        generations.append(source.read().declared.generation)
    (tmp_path / "m" / "2").rename(tmp_path / ".2")
    generations.append(source.read().declared.generation)
    first, second, third = generations
    assert first == third != second
    assert Source(tmp_path).read().declared.generation == first
    assert source.read().declared.manifest is None
