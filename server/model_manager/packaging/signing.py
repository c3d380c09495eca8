"""Sign the files of a package, and verify a signature as a server would.

Place in the flow: `model-manager sign` after a package was written, `pack --sign` while it is; a server with
--signature-key or --signature-certificate verifies with the same code.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_manager.errors import LoadFailed, PackageRefused
from model_manager.repository.digests import sha256_of
from model_manager.repository.packages import ARTIFACT_LIMIT, METADATA, artifact_name, metadata_path, read_metadata
from model_manager.repository.regular_files import Files
from model_manager.repository.signatures import Trust, make_bundle
from model_manager.repository.signed_files import check_signed, files_of_package, is_package, signature_path
from model_manager.repository.whole_files import not_written, write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature's file, and the SHA-256 digests that it covers, by the names of the files."""

    signature: Path
    covered: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that was read, and the certificates that lead from it to an authority."""

    key: "EllipticCurvePrivateKey"
    chain: "Sequence[Certificate]"

    def sign(self, files: Mapping[str, bytes], name: str) -> bytes:
        """Sign the files of a package of this name, all of them; give the content of its signature."""
        covered = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        return make_bundle(covered, name=name, key=self.key, chain=self.chain)


def read_signer(key: Path, *, chain: Path | None = None, password: Callable[[], str]) -> Signer:
    """Read a key as sign_package does, to sign with it later. Raises PackageRefused."""
    try:
        private = _private_key(key, password)
        return Signer(private, _chain(chain, private) if chain is not None else ())
    except OSError as error:
        raise PackageRefused(f"{error.filename}: it cannot be read: {error.strerror}") from None


def sign_package(package: Path, *, key: Path, chain: Path | None = None, password: Callable[[], str]) -> Signed:
    """Sign a package, or an artifact with the metadata beside it, and write the signature there.

    `key` is a private key on the curve P-256, P-384 or P-521, in PEM; `password` is asked when it is encrypted. `chain`
    holds the certificate of the key and those that lead from it to an authority. A signature that is there is replaced.
    Raises PackageRefused.
    """
    try:
        artifact = _artifact(package)
        private = _private_key(key, password)
        certificates = _chain(chain, private) if chain is not None else ()
        covered = {name: _digest(path) for name, path in _files(artifact, _metadata(artifact, package)).items()}
        signature = Path(signature_path(str(artifact)))
        name = artifact.parent.name if is_package(str(artifact)) else artifact.name
        bundle = make_bundle(covered, name=name or "model", key=private, chain=certificates)
    except LoadFailed as error:
        raise PackageRefused(f"{package} cannot be signed: {error}") from None
    except OSError as error:
        raise PackageRefused(f"{package} cannot be signed: {error.filename}: {error.strerror}") from None
    try:
        write_whole(signature, bundle)
    except OSError as error:
        raise PackageRefused(f"{signature} cannot be written: {not_written(error)}") from None
    return Signed(signature, covered)


def verify_package(package: Path, trust: Trust) -> Signed:
    """Verify the signature of a package, or of an artifact with the metadata beside it.

    Raises LoadFailed "unsigned" or "bad_signature", as a server does, and PackageRefused where there is no package.
    """
    trust.check()
    try:
        artifact = _artifact(package)
        place, folder = str(artifact), str(artifact.parent)
        metadata, problem = read_metadata(str(_metadata(artifact, package)), Files(folder))
        if problem:
            raise PackageRefused(problem)
        digest = _digest(artifact)
    except OSError as error:
        raise PackageRefused(f"{package} cannot be read: {error.strerror}") from None
    covered = check_signed(
        place, digest=digest, metadata=metadata, trust=trust, files=Files(folder), limit=ARTIFACT_LIMIT
    )
    return Signed(Path(signature_path(place)), covered)


def _artifact(package: Path) -> Path:
    package = Path(os.path.abspath(package))
    if not package.is_dir():
        if not package.exists():
            raise PackageRefused(f"{package}: there is no such package: give a folder with a model, or a model's file")
        return package
    name = artifact_name(str(package))
    if name is None or not (package / name).exists():
        raise PackageRefused(f"{package} holds no model: give the folder <model>/<version>, or a model's file")
    return package / name


def _metadata(artifact: Path, package: Path) -> Path:
    """Where the metadata lies: in a folder of its own it is always called metadata.json."""
    return artifact.parent / METADATA if package.is_dir() else Path(metadata_path(str(artifact)))


def _files(artifact: Path, metadata: Path) -> dict[str, Path]:
    """What a signature of an artifact covers: its whole package, or itself and its metadata."""
    if is_package(str(artifact)):
        return {name: artifact.parent / name for name in sorted(files_of_package(str(artifact.parent)))}
    return {path.name: path for path in (artifact, metadata) if path.exists()}


def _digest(path: Path) -> str:
    with Files(str(path.parent)).open(str(path), ARTIFACT_LIMIT) as file:
        return sha256_of(file)


def _private_key(path: Path, password: Callable[[], str]) -> "EllipticCurvePrivateKey":
    try:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        message = "signatures need the library cryptography: pip install 'model-manager[signing]'"
        raise PackageRefused(message) from None
    content = path.read_bytes()
    try:
        try:
            key = load_pem_private_key(content, None)
        except TypeError:  # how the library says that it is encrypted
            key = load_pem_private_key(content, password().encode())
    except ValueError as error:
        raise PackageRefused(f"{path} is no private key in PEM, or its password is another ({error})") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        advice = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
        raise PackageRefused(f"{path}: a key on the curve P-256, P-384 or P-521 is needed: {advice}")
    return key


def _chain(path: Path, key: "EllipticCurvePrivateKey") -> "tuple[Certificate, ...]":
    from cryptography.x509 import load_pem_x509_certificates

    try:
        certificates = tuple(load_pem_x509_certificates(path.read_bytes()))
    except ValueError as error:
        raise PackageRefused(f"{path} holds no certificates in PEM ({error})") from None
    if certificates[0].public_key() != key.public_key():
        raise PackageRefused(f"{path}: the first certificate is not that of the key")
    return certificates
