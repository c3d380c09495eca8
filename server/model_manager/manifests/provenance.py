"""Who changes the wanted state, and when: `changed-by.json` beside models.yaml, and an annotation of the ConfigMap.

A pod does not see the annotations of a ConfigMap that it mounts, so the server's ledger reads the file.
"""

import datetime
import getpass
import hashlib
import json
import os
import socket
import subprocess
from dataclasses import dataclass
from typing import Final

CHANGED_BY_FILE: Final = "changed-by.json"
CHANGED_BY_ANNOTATION: Final = "model-manager/changed-by"
_GIT_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True)
class ChangedBy:
    """Who made a change, when (UTC), and the git commit that the working folder was at, if it is in a repository."""

    by: str
    at: datetime.datetime
    commit: str | None = None

    @staticmethod
    def now(by: str | None = None) -> "ChangedBy":
        """Somebody, or else the user of this process at this machine; now; the commit of the working folder."""
        return ChangedBy(by or _user_at_host(), datetime.datetime.now(datetime.UTC).replace(microsecond=0), _commit())

    def file(self, manifest: bytes) -> str:
        """What `changed-by.json` holds beside a manifest: it says by its digest which one it is about."""
        digest = hashlib.sha256(manifest).hexdigest()
        at = self.at.isoformat().replace("+00:00", "Z")
        said = {"by": self.by, "at": at, "commit": self.commit, "manifest": digest}
        text = json.dumps({key: value for key, value in said.items() if value is not None}, ensure_ascii=False)
        return text + "\n"

    @property
    def annotation(self) -> str:
        """Who, in one line."""
        return self.by if self.commit is None else f"{self.by}, git {self.commit[:12]}"


def _user_at_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have a number and no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _commit() -> str | None:
    command = ["git", "rev-parse", "--verify", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
