"""Image and chart of a release → a registry, each named by its digest and signed where a key is given."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.release.commands import Refused, answer, helm, run
from tools.release.versions import Version

DIGESTS = "DIGESTS"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def publish(
    version: Version,
    folder: Path,
    registry: str,
    *,
    plain_http: bool,
    cosign_key: str | None,
    cosign_flags: Sequence[str],
) -> list[str]:
    """Push model-manager:<version> and the chart in the folder; returns references by digest, also in its DIGESTS.

    The chart is beside the image, in `charts`. A key is whatever `cosign sign --key` takes. Raises Refused.
    """
    chart = folder / f"model-manager-{version}.tgz"
    if not chart.is_file():
        raise Refused(f"{chart} is not there: build the release first")
    references = [_push_image(version, registry, plain_http), _push_chart(chart, registry, plain_http)]
    (folder / DIGESTS).write_text("".join(f"{reference}\n" for reference in references), encoding="utf-8")
    if cosign_key is not None:
        cosign = shutil.which("cosign")
        if cosign is None:
            raise Refused("a key is given and nothing is signed: cosign, which does it, is not installed")
        insecure = ["--allow-http-registry"] if plain_http else []
        for reference in references:
            run(cosign, "sign", "--yes", "--key", cosign_key, *insecure, *cosign_flags, reference, cwd=folder)
    return references


def _push_image(version: Version, registry: str, plain_http: bool) -> str:
    name = f"{registry}/model-manager"
    insecure = ["--tls-verify=false"] if plain_http else []
    with tempfile.TemporaryDirectory() as temporary:
        digest = Path(temporary) / "digest"
        target = f"docker://{name}:{version}"
        run(
            "podman", "push", *insecure, "--digestfile", digest, f"model-manager:{version}", target, cwd=Path(temporary)
        )
        return f"{name}@{digest.read_text(encoding='utf-8').strip()}"


def _push_chart(chart: Path, registry: str, plain_http: bool) -> str:
    insecure = ["--plain-http"] if plain_http else []
    said = answer(helm(), "push", chart, f"oci://{registry}/charts", *insecure, cwd=chart.parent, everything=True)
    digest = _DIGEST.search(said)
    if digest is None:
        raise Refused(f"helm push told no digest: {said.strip()}")
    return f"{registry}/charts/model-manager@{digest[0]}"
