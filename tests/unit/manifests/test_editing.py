"""The text of a manifest is changed where the default stands, and nowhere else, however people wrote it."""

import difflib
import textwrap
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import ChangeRefused, ManifestInvalid
from model_manager.manifests.changing import Change, promote, roll_back
from model_manager.manifests.holding import read_holder
from model_manager.repository.manifest import parse_manifest

COMMENTS = st.sampled_from(["", "", "  # what Ann said", "   # default: 'no'", "\t# é {x: [1"])
LINES = st.lists(st.sampled_from(["", "# a comment", "      # indented: deep", "#default: x"]), max_size=2)
TWO = "{'1': {artifact: x}, '2': {artifact: y}}"
NAMES = st.sampled_from(["1", "2", "10", "v1", "2026-11-02.1", "true", "null", "1e3"])


def promoted(manifest: str, model: str, version: str) -> Change:
    return promote(read_holder(manifest.encode(), "models.yaml", None), model, version, force=False, name="models.yaml")


def rolled_back(manifest: str, model: str, to: str | None = None) -> Change:
    return roll_back(read_holder(manifest.encode(), "models.yaml", None), model, to, force=False, name="models.yaml")


@dataclass(frozen=True)
class Written:
    """A manifest as somebody wrote it, and of one of its models the versions and the one that answers."""

    text: str
    versions: list[str]


def quoted(draw: st.DrawFn, value: str) -> str:
    styles = ['"{}"', "'{}'", *(["{}"] if value[0] == "v" else [])]
    return draw(st.sampled_from(styles)).format(value)


@st.composite
def entries(draw: st.DrawFn, name: str) -> tuple[list[str], list[str]]:
    """The lines of one model, and its versions."""
    versions = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    keys = [f"timeout_ms: {draw(st.integers(1, 9))}", "batching: { max_rows:   7 }"]
    keys = draw(st.lists(st.sampled_from(keys), max_size=2, unique=True))
    for key in ("default", "previous"):
        if draw(st.booleans()):
            value = draw(st.sampled_from([*versions, ""]))
            keys.append(f"{key}: {quoted(draw, value) if value else ''}")
    listed = [f"{quoted(draw, version)}: {{artifact:  x-{version}.joblib}}" for version in versions]
    if draw(st.booleans()):  # in braces
        keys.append(f"versions: {{ {', '.join(listed)} }}")
        keys = draw(st.permutations(keys))
        return [f"  {name}: {{{', '.join(keys)}}}{draw(COMMENTS)}"], versions
    deep = " " * draw(st.integers(3, 7))
    blocks = [[f"{deep}{key}{draw(COMMENTS)}", *draw(LINES)] for key in keys]
    deeper = f"{deep}{' ' * draw(st.integers(1, 4))}"
    blocks.append([f"{deep}versions:", *[f"{deeper}{one}{draw(COMMENTS)}" for one in listed]])
    blocks = draw(st.permutations(blocks))
    return [f"  {name}:{draw(COMMENTS)}", *draw(LINES), *(line for block in blocks for line in block)], versions


@st.composite
def manifests(draw: st.DrawFn) -> Written:
    """A manifest with the model `iris`, maybe among others, with comments wherever they may stand."""
    order = draw(st.permutations(["iris", *draw(st.lists(st.sampled_from(["wine", '"on"', "_x"]), unique=True))]))
    lines, versions = [*draw(LINES), f"models:{draw(COMMENTS)}"], list[str]()
    for name in order:
        block, of_model = draw(entries(name))
        lines += [*block, *draw(LINES)]
        versions = of_model if name == "iris" else versions
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    text = draw(st.sampled_from(["", "\ufeff"])) + line_end.join(lines) + draw(st.sampled_from(["", line_end]))
    return Written(text, versions)


@given(written=manifests(), data=st.data())
def test_only_the_default_and_the_one_before_change(written: Written, data: st.DataObject) -> None:
    before = parse_manifest(written.text.encode())
    version = data.draw(st.sampled_from(written.versions))
    change = promoted(written.text, "iris", version)
    after = parse_manifest(change.new)
    was, now = before.models["iris"], after.models["iris"]
    assert now.default == version
    assert now.previous == (was.default_version if was.default_version != version else was.previous)
    unchanged = {"default": None, "previous": None}
    assert now.model_copy(update=unchanged) == was.model_copy(update=unchanged)
    assert {**after.models, "iris": was} == dict(before.models)
    old, new = (text.splitlines(keepends=True) for text in (written.text, change.new.decode()))
    lost, found = (
        [line[2:].rstrip("\r\n") for line in difflib.ndiff(old, new) if line.startswith(sign)] for sign in "-+"
    )
    assert len(found) <= 2 + (not written.text.endswith("\n"))
    assert all("default" in line or "previous" in line or not written.text.endswith("\n") for line in found)
    # A comment at the end of a line outlives the line's change.
    assert [line.partition("#")[2] for line in lost if "#" in line] == [
        line.partition("#")[2] for line in found if "#" in line
    ]
    assert change.new.count(b"\r\n") == (change.new.count(b"\n") if "\r\n" in written.text else 0)
    back = rolled_back(change.new.decode(), "iris", was.default_version)
    assert parse_manifest(back.new).models["iris"].default_version == was.default_version


def test_keys_that_are_not_there_go_below_their_parent_above_all_else() -> None:
    text = "models:\n  iris:   # flowers\n    # signed off\n    versions: {'1': {artifact: x}, '2': {artifact: y}}\n"
    assert promoted(text, "iris", "1").new.decode() == text.replace(
        "# flowers\n", '# flowers\n    default: "1"\n    previous: "2"\n'
    )


def test_the_quotes_and_the_comment_of_a_default_stay() -> None:
    text = "models:\n  iris:\n    default: '1'  # until May\n    versions: {'1': {artifact: x}, '2': {artifact: y}}\n"
    changed = promoted(text, "iris", "2").new.decode()
    assert "    default: '2'  # until May\n    previous: \"1\"\n" in changed


def test_a_manifest_in_braces_stays_json() -> None:
    text = '{"models": {"iris": {"versions": {"1": {"artifact": "x"}, "2": {"artifact": "y"}}}}}'
    changed = promoted(text, "iris", "1").new.decode()
    assert '{"iris": {"default": "1", "previous": "2", "versions"' in changed


def test_a_default_over_several_lines_is_replaced() -> None:
    text = "models:\n  iris:\n    default: >-\n      1\n\n    versions: {'1': {artifact: x}, '2': {artifact: y}}\n"
    assert 'default: "2"\n    previous: "1"\n\n    versions' in promoted(text, "iris", "2").new.decode()


def test_the_default_of_the_newest_is_written_down_and_has_no_previous() -> None:
    text = "models:\n  iris:\n    versions: {'1': {artifact: x}, '2': {artifact: y}}\n"
    assert promoted(text, "iris", "2").new.decode() == text.replace("iris:\n", 'iris:\n    default: "2"\n')


def test_what_is_the_default_already_is_left_alone() -> None:
    text = "models: {iris: {default: '1', versions: {'1': {artifact: x}}}}"
    assert promoted(text, "iris", "1").new == text.encode()


def test_rolling_back_twice_leads_back() -> None:
    text = "models:\n  iris:\n    default: '1'\n    versions: {'1': {artifact: x}, '2': {artifact: y}}\n"
    there = promoted(text, "iris", "2").new.decode()
    back = rolled_back(there, "iris").new.decode()
    assert (parse_manifest(back.encode()).models["iris"].default, rolled_back(back, "iris").new.decode()) == (
        "1",
        there,
    )


@pytest.mark.parametrize(
    "entry",
    [
        f"  wine: &one\n    versions: {TWO}\n  iris: *one\n",
        f"  iris: &one\n    versions: {TWO}\n  wine: *one\n",
        f"  iris: {{default: &v '1', versions: {TWO}}}\n  wine: {{default: *v, versions: {TWO}}}\n",
    ],
)
def test_an_entry_that_is_shared_is_not_changed_under_the_other(entry: str) -> None:
    with pytest.raises(ChangeRefused, match=r"models.yaml: the entry of iris cannot be changed by itself.*anchor"):
        promoted(f"models:\n{entry}", "iris", "2" if "default" in entry else "1")


def test_a_default_that_is_an_alias_is_replaced_where_it_stands() -> None:
    text = """
        models:
          wine: {default: &v "2", versions: {"2": {artifact: x}}}
          iris: {default: *v, versions: {"1": {artifact: x}, "2": {artifact: y}}}
        """
    changed = promoted(textwrap.dedent(text), "iris", "1").new.decode()
    assert '{default: "1", previous: "2", versions' in changed
    assert 'wine: {default: &v "2"' in changed


def test_what_is_not_listed_is_told_with_what_is() -> None:
    text = "models:\n  iris:\n    versions: {'9': {artifact: x}, '10': {artifact: y}}\n"
    with pytest.raises(ChangeRefused, match=r"models.yaml lists no version '2' of iris; it lists 9, 10"):
        promoted(text, "iris", "2")
    with pytest.raises(ChangeRefused, match=r"models.yaml has no model 'wine'; it lists iris"):
        promoted(text, "wine", "1")
    with pytest.raises(ChangeRefused, match=r"no previous default of iris is recorded .*: --to 9$"):
        rolled_back(text, "iris")


def test_a_manifest_that_no_server_would_accept_is_refused_with_its_line() -> None:
    with pytest.raises(ManifestInvalid, match=r"models.yaml line 3: models.iris.defualt"):
        promoted("models:\n  iris:\n    defualt: '1'\n    versions: {'1': {artifact: x}}\n", "iris", "1")
    with pytest.raises(ManifestInvalid, match=r"line 1: models.a.previous: '3' is not among the versions \(1\)"):
        parse_manifest(b"models: {a: {previous: '3', versions: {'1': {artifact: x}}}}")
