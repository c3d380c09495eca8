"""TLS of the gRPC port: the API's certificate, key and CA, as gRPC's own library wants them, changed with their files.

In the flow: process → grpc_port → **grpc_tls** ← gRPC, which asks for what is in force at every handshake.
"""

from pathlib import Path
from typing import Final

import grpc

from model_manager.api.tls import Tls
from model_manager.errors import MountUnusable
from model_manager.serving.mounted_files import follow, read_file

_TRIES: Final = 3


class GrpcTls:
    """The same files as `tls` has, which checks them. Raises MountUnusable."""

    def __init__(self, tls: Tls, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._tls = tls
        self._files = [certificate, key, *([client_ca] if client_ca is not None else [])]
        self._client_ca = client_ca
        self._current = self.read()

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._current, lambda: self._current, require_client_authentication=self._client_ca is not None
        )

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files, as they are when they fit together. Blocking. Raises MountUnusable."""
        for _ in range(_TRIES):
            before = [read_file(path) for path in self._files]
            self._tls.read()
            if before == [read_file(path) for path in self._files]:
                certificate, key, *ca = before
                return grpc.ssl_server_certificate_configuration([(key, certificate)], ca[0] if ca else None)
        raise MountUnusable(f"{self._files[0]}: changes while it is read")

    async def follow(self, *, poll_interval_s: float) -> None:
        """Read the files again whenever they change; what does not fit together leaves the last in force."""
        await follow(self._files[0], self.read, self._use, poll_interval_s=poll_interval_s)

    def _use(self, configuration: grpc.ServerCertificateConfiguration) -> None:
        self._current = configuration
