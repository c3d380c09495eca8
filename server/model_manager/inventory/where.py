"""Where the versions of a repository serve: on which running servers the same bytes are ready."""

from collections.abc import Sequence

import msgspec

from model_manager.inventory.entry import Entry
from model_manager.inventory.running_server import RunningServer


def served_where(entries: Sequence[Entry], servers: Sequence[RunningServer]) -> list[Entry]:
    """Note with each entry the addresses at which its bytes are ready, as the default or not. Raises QueryFailed."""
    ready: dict[tuple[str, str, str | None], list[str]] = {}
    for server in servers:
        for row in server.index():
            if row.state == "READY":
                default = " (default)" if "default" in row.parameters else ""
                place = (row.name, row.version, row.parameters.get("sha256"))
                ready.setdefault(place, []).append(server.url + default)
    return [
        msgspec.structs.replace(one, serves_at=tuple(ready.get((one.model, one.version, one.sha256), ())))
        for one in entries
    ]
