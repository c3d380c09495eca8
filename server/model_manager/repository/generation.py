"""One state of the models folder: where to read it now, and by which path its files are found later."""

import os
from dataclasses import dataclass

_CURRENT = "..data"


@dataclass(frozen=True, slots=True)
class Generation:
    """`real` has no links in it, and is deleted soon after the next generation arrives. `stable` outlives it.

    What is read now is read below `real`, so that it all belongs together. What is opened later is opened below
    `stable`: by then `real` may be gone although the bytes stayed the same. Their digest tells whether they did.
    """

    real: str
    stable: str

    @staticmethod
    def of(folder: str) -> "Generation":
        """Resolve a folder once: through `..data` when it is a ConfigMap volume, else as it is."""
        current = os.path.join(folder, _CURRENT)
        stable = current if os.path.lexists(current) else folder
        return Generation(real=os.path.realpath(stable), stable=stable)
