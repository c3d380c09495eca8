"""What plain YAML loading would let pass, or die of: each is refused with its line."""

import contextlib
import itertools
import re
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import ManifestInvalid
from model_manager.repository.yaml_lines import read_yaml


def manifest(text: str) -> bytes:
    return textwrap.dedent(text).strip().encode()


def refused(text: str | bytes) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        read_yaml(text if isinstance(text, bytes) else manifest(text), "models.yaml")
    return str(caught.value)


def test_every_key_and_item_knows_its_line() -> None:
    document = read_yaml(
        manifest("""
        models:
          iris:
            versions:
              "1": [a,
                b]
        """),
        "models.yaml",
    )
    assert document.data == {"models": {"iris": {"versions": {"1": ["a", "b"]}}}}
    assert document.line_of(("models", "iris")) == 2
    assert document.line_of(("models", "iris", "versions", "1", 1)) == 5


def test_a_key_that_is_not_there_is_on_the_line_of_its_nearest_parent() -> None:
    document = read_yaml(b"a:\n  b: 1", "models.yaml")
    assert document.line_of(("a", "c", "d")) == 1
    assert str(document.refusal(("a", "c.d"), "is missing")) == 'models.yaml line 1: a."c.d": is missing'


MISTAKES = {
    "a version that is a number to YAML": (
        """
        models:
          iris:
            versions:
              1: {artifact: x}
        """,
        'models.yaml line 4: models.iris.versions: the key 1 is a number to YAML, not text: write "1" in quotes',
    ),
    "a version that is a date to YAML": (
        "models: {iris: {versions: {2026-11-02: {artifact: x}}}}",
        'the key 2026-11-02 is a date to YAML, not text: write "2026-11-02" in quotes',
    ),
    "a model called no": ("models: {no: {}}", 'the key no is a truth value to YAML, not text: write "no" in quotes'),
    "a key that is a list": ("models: {[a]: {}}", "models.yaml line 1: models: a key must be a string"),
    "a duplicate version": (
        """
        models:
          iris:
            versions:
              "1": {artifact: x}
              "2": {artifact: x}
              '1': {artifact: y}
        """,
        "models.yaml line 6: models.iris.versions.1: duplicate key (first on line 4)",
    ),
    "a duplicate model": ("models:\n  a: {}\n  a: {}", "line 3: models.a: duplicate key (first on line 2)"),
    "a duplicate key deep in the metadata": (
        "models: {a: {versions: {'1': {metadata: {data: {uri: x,\n uri: y}}}}}}",
        "line 2: models.a.versions.1.metadata.data.uri: duplicate key (first on line 1)",
    ),
    "a bracket that is not closed": ("models:\n  a: [1, x", "not YAML: while parsing a flow sequence"),
    "a bad indent": ("models:\n  a: 1\n    b: 2", "models.yaml line 3: not YAML: mapping values are not allowed"),
    "a tab": ("models:\n\ta: 1", "models.yaml line 2: not YAML: while scanning"),
    "two documents": ("models: {}\n---\nmodels: {}", "not YAML: expected a single document in the stream"),
    "an alias of nothing": ("models: *x", "models.yaml line 1: not YAML: found undefined alias"),
    "a merge key": (
        "x: &x {a: 1}\nmodels:\n  a: {<<: *x}",
        "models.yaml line 3: models.a: merge keys (<<) are not read here; write the keys out",
    ),
    "a tag": ("models: !!python/object:os.system {}", "models: the tag !!python/object:os.system is not read here"),
    "a set": ("models: !!set {a}", "models: the tag !!set is not read here"),
    "a tag on a text": ("models: !!binary aGk=", "models: the tag !!binary is not read here"),
    "a date that is none": ("models: {a: 2026-13-45}", "models.a: cannot read 2026-13-45: month must be in 1..12"),
    "a number too long": (f"models: {{a: {'9' * 5000}}}", "is it text? write it in quotes"),
    "an alias that holds itself": ("models: &x {a: *x}", "nested more than 32 deep"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_is_refused(text: str, message: str) -> None:
    answer = refused(text)
    assert message in answer
    assert re.match(r"models\.yaml line \d+: ", answer)


def test_text_that_is_not_utf8_is_refused_with_its_line() -> None:
    assert refused(b"models:\n  a: \xe9\n") == "models.yaml line 2: not UTF-8 text (byte 0xe9)"


def test_control_characters_are_refused_with_their_line() -> None:
    assert refused(b"models:\n  a: \x00\n") == "models.yaml line 2: holds the control character #x0000"


def test_a_bomb_of_aliases_is_refused_before_it_explodes() -> None:
    layers = "".join(
        f"{name}: &{name} [{','.join(['*' + last] * 20)}]\n" for last, name in itertools.pairwise("abcdef")
    )
    assert "aliases make the document many times larger" in refused("a: &a [x]\n" + layers)


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- "])
def test_nesting_without_end_is_refused_and_ends_no_process(opening: bytes) -> None:
    assert "nested more than 32 deep" in refused(opening * 100_000)


def test_a_manifest_larger_than_any_configmap_is_refused() -> None:
    assert refused(b"#" * (4 * 1024 * 1024 + 1)).startswith("models.yaml line 1: larger than 4 MiB")


@given(st.binary(max_size=200) | st.text(alphabet=" \n\t-:{}[]&*!|>'\"#a1.<=", max_size=60).map(str.encode))
def test_no_bytes_raise_anything_but_a_refusal(text: bytes) -> None:
    with contextlib.suppress(ManifestInvalid):
        read_yaml(text, "models.yaml")
