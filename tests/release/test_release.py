"""A release is rehearsed, made, published to registries, and served from them."""

import hashlib
import json
import re
import shutil
import sys
import tarfile
import venv
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.image.containers import Container, hardened, podman
from tests.live import LiveServer, wait_until
from tests.release.staging import PARTS, Checkout, index, run
from tools import leash

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

VERSION = "7.8.9"
ROW = [[6.0, 2.8, 4.8, 1.6]]
WHEEL = f"model_manager_server-{VERSION}-py3-none-any.whl"
NO_PASSWORD = {"COSIGN_PASSWORD": ""}
OFFLINE = ("--use-signing-config=false", "--tlog-upload=false")
"""There is no public log of signatures here."""
KEY = "Release Test <release@localhost>"


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key to sign charts by: secret.gpg and public.gpg, as Helm wants keyrings."""
    folder = tmp_path_factory.mktemp("keys")
    home = {"GNUPGHOME": str(folder)}
    folder.chmod(0o700)
    gpg = ("gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
    run(*gpg, "--quick-generate-key", KEY, "rsa3072", "sign", "never", cwd=folder, variables=home)
    run(*gpg, "--output", folder / "secret.gpg", "--export-secret-keys", cwd=folder, variables=home)
    run(*gpg, "--output", folder / "public.gpg", "--export", cwd=folder, variables=home)
    run("gpgconf", "--kill", "gpg-agent", cwd=folder, variables=home)
    return folder


@pytest.fixture(scope="module")
def released(checkout: Checkout, registry: str, keyring: Path) -> Path:
    """The folder of the release, which was made for real."""
    head = checkout.git("rev-parse", "HEAD")
    signing: list[str | Path] = ["--sign-key", "Release Test", "--keyring", keyring / "secret.gpg"]
    done = checkout.release("cut", VERSION, "--tested", head, "--for-real", "--registry", f"{registry}/acme", *signing)
    assert done.returncode == 0, done.stderr
    assert f"git push --atomic origin main v{VERSION}" in done.stdout
    leash.run_at_the_end(["podman", "rmi", "--force", f"localhost/model-manager:{VERSION}"])
    return checkout.folder / "build" / "release" / VERSION


@pytest.fixture(scope="module")
def published(checkout: Checkout, released: Path, registry: str) -> dict[str, str]:
    """What was pushed, as references by digest: image and chart."""
    done = checkout.release("publish", released, "--registry", f"{registry}/acme", "--plain-http")
    assert done.returncode == 0, done.stderr
    image, chart = done.stdout.split()
    leash.run_at_the_end(["podman", "rmi", "--force", image])
    assert (released / "DIGESTS").read_text(encoding="utf-8").split() == [image, chart]
    return {"image": image, "chart": chart}


def test_what_fails_leaves_neither_commit_nor_tag(checkout: Checkout) -> None:
    head = checkout.git("rev-parse", "HEAD")
    done = checkout.release("cut", "7.0.0", "--tested", head, "--for-real", PYTHON_IMAGE="localhost/no-such-base")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("no release: make --no-print-directory image sbom")
    assert checkout.git("rev-parse", "HEAD") == head
    assert checkout.git("tag", "--list") == checkout.git("status", "--porcelain") == ""
    assert len(checkout.git("worktree", "list").splitlines()) == 1


def test_the_branch_and_its_tag_are_the_release(checkout: Checkout, released: Path) -> None:
    assert checkout.git("describe", "--exact-match") == f"v{VERSION}"
    assert checkout.git("log", "-1", "--format=%s") == f"Release {VERSION}"
    assert checkout.git("status", "--porcelain") == ""
    assert f'version = "{VERSION}"' in (checkout.folder / "pyproject.toml").read_text(encoding="utf-8")
    changes = (checkout.folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## Unreleased\n\n## {VERSION} - \d{{4}}-\d\d-\d\d\n", changes, re.MULTILINE)
    notes = (released / "release-notes.md").read_text(encoding="utf-8")
    assert notes in changes
    again = checkout.release("cut", VERSION, "--tested", "HEAD")
    assert again.returncode == 1
    assert again.stderr == f"no release: v{VERSION} is there already: a version is released once\n"


def test_every_file_is_listed_with_its_digest(released: Path) -> None:
    lines = (released / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    chart = f"model-manager-{VERSION}.tgz"
    source = f"model_manager_server-{VERSION}.tar.gz"
    assert set(sums) == {WHEEL, source, chart, f"{chart}.prov", f"model-manager-{VERSION}.cdx.json"}
    for name, digest in sums.items():
        assert hashlib.sha256((released / name).read_bytes()).hexdigest() == digest
    bill = json.loads((released / f"model-manager-{VERSION}.cdx.json").read_text(encoding="utf-8"))
    said = bill["metadata"]["component"]
    assert (said["name"], said["version"]) == ("model-manager-server", VERSION)
    with tarfile.open(released / source) as archive:
        top = {name.partition("/")[2].partition("/")[0] for name in archive.getnames()}
    assert top == {"server", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", "pyproject.toml", ".gitignore"}


def test_the_same_commit_gives_the_same_source_and_wheel(checkout: Checkout, released: Path, tmp_path: Path) -> None:
    """Whoever has the tag can see that what was published is made of it, and of nothing else."""
    run("git", "clone", "--quiet", checkout.folder, tmp_path / "elsewhere", cwd=tmp_path)
    when = {"SOURCE_DATE_EPOCH": checkout.git("show", "--no-patch", "--format=%ct", "HEAD")}
    hatch = (sys.executable, "-m", "hatchling", "build", "--directory", tmp_path / "dist")
    run(*hatch, cwd=tmp_path / "elsewhere", variables=when)
    for built in (tmp_path / "dist").iterdir():
        assert built.read_bytes() == (released / built.name).read_bytes(), built.name


def test_the_wheel_from_an_index_serves_in_an_empty_environment(released: Path, samples: Path, tmp_path: Path) -> None:
    wheels = PARTS / "wheels"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    lock = ("--require-hashes", "--requirement", ROOT / "locks" / "serve.txt", "--only-binary", ":all:")
    run(*pip, "download", "--dest", wheels, *lock, cwd=tmp_path)
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False, symlinks=True)
    with index(tmp_path / "index", [*wheels.glob("*.whl"), released / WHEEL]) as url:
        nothing_else = (
            "--isolated",
            "--python",
            environment / "bin" / "python",
            "install",
            "--no-compile",
            "--index-url",
            url,
        )
        run(*pip, *nothing_else, "model-manager-server[compiled]", cwd=tmp_path)
    command = ["env", "--unset=PYTHONPATH", str(environment / "bin" / "model-manager"), "serve"]
    with LiveServer(samples, {}, command=command) as server:
        wait_until(server.ready, "the installed server to be ready")
        assert server.predict("iris", ROW).json() == {"predictions": ["virginica"]}
        assert server.api.get("/v2").json()["version"] == VERSION
        assert server.stop() == 0


def test_the_image_comes_back_by_its_digest_and_serves(
    published: dict[str, str], samples: Path, tmp_path: Path
) -> None:
    podman("pull", "--quiet", "--tls-verify=false", published["image"])
    (labels,) = json.loads(podman("image", "inspect", "--format=[{{json .Labels}}]", published["image"]))
    assert labels["org.opencontainers.image.version"] == VERSION
    empty = tmp_path / "empty"
    empty.touch()
    samples.chmod(0o755)
    with Container(published["image"], samples, hardened(empty)) as server:
        wait_until(server.ready, "the container to be ready")
        assert server.predict("iris", ROW).json() == {"predictions": ["virginica"]}
        assert server.stop() == 0


def test_the_chart_in_the_registry_installs_the_image_beside_it(
    checkout: Checkout, published: dict[str, str], registry: str, keyring: Path, tmp_path: Path
) -> None:
    chart = f"oci://{registry}/acme/charts/model-manager"
    home = {f"HELM_{part}_HOME": str(tmp_path / "helm") for part in ("CACHE", "CONFIG", "DATA")}
    helm = checkout.program("helm")
    assert published["chart"].startswith(f"{registry}/acme/charts/model-manager@sha256:")
    for version in (("--version", VERSION), ()):
        text = run(helm, "template", "shop", chart, *version, "--plain-http", cwd=tmp_path, variables=home)
        (deployment,) = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"{registry}/acme/model-manager:{VERSION}"
    pull = (helm, "pull", chart, "--version", VERSION, "--plain-http", "--verify", "--keyring")
    run(*pull, keyring / "public.gpg", cwd=tmp_path, variables=home)
    (tmp_path / "others.gpg").touch()
    with pytest.raises(AssertionError, match=r"(?i)signature|keyring|openpgp"):
        run(*pull, tmp_path / "others.gpg", "--destination", tmp_path / "again", cwd=tmp_path, variables=home)


def test_image_and_chart_are_signed_by_the_key_that_is_given(
    checkout: Checkout, released: Path, published: dict[str, str], registry: str, tmp_path: Path
) -> None:
    cosign = shutil.which("cosign")
    if cosign is None:
        pytest.skip("cosign is no package of Debian, and not on the PATH")
    run(cosign, "generate-key-pair", cwd=tmp_path, variables=NO_PASSWORD)
    signing: list[str | Path] = ["--cosign-key", tmp_path / "cosign.key", "--cosign-flags", " ".join(OFFLINE)]
    to = ["--registry", f"{registry}/acme", "--plain-http"]
    done = checkout.release("publish", released, *to, *signing, **NO_PASSWORD)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(published.values())
    verify = (cosign, "verify", "--insecure-ignore-tlog", "--allow-http-registry", "--key")
    for reference in published.values():
        run(*verify, tmp_path / "cosign.pub", reference, cwd=tmp_path)
    (tmp_path / "others").mkdir()
    run(cosign, "generate-key-pair", cwd=tmp_path / "others", variables=NO_PASSWORD)
    with pytest.raises(AssertionError, match=r"(?i)signature"):
        run(*verify, tmp_path / "others" / "cosign.pub", published["image"], cwd=tmp_path)
