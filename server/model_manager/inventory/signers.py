"""Whom the signature beside an artifact says it is of: told in lists, and not to be believed before it is verified."""

import base64
import json
from pathlib import Path
from typing import Final

from model_manager.repository.signatures import SIGNATURE_LIMIT
from model_manager.repository.signed_files import signature_path

_SHOWN: Final = 12


def signer_of(artifact: Path) -> str | None:
    """Name the key or the certificate that a signature says it was made with; None where there is no signature."""
    try:
        with open(signature_path(str(artifact)), "rb") as file:
            material = json.loads(file.read(SIGNATURE_LIMIT.bytes))["verificationMaterial"]
        if "publicKey" in material:
            return f"key {str(material['publicKey'].get('hint', '?'))[:_SHOWN]}"
        return _owner(base64.b64decode(material["x509CertificateChain"]["certificates"][0]["rawBytes"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception:  # a file that anybody may have written
        return "nobody: the signature cannot be read"


def _owner(certificate: bytes) -> str:
    try:
        from cryptography.x509 import load_der_x509_certificate
    except ImportError:
        return "a certificate"
    return load_der_x509_certificate(certificate).subject.rfc4514_string() or "a certificate without a name"
