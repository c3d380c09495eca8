"""A model's signature in the OpenSSF model signing format: made, and verified against a key or certificates.

The format is a Sigstore bundle: a DSSE envelope around an in-toto statement that lists every file with its digest.
What it says is returned; whether it fits the files is found out by signed_files. `cryptography` is imported when it is
needed: it is in the extra `signing`.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from model_manager.errors import LoadFailed, one_line
from model_manager.repository.regular_files import Limit
from model_manager.version import pip_install

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate

SIGNATURE_LIMIT: Final = Limit(4 * 2**20, "sign again")
MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://model_signing/signature/v1.0"
_CURVES: Final = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures are believed: the owner of a public key, or who holds a certificate.

    Both are PEM files; exactly one is given. `certificates` holds those of authorities, or those of signers themselves.
    They are read again for every version, since a mounted Secret changes.
    """

    key: Path | None = None
    certificates: Path | None = None

    def check(self) -> None:
        """Raise LoadFailed "bad_signature" when the file cannot be used, with what is wrong with it."""
        if self.key is not None:
            public_key_in(self.key)
        else:
            self._trusted()

    def covered_by(self, bundle: bytes) -> dict[str, str]:
        """Give the SHA-256 digests that a signature vouches for, by the names of the files.

        Raises LoadFailed "bad_signature" for a bundle that is malformed or not by whom is believed.
        """
        try:
            document = json.loads(bundle)
            material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
            (signature,) = envelope["signatures"]
            payload = base64.b64decode(envelope["payload"], validate=True)
            signed = base64.b64decode(signature["sig"], validate=True)
            kinds = document["mediaType"], envelope["payloadType"]
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
            refuse(f"is no Sigstore bundle ({type(error).__name__}: {error})")
        if kinds != (MEDIA_TYPE, _PAYLOAD_TYPE):
            refuse(f"is of the kind {kinds[0]}, {kinds[1]}; {MEDIA_TYPE}, {_PAYLOAD_TYPE} is read")
        try:
            _verify(self._signer(material), signed, payload)
        except LoadFailed:
            raise
        except Exception as error:  # what the library says of keys and certificates that were made to hurt
            refuse(f"cannot be verified ({one_line(error)})")
        return _resources(payload)

    def _signer(self, material: Any) -> "ec.EllipticCurvePublicKey":
        if self.key is not None:
            return public_key_in(self.key)
        try:
            chain = [base64.b64decode(one["rawBytes"]) for one in material["x509CertificateChain"]["certificates"]]
        except (ValueError, KeyError, TypeError):
            refuse("was made with a key alone; the operator asks for one made with a certificate")
        return _key_of_chain(chain, self._trusted())

    def _trusted(self) -> "list[Certificate]":
        from_file = _read(self.certificates)
        try:
            certificates: list[Certificate] = _cryptography().load_pem_x509_certificates(from_file)
        except ValueError as error:
            raise LoadFailed("bad_signature", f"{self.certificates} holds no PEM certificates ({error})") from None
        return certificates


def make_bundle(
    files: Mapping[str, str], *, name: str, key: "ec.EllipticCurvePrivateKey", chain: "Sequence[Certificate]" = ()
) -> bytes:
    """Sign SHA-256 digests, by the names of the files. With a `chain` its first certificate is the key's own."""
    _cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    resources = [{"name": file, "algorithm": "sha256", "digest": digest} for file, digest in sorted(files.items())]
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ["model.sig"]}
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(resources)}}],
        "predicateType": _PREDICATE,
        "predicate": {"serialization": serialization, "resources": resources},
    }
    payload = json.dumps(statement, indent=2).encode()
    signed = key.sign(_encoded(payload), ec.ECDSA(_hash_for(key.public_key())))
    if chain:
        certificates = [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in chain]
        material: dict[str, Any] = {"x509CertificateChain": {"certificates": certificates}}
    else:
        material = {"publicKey": {"hint": hashlib.sha256(_pem(key.public_key())).hexdigest()}}
    envelope = {
        "payload": _text(payload),
        "payloadType": _PAYLOAD_TYPE,
        "signatures": [{"sig": _text(signed), "keyid": ""}],
    }
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    return json.dumps(bundle).encode()


def public_key_in(path: Path) -> "ec.EllipticCurvePublicKey":
    """Read a public key. Raises LoadFailed "bad_signature" for what is none of an elliptic curve that is used here."""
    content = _read(path)
    _cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LoadFailed("bad_signature", f"{path} is no public key in PEM ({error})") from None
    return _on_curve(key, str(path))


def refuse(problem: str) -> NoReturn:
    """Refuse a signature; the caller names its file."""
    raise LoadFailed("bad_signature", problem)


def _verify(key: "ec.EllipticCurvePublicKey", signed: bytes, payload: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key.verify(signed, _encoded(payload), ec.ECDSA(_hash_for(key)))
    except InvalidSignature:
        refuse("was not made with the key that the operator trusts, or was changed since")


def _resources(payload: bytes) -> dict[str, str]:
    """What a verified statement says: digests by name."""
    try:
        statement = json.loads(payload)
        (subject,) = statement["subject"]
        predicate = statement["predicate"]
        resources, serialization = predicate["resources"], predicate["serialization"]
        kinds = statement["_type"], statement["predicateType"], serialization["method"], serialization["hash_type"]
        digests = {str(one["name"]): str(one["digest"]) for one in resources}
        whole = subject["digest"]["sha256"] == _root(resources)
        hashed = {one["algorithm"] for one in resources}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        refuse(f"signs no statement of model signing ({type(error).__name__}: {error})")
    if kinds != (_STATEMENT, _PREDICATE, "files", "sha256") or hashed - {"sha256"}:
        refuse(f"signs {', '.join(map(str, kinds))}; {_PREDICATE} over whole files by SHA-256 is read")
    if not whole or len(digests) != len(resources):
        refuse("contradicts itself: its digests are not those of its subject")
    return digests


def _key_of_chain(chain: list[bytes], trusted: "list[Certificate]") -> "ec.EllipticCurvePublicKey":
    """Find the way from a signer's certificate to a trusted one, and give the signer's key.

    Validity in time is that of the day on which the certificate was issued: nothing proves when a model was signed.
    """
    x509 = _cryptography()
    from cryptography.x509 import verification

    try:
        leaf, *others = map(x509.load_der_x509_certificate, chain)
    except ValueError as error:
        refuse(f"holds no chain of certificates ({error})")
    if leaf not in trusted:
        any_extension = verification.ExtensionPolicy.permit_all()
        builder = verification.PolicyBuilder().store(verification.Store(trusted)).time(leaf.not_valid_before_utc)
        verifier = builder.extension_policies(ca_policy=_of_authorities(), ee_policy=any_extension)
        try:
            verifier.build_client_verifier().verify(leaf, others)
        except (verification.VerificationError, ValueError) as error:
            refuse(f"was made with a certificate that leads to none that the operator trusts ({error})")
    if not _may_sign(leaf):
        refuse("was made with a certificate that is not for signing (key usage digitalSignature or codeSigning)")
    return _on_curve(leaf.public_key(), "the certificate of the signature")


def _of_authorities() -> Any:
    """Who issues must say that it is an authority; anything else may be said as well."""
    x509 = _cryptography()
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    return ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints,
        Criticality.AGNOSTIC,
        lambda policy, certificate, extension: _require(extension.ca, "its issuer is no authority"),
    )


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _may_sign(certificate: "Certificate") -> bool:
    x509 = _cryptography()
    try:
        if certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return x509.oid.ExtendedKeyUsageOID.CODE_SIGNING in usage


def _on_curve(key: Any, where: str) -> "ec.EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        message = f"{where}: a key on the curve P-256, P-384 or P-521 is needed (openssl ecparam -name prime256v1)"
        raise LoadFailed("bad_signature", message)
    return key


def _hash_for(key: "ec.EllipticCurvePublicKey") -> Any:
    from cryptography.hazmat.primitives import hashes

    return getattr(hashes, _CURVES[key.curve.name])()


def _encoded(payload: bytes) -> bytes:
    """What is signed: the payload with its type and both lengths (DSSE's PAE)."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def _root(resources: Sequence[Mapping[str, str]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()


def _pem(key: "ec.EllipticCurvePublicKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _read(path: Path | None) -> bytes:
    assert path is not None
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoadFailed("bad_signature", f"{path} cannot be read: {error.strerror}") from None


def _cryptography() -> Any:
    """The library, by its room for certificates."""
    try:
        from cryptography import x509
    except ImportError:
        message = f"signatures need the library cryptography: {pip_install('signing')}"
        raise LoadFailed("bad_signature", message) from None
    return x509
