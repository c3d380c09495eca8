"""Whatever moment the kubelet chooses, one read yields one generation of the ConfigMap, never a mix of two."""

import builtins
import contextlib
import hashlib
import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.errors import SourceUnreadable
from model_manager.repository.source import Source
from model_manager.repository.wanted import WantedState

from tools.kubelet import ConfigMapVolume, Step

Payload = dict[str, bytes]


def with_manifest(generation: int) -> Payload:
    """Every generation differs from every other in the bytes, metadata and number of its models."""
    models = range(1 + generation % 3)
    lines = ["models:", *(f"  m{i}: {{versions: {{'1': {{artifact: m{i}.joblib}}}}}}" for i in models)]
    payload = {"models.yaml": "\n".join(lines).encode()}
    for i in models:
        payload[f"m{i}.joblib"] = f"{i} of {generation}".encode()
        payload[f"m{i}.metadata.json"] = f'{{"name": "{generation}"}}'.encode()
    return payload


def as_repository(generation: int) -> Payload:
    """The same, as `items[].path` would lay it out: here a folder that is half deleted looks like a smaller one."""
    payload = {}
    for i, version in itertools.product(range(1 + generation % 3), "12"):
        payload[f"m{i}/{version}/model.joblib"] = f"{i} of {generation}".encode()
        payload[f"m{i}/{version}/metadata.json"] = f'{{"name": "{generation}"}}'.encode()
    return payload


Layout = Callable[[int], Payload]
LAYOUTS: list[Layout] = [with_manifest, as_repository]
GENERATIONS = 6


def undisturbed(payload: Payload) -> WantedState:
    with tempfile.TemporaryDirectory() as folder:
        ConfigMapVolume(Path(folder)).write(payload)
        return Source(Path(folder)).read()


STATES: dict[Layout, list[WantedState]] = {
    layout: [undisturbed(layout(number)) for number in range(GENERATIONS)] for layout in LAYOUTS
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("links_before_swap", [False, True])
def test_the_state_changes_with_the_swap_and_with_nothing_else(
    tmp_path: Path, layout: Layout, links_before_swap: bool
) -> None:
    volume = ConfigMapVolume(tmp_path, links_before_swap=links_before_swap)
    volume.write(layout(0))
    source = Source(tmp_path)
    seen: list[tuple[Step, bool]] = []
    volume.write(layout(1), at_step=lambda step: seen.append((step, source.read() == STATES[layout][1])))
    steps = [step for step, _ in seen]
    swapped = steps.index("swapped")
    assert [new for _, new in seen] == [index >= swapped for index in range(len(steps))]


@contextlib.contextmanager
def interrupted(moments: Collection[int], act: Callable[[], object]) -> Iterator[None]:
    """Call `act` before each of the given file operations, counted from 1."""
    count, acting = itertools.count(1), False

    def wrapped(really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal acting
            if not acting and next(count) in moments:
                acting = True
                act()
                acting = False
            return really(*args, **options)

        return call

    with contextlib.ExitStack() as patches:
        for where, name in [(os, "stat"), (os, "lstat"), (os, "readlink"), (os, "listdir"), (builtins, "open")]:
            patches.enter_context(mock.patch.object(where, name, wrapped(getattr(where, name))))
        yield


@given(layout=st.sampled_from(LAYOUTS), moments=st.sets(st.integers(1, 80), max_size=GENERATIONS - 1))
@settings(max_examples=150, deadline=None)
def test_swaps_at_any_file_operations_yield_the_generation_that_was_there_when_the_read_ended(
    layout: Layout, moments: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume, numbers = ConfigMapVolume(Path(folder)), itertools.count()
        written: list[int] = []

        def swap() -> None:
            written.append(next(numbers))
            volume.write(layout(written[-1]))

        swap()
        source = Source(Path(folder))
        with interrupted(moments, swap):
            state = source.read()
        # The last swap may have come with the very last look at `..data`: then its predecessor is the right answer.
        assert state in [STATES[layout][number] for number in written[-2:]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reading_beside_a_kubelet_that_never_rests_yields_whole_generations(tmp_path: Path, layout: Layout) -> None:
    volume = ConfigMapVolume(tmp_path)
    volume.write(layout(0))
    source, stop = Source(tmp_path), threading.Event()

    def write() -> None:
        for number in itertools.cycle(range(GENERATIONS)):
            if stop.is_set():
                return
            volume.write(layout(number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(150):
            with contextlib.suppress(SourceUnreadable):  # replaced ten times in one read: said so, and read again
                assert source.read() in STATES[layout]
    finally:
        stop.set()
        writer.join()


def test_a_folder_that_is_replaced_during_every_attempt_is_trouble(tmp_path: Path) -> None:
    volume = ConfigMapVolume(tmp_path)
    numbers = itertools.count()
    volume.write(with_manifest(next(numbers)))
    source = Source(tmp_path)
    with (
        interrupted(range(1, 10_000), lambda: volume.write(with_manifest(next(numbers)))),
        pytest.raises(SourceUnreadable, match="was replaced 10 times while being read"),
    ):
        source.read()


def test_a_location_outlives_the_generation_it_was_read_in(tmp_path: Path) -> None:
    volume = ConfigMapVolume(tmp_path)
    manifest = b"models: {a: {versions: {'1': {artifact: a.joblib}}}}"
    volume.write({"models.yaml": manifest, "a.joblib": b"a"})
    source = Source(tmp_path)
    before = source.read()
    volume.write({"models.yaml": manifest, "a.joblib": b"a", "b.joblib": b"b"})
    assert Path(before.models["a"].versions["1"].location).read_bytes() == b"a"
    assert source.read() == before


def test_paths_of_items_make_a_repository(tmp_path: Path) -> None:
    ConfigMapVolume(tmp_path).write({"iris/1/model.joblib": b"a", "iris/1/metadata.json": b"{}"})
    version = Source(tmp_path).read().models["iris"].versions["1"]
    assert (version.metadata, version.digest) == (b"{}", hashlib.sha256(b"a").hexdigest())
