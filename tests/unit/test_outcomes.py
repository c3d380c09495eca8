"""Every error has a code, and the tree in the docstring is the tree."""

import re
from collections.abc import Iterator

import pytest
from model_manager import errors
from model_manager.errors import ModelManagerError
from model_manager.serving.outcomes import CODES, code_of


def leaves(kind: type[ModelManagerError] = ModelManagerError) -> Iterator[type[ModelManagerError]]:
    subclasses = kind.__subclasses__()
    if not subclasses:
        yield kind
    for subclass in subclasses:
        yield from leaves(subclass)


NEVER_OF_A_ROUTE = {
    "QueryFailed": "commands raise it that ask Prometheus or a server",
    "NotDelivered": "the thread of records raises it",
    "ServerRefused": "the command compare raises it",
    "StoreFailed": "publish raises it; of a load it becomes LoadFailed",
}
ANSWERED = [kind for kind in leaves() if kind.__name__ not in NEVER_OF_A_ROUTE]


@pytest.mark.parametrize("kind", ANSWERED, ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_of_its_own_or_of_its_family(kind: type[ModelManagerError]) -> None:
    family = [parent for parent in kind.__mro__ if parent in CODES and parent is not ModelManagerError]
    assert family, f"{kind.__name__} needs a code in outcomes.py"
    assert code_of(kind.__new__(kind)) == CODES[family[0]]


def test_what_is_not_ours_is_500() -> None:
    assert code_of(KeyError("x")) == 500


def test_the_tree_in_the_docstring_names_every_error() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"ModelManagerError"}
    defined = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == "model_manager.errors"
    }
    assert drawn == defined
