"""What the folder declares, less the models that an operator unloaded: what the manager converges to."""

from collections.abc import Iterable
from dataclasses import replace

from model_manager.repository.wanted import WantedState


class Declaration:
    """The wanted state as it was declared, and the models set aside until the folder wants them otherwise."""

    def __init__(self) -> None:
        self._declared: WantedState | None = None
        self._set_aside: set[str] = set()

    def __contains__(self, model: str) -> bool:
        return self._declared is not None and model in self._declared.models

    def becomes(self, declared: WantedState | None, changed: Iterable[str] | None) -> WantedState | None:
        """Take what is declared now, with the models that `changed`; give what is wanted of it."""
        self._set_aside.difference_update(changed or ())
        self._declared = declared
        return None if declared is None else self._wanted()

    def without(self, model: str) -> WantedState:
        """Set a model aside that is declared."""
        self._set_aside.add(model)
        return self._wanted()

    def again_with(self, model: str) -> WantedState:
        """Take up a model that is declared."""
        self._set_aside.discard(model)
        return self._wanted()

    def _wanted(self) -> WantedState:
        declared = self._declared
        assert declared is not None, "asked of what is declared"
        if not self._set_aside:
            return declared
        return replace(declared, models={k: v for k, v in declared.models.items() if k not in self._set_aside})
