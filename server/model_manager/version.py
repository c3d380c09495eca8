"""What this distribution is called on a package index, its version, and the line that installs a part of it."""

from typing import Final

DISTRIBUTION: Final = "model-manager-server"
"""`model-manager` is another project's there; command, image and chart are called so all the same."""

__version__ = "0.1.0"


def pip_install(extra: str) -> str:
    """The command that installs this distribution with an extra, for messages that say what is missing."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
