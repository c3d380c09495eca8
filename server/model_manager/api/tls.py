"""TLS of the ports: certificates from mounted files, used anew when they change, with no connection dropped.

In the flow: process → **tls** → uvicorn, which asks the same object for every handshake.
"""

import ssl
from pathlib import Path
from typing import Any, Final

from model_manager.errors import MountUnusable, StartRefused
from model_manager.serving.mounted_files import follow
from model_manager.settings import Settings

_TRIES: Final = 3  # certificate and key are two files, and may be of two generations when they are read


class _CurrentContext(ssl.SSLContext):
    """Hands each handshake to the context that is in force: certificate, key and CA change in one step, or not at all.

    Loading into a context that serves would leave it without a key when the two do not match, and take no CA away.
    """

    current: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Begin a handshake."""
        return self.current.wrap_bio(*arguments, **options)


class Tls:
    """One port's certificate and key, and the CA whose certificates clients must show, if any."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self.context = _CurrentContext(ssl.PROTOCOL_TLS_SERVER)
        self.use(self.read())

    def read(self) -> ssl.SSLContext:
        """Make a context of what the files hold now. Blocking. Raises MountUnusable."""
        for _ in range(_TRIES - 1):
            try:
                return self._read()
            except MountUnusable:
                pass
        return self._read()

    def use(self, context: ssl.SSLContext) -> None:
        """Let new connections be met with it; those that are open go on as they began."""
        self.context.current = context

    async def follow(self, *, poll_interval_s: float) -> None:
        """Read the files again whenever they change; what does not fit together leaves the last in force."""
        await follow(self._certificate, self.read, self.use, poll_interval_s=poll_interval_s)

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, password="")  # an encrypted key would ask a terminal
        except (OSError, ValueError) as error:
            both = f"tls_cert {self._certificate}, tls_key {self._key}"
            raise MountUnusable(f"{both}: cannot be used: {_reason(error)}") from None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except (OSError, ValueError) as error:
                raise MountUnusable(f"tls_client_ca {self._client_ca}: cannot be used: {_reason(error)}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def tls_of(settings: Settings, *, admin: bool) -> Tls | None:
    """TLS as the settings ask for it; None where they do not.

    The admin port has the same certificate and asks for none: a kubelet has no certificate to show. Raises StartRefused
    for settings that contradict each other, MountUnusable for files that cannot be used.
    """
    if settings.tls_cert is None and settings.tls_key is None and settings.tls_client_ca is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise StartRefused("--tls-cert and --tls-key go together, and --tls-client-ca needs both: set what is missing")
    return Tls(settings.tls_cert, settings.tls_key, None if admin else settings.tls_client_ca)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        words = (error.reason or "").replace("_", " ").lower()
        return words or "not a certificate and its key in PEM form"
    return getattr(error, "strerror", None) or str(error)
