"""Which versions may have changed something of the process, told to whoever reads the log.

In the flow: registry → **suspects** → process state.
"""

from typing import Final

from model_manager.repository.lifecycle import State
from model_manager.serving.registry import Registry
from model_manager.serving.version_metrics import known_versions

_MOST_NAMED: Final = 20
_RUN_CODE: Final = (State.LOADING, State.PROVING)


def suspects(registry: Registry, since: float) -> str:
    """The versions whose code ran since then (perf_counter seconds)."""
    ran = []
    for model, status, view in known_versions(registry):
        servable = view.ready.get(status.version)
        if status.state in _RUN_CODE or (servable is not None and servable.batcher.last_started >= since):
            ran.append(f"{model}/{status.version}")
    if not ran:
        return "none that ran just now"
    if len(ran) == 1:
        return ran[0]
    return f"one of {', '.join(ran[:_MOST_NAMED])}{', …' if len(ran) > _MOST_NAMED else ''}"
