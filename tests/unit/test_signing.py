"""Signatures: ours are held by a server, those of model_signing are read, and whatever does not fit is refused."""

import base64
import datetime
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from model_manager.cli import cli
from model_manager.errors import LoadFailed
from model_manager.repository.signatures import Trust, make_bundle

from tests.conftest import ROOT
from tests.unit.test_policy import reason

THEIRS = ROOT / "tests" / "data" / "model_signing"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def write_key(path: Path, curve: ec.EllipticCurve | None = None, password: bytes | None = None) -> Any:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return key


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A repository's only package, and key.pem with key.pub."""
    folder = tmp_path / "models" / "iris" / "1"
    folder.mkdir(parents=True)
    (folder / "model.joblib").write_bytes(b"an artifact")
    (folder / "metadata.json").write_bytes(b"{}")
    write_key(tmp_path / "key.pem")
    return folder


@pytest.fixture
def signed(package: Path, tmp_path: Path) -> Path:
    assert run("sign", package, "--key", tmp_path / "key.pem").exit_code == 0
    return package


def told(package: Path, *trust: object) -> str:
    """What a server that trusts a key says of the repository of a package; `verify` must say the same."""
    key = trust or ("--key", package.parents[2] / "key.pub")
    setting = {"--key": "signature_key", "--cert": "signature_certificate"}[str(key[0])]
    by_server = reason(package.parents[1], **{setting: str(key[1])})
    verified = run("verify", package, *key)
    assert verified.exit_code == (1 if by_server else 0)
    assert verified.stderr == (f"model-manager: {by_server}\n" if by_server else "")
    return by_server


def test_what_was_signed_is_loaded(signed: Path) -> None:
    assert told(signed) == ""


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves_sign_as_well(package: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    write_key(tmp_path / "key.pem", curve)
    assert run("sign", package, "--key", tmp_path / "key.pem").exit_code == 0
    assert told(package) == ""


def test_what_was_not_signed_is_refused_with_what_to_do(package: Path) -> None:
    assert told(package) == (
        f"unsigned: {package}/model.sig: there is no such file, and the operator asks for a signature: "
        "`model-manager sign` makes it"
    )


def test_an_artifact_of_another_name_is_signed_with_its_metadata(package: Path, tmp_path: Path) -> None:
    (package / "model.joblib").rename(package / "svm.pkl")
    signed = run("sign", package, "--key", tmp_path / "key.pem", "--json")
    assert json.loads(signed.stdout)["signature"] == f"{package}/svm.sig"
    assert told(package) == ""
    (package / "metadata.json").write_bytes(b"{ }")
    assert "does not cover the metadata as it is" in told(package)


def test_a_signature_declares_the_digest(signed: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert reason(models, require_digest=True).startswith("digest_missing")
    assert reason(models, require_digest=True, signature_key=str(tmp_path / "key.pub")) == ""


def test_the_signature_of_another_is_refused(signed: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "key.pem")
    problem = "was not made with the key that the operator trusts, or was changed since"
    assert told(signed) == f"bad_signature: {signed}/model.sig: {problem}"


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another artifact": (lambda it: (it / "model.joblib").write_bytes(b"x"), "covers another model.joblib than"),
    "other metadata": (lambda it: (it / "metadata.json").write_bytes(b"{ }"), "covers another metadata.json than"),
    "no metadata": (lambda it: (it / "metadata.json").unlink(), "covers metadata.json, which is not there"),
    "one file more": (lambda it: (it / "m.joblib_01.npy").write_bytes(b""), "does not cover m.joblib_01.npy; remove"),
    "a hidden file more": (lambda it: (it / ".x").write_bytes(b""), "does not cover .x; remove it, or sign again"),
    "a folder more": (lambda it: shutil.copytree(it, it / "a"), "does not cover a/metadata.json; remove it"),
    "a link more": (lambda it: (it / "a").symlink_to("/etc"), "does not cover a; remove it, or sign again"),
}


@pytest.mark.parametrize(("change", "problem"), CHANGES.values(), ids=CHANGES.keys())
def test_whatever_is_not_what_was_signed_is_refused(
    signed: Path, change: Callable[[Path], object], problem: str
) -> None:
    change(signed)
    assert told(signed).startswith(f"bad_signature: {signed}/model.sig: {problem}")


def test_a_file_that_was_signed_may_not_change(package: Path, tmp_path: Path) -> None:
    (package / "README.md").write_text("about it")
    assert run("sign", package, "--key", tmp_path / "key.pem").exit_code == 0
    assert told(package) == ""
    (package / "README.md").write_text("about something else")
    assert "covers another README.md than the one that is there" in told(package)
    (package / "README.md").unlink()
    assert "covers README.md, which is not there" in told(package)


def resigned(package: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a signed statement and sign it again with the same key: what is trusted may still say nothing of use."""
    bundle = json.loads((package / "model.sig").read_bytes())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    key = write_key(tmp_path / "key.pem")
    kind = b"application/vnd.in-toto+json"
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    sig = key.sign(encoded, ec.ECDSA(hashes.SHA256()))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(sig).decode()
    (package / "model.sig").write_text(json.dumps(bundle))


STATEMENTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "nothing else": (lambda it: None, ""),
    "another kind": (lambda it: it.update(predicateType="https://slsa.dev/provenance/v1"), "signs https://in-toto.io"),
    "another method": (lambda it: it["predicate"]["serialization"].update(method="shards"), "over whole files"),
    "another hash": (lambda it: it["predicate"]["resources"][0].update(algorithm="blake2b"), "by SHA-256 is read"),
    "no files": (lambda it: it["predicate"].pop("resources"), "signs no statement of model signing (KeyError"),
    "a file twice": (lambda it: it["predicate"]["resources"].append(it["predicate"]["resources"][0]), "contradicts"),
    "another subject": (lambda it: it["subject"][0]["digest"].update(sha256="0" * 64), "contradicts itself"),
    "two subjects": (lambda it: it["subject"].append({}), "signs no statement of model signing (ValueError"),
    "digests that are none": (lambda it: it["predicate"]["resources"][0].update(digest="x"), "signs no statement"),
}


@pytest.mark.parametrize(("change", "problem"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_statements(signed: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str) -> None:
    resigned(signed, tmp_path, change)
    assert problem in told(signed)
    assert bool(problem) == bool(told(signed))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b"[" * 100_000, b"\xff", b'{"dsseEnvelope": {"signatures": [1, 2]}}'],
)
def test_what_is_no_bundle_is_refused(signed: Path, content: bytes) -> None:
    (signed / "model.sig").write_bytes(content)
    assert told(signed).startswith(f"bad_signature: {signed}/model.sig: is no Sigstore bundle (")


def test_a_bundle_of_another_kind_is_refused(signed: Path) -> None:
    bundle = json.loads((signed / "model.sig").read_bytes())
    (signed / "model.sig").write_text(json.dumps({**bundle, "mediaType": "text/plain"}))
    assert "is of the kind text/plain" in told(signed)


def test_a_signature_that_is_no_file_is_refused_and_nobody_waits(signed: Path) -> None:
    (signed / "model.sig").unlink()
    (signed / "model.sig").symlink_to("/dev/zero")
    by_server = reason(signed.parents[1], signature_key=str(signed.parents[2] / "key.pub"))
    assert by_server.startswith(f"not_allowed: {signed}/model.sig leads to /dev/zero")


class TestFlatKeys:
    """A ConfigMap has no folders: iris-1.joblib, iris-1.metadata.json, iris-1.sig."""

    @pytest.fixture
    def flat(self, tmp_path: Path) -> Path:
        folder = tmp_path / "models" / "x" / "y"
        folder.mkdir(parents=True)
        (folder / "iris-1.joblib").write_bytes(b"an artifact")
        (folder / "iris-1.metadata.json").write_bytes(b"{}")
        (folder / "churn-1.joblib").write_bytes(b"another")
        (folder.parent.parent / "models.yaml").write_text(
            'models: {iris: {versions: {"1": {artifact: x/y/iris-1.joblib}}}}'
        )
        write_key(tmp_path / "key.pem")
        return folder

    def told(self, flat: Path, tmp_path: Path) -> str:
        return reason(tmp_path / "models", signature_key=str(tmp_path / "key.pub"))

    def test_an_artifact_and_its_metadata_are_signed_together(self, flat: Path, tmp_path: Path) -> None:
        assert run("sign", flat / "iris-1.joblib", "--key", tmp_path / "key.pem").exit_code == 0
        assert self.told(flat, tmp_path) == ""
        (flat / "iris-1.metadata.json").write_bytes(b"{ }")
        assert "does not cover the metadata as it is" in self.told(flat, tmp_path)
        (flat / "iris-1.metadata.json").unlink()
        assert "covers iris-1.metadata.json, which is not there" in self.told(flat, tmp_path)
        (flat / "iris-1.joblib").write_bytes(b"another")
        assert "does not cover iris-1.joblib as it is" in self.told(flat, tmp_path)

    def test_the_signature_of_a_package_holds_where_its_files_were_renamed(
        self, flat: Path, signed: Path, tmp_path: Path
    ) -> None:
        shutil.copy(signed / "model.sig", flat / "iris-1.sig")
        shutil.rmtree(tmp_path / "models" / "iris")
        run("sign", flat / "iris-1.joblib", "--key", tmp_path / "key.pem")
        assert self.told(flat, tmp_path) == ""

    def test_inline_metadata_is_not_what_was_signed(self, flat: Path, tmp_path: Path) -> None:
        run("sign", flat / "iris-1.joblib", "--key", tmp_path / "key.pem")
        manifest = flat.parent.parent / "models.yaml"
        manifest.write_text(manifest.read_text().replace("joblib}", "joblib, metadata: {name: x}}"))
        assert "or what models.yaml says inline" in self.told(flat, tmp_path)


@pytest.mark.parametrize(
    ("folder", "trust"),
    [("by_key", ("--key", THEIRS / "key.pub.pem")), ("by_certificate", ("--cert", THEIRS / "authority.pem"))],
)
def test_signatures_of_the_other_program_are_read(tmp_path: Path, folder: str, trust: tuple[str, Path]) -> None:
    package = tmp_path / "models" / "iris" / "1"
    shutil.copytree(THEIRS / folder, package)
    assert told(package, *trust) == ""
    (package / "metadata.json").write_bytes(b"{}")
    assert "covers another metadata.json" in told(package, *trust)


def test_what_was_made_with_a_key_is_not_made_with_a_certificate(signed: Path) -> None:
    assert "was made with a key alone" in told(signed, "--cert", THEIRS / "authority.pem")


class Authority:
    """Issues certificates to keys."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.issue(self.key.public_key(), self.name, authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(
        self, key: Any, name: x509.Name, *, authority: bool = False, for_signing: bool = True
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self.name, name, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=2))
        builder = builder.not_valid_after(now - datetime.timedelta(days=0 if not authority else -30))
        if authority:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        purpose = ExtendedKeyUsageOID.CODE_SIGNING if for_signing else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def signer(self, key: Any, **options: bool) -> Path:
        """Write a signer's certificate, of which the validity is over."""
        certificate = self.issue(key.public_key(), x509.Name([]), **options)
        path = self.folder / "signer.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return path


def test_certificates_lead_to_an_authority_or_are_trusted_themselves(package: Path, tmp_path: Path) -> None:
    key = write_key(tmp_path / "key.pem")
    authority, other = Authority(tmp_path, "authority"), Authority(tmp_path, "other")
    signer = authority.signer(key)
    assert run("sign", package, "--key", tmp_path / "key.pem", "--cert", signer).exit_code == 0
    assert told(package, "--cert", authority.path) == ""
    assert told(package, "--cert", signer) == ""
    assert "leads to none that the operator trusts" in told(package, "--cert", other.path)


@pytest.mark.parametrize("fault", ["not for signing", "issued by a signer"])
def test_certificates_that_may_not_sign_are_refused(package: Path, tmp_path: Path, fault: str) -> None:
    key, authority = write_key(tmp_path / "key.pem"), Authority(tmp_path, "authority")
    if fault == "not for signing":
        signer, problem = authority.signer(key, for_signing=False), "that is not for signing"
    else:
        # The owner of a signer's certificate plays authority for another key.
        between = Authority(tmp_path, "between")
        between.certificate = authority.issue(between.key.public_key(), between.name)
        signer, problem = between.signer(key), "leads to none that the operator trusts"
        signer.write_bytes(signer.read_bytes() + between.certificate.public_bytes(Encoding.PEM))
    assert run("sign", package, "--key", tmp_path / "key.pem", "--cert", signer).exit_code == 0
    assert problem in told(package, "--cert", authority.path)


class TestCommands:
    """What the commands print and refuse."""

    def test_a_table_for_people_and_json_for_machines(self, signed: Path, tmp_path: Path) -> None:
        lines = run("verify", signed, "--key", tmp_path / "key.pub").stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["file", "metadata.json", "model.joblib", "verified:"]
        found = json.loads(run("verify", signed, "--key", tmp_path / "key.pub", "--json").stdout)
        assert (found["verified"], found["signature"]) == (True, f"{signed}/model.sig")
        assert [one["file"] for one in found["files"]] == ["metadata.json", "model.joblib"]
        (signed / "metadata.json").unlink()
        found = json.loads(run("verify", signed, "--key", tmp_path / "key.pub", "--json").stdout)
        assert (found["verified"], found["reason"]) == (False, "bad_signature")

    def test_an_encrypted_key_asks_for_its_password(self, package: Path, tmp_path: Path) -> None:
        write_key(tmp_path / "key.pem", password=b"secret")
        arguments = ["sign", str(package), "--key", str(tmp_path / "key.pem")]
        assert CliRunner().invoke(cli, arguments, input="secret\n").exit_code == 0
        wrong = CliRunner().invoke(cli, arguments, input="wrong\n")
        assert wrong.exit_code == 2
        assert "its password is another" in wrong.stderr

    @pytest.fixture
    def rsa_key(self, tmp_path: Path) -> Path:
        key = rsa.generate_private_key(65537, 2048)
        path = tmp_path / "rsa.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.with_suffix(".pub").write_bytes(public)
        return path

    def test_keys_that_are_none_are_refused_with_how_to_make_one(
        self, package: Path, tmp_path: Path, rsa_key: Path
    ) -> None:
        for arguments in (
            ("sign", package, "--key", rsa_key),
            ("verify", package, "--key", rsa_key.with_suffix(".pub")),
        ):
            refused = run(*arguments)
            assert refused.exit_code in (1, 2)
            assert "a key on the curve P-256, P-384 or P-521 is needed" in refused.stderr
        (tmp_path / "text").write_text("no key")
        assert "is no private key in PEM" in run("sign", package, "--key", tmp_path / "text").stderr
        assert "is no public key in PEM" in run("verify", package, "--key", tmp_path / "text").stderr
        assert (
            "holds no certificates in PEM"
            in run("sign", package, "--key", tmp_path / "key.pem", "--cert", tmp_path / "text").stderr
        )
        other = Authority(tmp_path, "authority").path
        assert "is not that of the key" in run("sign", package, "--key", tmp_path / "key.pem", "--cert", other).stderr

    def test_what_is_no_package_is_refused(self, tmp_path: Path, package: Path) -> None:
        key = tmp_path / "key.pem"
        assert "holds no model" in run("sign", tmp_path, "--key", key).stderr
        assert (
            "there is no such package" in run("verify", tmp_path / "nothing", "--key", key.with_suffix(".pub")).stderr
        )
        assert run("verify").exit_code == 2
        (package / "link").symlink_to("/etc/passwd")
        assert "which is outside of the models folder" in run("sign", package, "--key", key).stderr

    def test_help_has_an_example(self) -> None:
        for command in ("sign", "verify"):
            assert f"model-manager {command} build/models/iris/2" in run(command, "--help").stdout


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


@given(data=st.data())
@pytest.mark.parametrize("trust", [Trust(key=THEIRS / "key.pub.pem"), Trust(certificates=THEIRS / "authority.pem")])
def test_whatever_a_bundle_holds_it_holds_or_is_refused(trust: Trust, data: st.DataObject) -> None:
    folder = "by_key" if trust.key else "by_certificate"
    bundle = json.loads((THEIRS / folder / "model.sig").read_bytes())
    place = data.draw(st.sampled_from(list(_paths(bundle))))
    found: Any = bundle
    for key in place[:-1]:
        found = found[key]
    if place:
        found[place[-1]] = data.draw(_JSON | st.binary(max_size=80).map(lambda it: base64.b64encode(it).decode()))
    try:
        found = trust.covered_by(json.dumps(bundle).encode()).keys()
    except LoadFailed as error:
        found = error.reason
    assert found in ({"metadata.json", "model.joblib"}, "bad_signature")


def test_a_bundle_can_be_made_of_digests_alone() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    bundle = json.loads(make_bundle({"b": "22" * 32, "a": "11" * 32}, name="m", key=key))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert [one["name"] for one in statement["predicate"]["resources"]] == ["a", "b"]
    assert statement["subject"][0]["name"] == "m"
