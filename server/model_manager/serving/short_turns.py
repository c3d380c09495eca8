"""Short turns of the interpreter, while something large is computed beside the event loop, which waits for them.

In the flow: answering (large bodies), explaining → **short turns**. Called on the event loop alone.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TURN_S: Final = 0.0005


class _ShortTurns:
    def __init__(self) -> None:
        self._held = 0
        self._usual = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep turns short during the body, and as long as any other wants them so."""
        if not self._held:
            self._usual = sys.getswitchinterval()
            sys.setswitchinterval(_TURN_S)
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                sys.setswitchinterval(self._usual)


short_turns: Final = _ShortTurns().held
"""What is computed during the body takes turns of half a millisecond from the event loop."""
