"""The other pods of a service, found by a name that leads to all of them: labels are told to each pod's admin port.

In the flow: labelling → **peers** ⇒ each pod's admin port, which speaks for all of its workers. The pod itself is among
them: a label that comes twice is joined once.
"""

import asyncio
import http.client
import logging
import socket
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

from model_manager.errors import ConfigurationError, StartRefused
from model_manager.feedback import Label, Status
from model_manager.serving.mounted_files import read_file

logger = logging.getLogger(__name__)

_ANSWER_S: Final = 5.0


class _Told(msgspec.Struct):
    statuses: list[Status]


class Peers:
    """The pods at an address such as http://models-peers:8081. `token`: the file of the token that their ports ask for.

    Raises StartRefused for what is no such address.
    """

    def __init__(self, url: str, token: Path | None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "http" or not parts.hostname or port is None or parts.path.strip("/"):
            raise StartRefused(
                f"feedback_peers: {url!r} is no address of admin ports, such as http://models-peers:8081; where those "
                "speak TLS, score stored records instead (docs/live-accuracy.md)"
            )
        self._host, self._port, self._token = parts.hostname, port, token

    async def tell(self, model: str, labels: list[Label]) -> tuple[list[list[Status]], int]:
        """What became of labels in each pod, and how many pods did not say. Raises nothing."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            logger.warning("labels: no pod is found at %s: %s", self._host, error)
            return [], 1
        path, body = f"/v2/models/{quote(model, safe='')}/feedback", msgspec.json.encode({"labels": labels})
        addresses = sorted({str(one[4][0]) for one in found})
        told = await asyncio.gather(*(asyncio.to_thread(self._ask, at, path, body) for at in addresses))
        answers = [statuses for statuses in told if statuses is not None and len(statuses) == len(labels)]
        return answers, len(addresses) - len(answers)

    def _ask(self, address: str, path: str, body: bytes) -> list[Status] | None:
        """What one pod says; None where it does not."""
        connection = http.client.HTTPConnection(address, self._port, timeout=_ANSWER_S)
        try:
            headers = {"content-type": "application/json"}
            if self._token is not None:
                headers["authorization"] = f"Bearer {read_file(self._token).strip().decode()}"
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200:
                return msgspec.json.decode(said, type=_Told).statuses
            logger.warning("labels: the pod at %s answers %d", address, answer.status)
        except (
            OSError,
            http.client.HTTPException,
            msgspec.DecodeError,
            UnicodeDecodeError,
            ConfigurationError,
        ) as error:
            logger.warning("labels: the pod at %s does not answer: %r", address, error)
        finally:
            connection.close()
        return None
