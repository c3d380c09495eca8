"""The token of the admin port: a file that Prometheus is given too, read again when it changes."""

from pathlib import Path
from typing import Final

from model_manager.errors import MountUnusable
from model_manager.serving.keys import digest_of
from model_manager.serving.mounted_files import follow, read_file

_SHORTEST: Final = 16


class AdminToken:
    """The token that is in force, as its digest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.digest = self.read()

    def read(self) -> bytes:
        """The digest of the token that the file holds now. Blocking. Raises MountUnusable."""
        token = read_file(self._path).strip()
        if len(token) < _SHORTEST or len(token.split()) != 1:
            raise MountUnusable(f"{self._path}: must hold one token of at least {_SHORTEST} characters")
        return digest_of(token)

    async def follow(self, *, poll_interval_s: float) -> None:
        """Use what the file holds, whenever it changes; a token that cannot be read leaves the last one in force."""

        def use(digest: bytes) -> None:
            self.digest = digest

        await follow(self._path, self.read, use, poll_interval_s=poll_interval_s)
