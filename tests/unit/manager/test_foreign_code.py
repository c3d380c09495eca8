"""What a model's own code raises while it is loaded or compiled: that version's failure, told, and no other's."""

import asyncio
import json
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from model_manager.repository.lifecycle import State

from tests.models import dump, put
from tests.raising_model import RaisingRegressor
from tests.unit.manager.staging import ONE, TWO, is_ready, running, status
from tools.patience import until

ENDINGS = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    CancelledError(),
    StopIteration(),
    BaseException("of its own"),
]


@pytest.mark.parametrize("where", ["unpickling", "width", "predict"])
@pytest.mark.parametrize(
    "error", ENDINGS, ids=[f"{type(error).__module__}.{type(error).__name__}" for error in ENDINGS]
)
async def test_what_a_models_code_ends_programs_by_fails_that_version_alone(
    tmp_path: Path, error: BaseException, where: str
) -> None:
    package = put(tmp_path, "bad", "1", dump(RaisingRegressor(where, error)))
    (package / "metadata.json").write_text(json.dumps({"golden": {"instances": [[0, 0]], "outputs": {"predict": [0]}}}))
    put(tmp_path, "good", "1", ONE)
    async with running(tmp_path) as system:
        await until(lambda: is_ready(system, "good"), "the other model to be ready")
        await until(lambda: status(system, "bad")[0] is State.FAILED, "the version to fail")
        reason = status(system, "bad")[1]
        assert type(error).__name__ in reason
        assert str(error) in reason
        put(tmp_path, "bad", "2", TWO)
        await until(lambda: is_ready(system, "bad", "2"), "the next version to be ready")


class Unspeakable(BaseException):
    """Cannot even be put into words."""

    def __str__(self) -> str:
        raise SystemExit(4)


class UnspeakableError(Unspeakable, Exception):
    """An ordinary one that cannot."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unspeakable(), "model_raised: proving it raised Unspeakable: its message cannot be read (SystemExit)"),
        (UnspeakableError(), "internal: proving it raised UnspeakableError: its message cannot be read (SystemExit)"),
    ],
)
async def test_an_exception_whose_text_raises_is_told_by_its_name(
    tmp_path: Path, error: BaseException, reason: str
) -> None:
    put(tmp_path, "bad", "1", dump(RaisingRegressor("width", error)))
    async with running(tmp_path) as system:
        await until(lambda: status(system, "bad")[0] is State.FAILED, "the version to fail")
        assert status(system, "bad")[1] == reason


async def test_what_ends_programs_while_forms_are_looked_for_leaves_the_version_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*arguments: Any, **options: Any) -> Any:
        raise SystemExit(5)

    monkeypatch.setattr("model_manager.inference.compiled.compilation.candidates", ends)
    put(tmp_path, "m", "1", ONE)
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: is_ready(system, "m"), "the version to be ready")
        servable = system.registry.servable("m", None)
        await until(lambda: servable.report is not None, "the search to end")
        assert servable.form.properties() == {
            "form": "sklearn",
            "not_compiled_because": "compiling failed: SystemExit: 5",
        }
        assert is_ready(system, "m")
