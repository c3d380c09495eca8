"""Certificates for tests, made by the openssl of the machine: an authority, and what it signs."""

import os
import subprocess
from pathlib import Path


class Authority:
    """A CA of its own, in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def sign(self, subject: str) -> tuple[bytes, bytes]:
        """The certificate and the key, in PEM, of a server on 127.0.0.1, or of a client."""
        key, request, signed, extensions = (self._folder / f"{subject}.{end}" for end in ("key", "csr", "crt", "ext"))
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
            "-keyout", key, "-out", request,
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-days", "30", "-extfile", extensions, "-out", signed,
        )  # fmt: skip
        return signed.read_bytes(), key.read_bytes()

    def _openssl(self, *arguments: object) -> None:
        command = ["openssl", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "RANDFILE": os.devnull})
