"""What refusals say of what there is: all of it while that is little, a number and where to look when it is much."""

import pytest
from model_manager.errors import ModelNotFound, VersionNotFound, VersionNotReady
from model_manager.repository.lifecycle import State
from model_manager.serving.registry import Registry
from model_manager.serving.views import ModelView, VersionStatus


def loading(*versions: str) -> ModelView:
    return ModelView(None, {}, {version: VersionStatus(version, State.LOADING) for version in versions})


def registry_of(count: int) -> Registry:
    registry = Registry()
    registry.read = True
    for number in range(count):
        registry.show(f"m{number}", loading("1"))
    return registry


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ModelNotFound, match=r"^no model 'x'; there are no models yet$"):
        registry_of(0).lease("x", None)
    with pytest.raises(ModelNotFound, match=r"^no model 'x'; models: m0, m1, m2$"):
        registry_of(3).lease("x", None)
    with pytest.raises(ModelNotFound, match=r"^no model 'x'; there are 5000 models, which the repository index lists$"):
        registry_of(5000).lease("x", None)


def test_no_model_is_said_to_be_missing_before_it_is_known_which_there_are() -> None:
    registry = Registry()
    with pytest.raises(VersionNotReady, match=r"^the models folder is being read$"):
        registry.lease("x", None)
    registry.problem = "models.yaml, line 3: what is this"
    with pytest.raises(VersionNotReady, match=r"^models.yaml, line 3: what is this$"):
        registry.model("x")


def test_a_version_that_is_not_there_is_refused_with_those_that_are() -> None:
    registry = Registry()
    registry.show("m", loading("10", "9"))
    with pytest.raises(VersionNotFound, match=r"^model 'm' has no version '8'; versions: 9, 10$"):
        registry.lease("m", "8")
    registry.show("m", loading(*map(str, range(60))))
    with pytest.raises(VersionNotFound, match=r"there are 60 versions, which the repository index lists$"):
        registry.lease("m", "80")


def test_a_version_that_is_not_ready_is_refused_with_its_state() -> None:
    with pytest.raises(VersionNotReady, match=r"^model 'm0' version '1' is loading$"):
        registry_of(1).lease("m0", "1")


def test_what_readiness_waits_for_is_named_up_to_a_number() -> None:
    assert Registry().waiting_for() == "no wanted state was read yet"
    assert registry_of(2).waiting_for() == "m0 version '1' is loading; m1 version '1' is loading"
    many = registry_of(5000).waiting_for()
    assert many.endswith("; m49 version '1' is loading; …")
    registry = registry_of(2)
    registry.problem = "there is no folder"
    assert registry.waiting_for() == "there is no folder"
    registry.reached = True
    assert registry.waiting_for() == ""
    registry.stopping = True
    assert registry.waiting_for() == "the server is stopping"


def test_what_is_shown_no_more_is_gone() -> None:
    registry = registry_of(1)
    registry.show("m0", None)
    registry.show("m0", None)
    assert not registry.models
    assert not registry.knows("m0", None)
