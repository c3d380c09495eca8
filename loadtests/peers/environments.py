"""An environment for each peer, below .venv-peers/: their dependencies contradict each other's, and ours."""

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import sklearn

from loadtests.peers.servers import OWN_VERSION, Peer
from tools.processes import ROOT, ProcessFailed

FOLDER: Final = ROOT / ".venv-peers"
_INSTALL_S: Final = 900


def programs_of(peer: Peer) -> Path:
    """The folder of a peer's programs, installed where that has not been done. Raises ProcessFailed.

    With the scikit-learn that is here, since artifacts are of that.
    """
    if not peer.packages:
        return Path(sys.executable).parent
    environment = FOLDER / peer.name.lower()
    programs, stamp = environment / "bin", environment / "installed"
    wanted = "\n".join((*peer.packages, f"scikit-learn=={sklearn.__version__}"))
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        venv.create(environment, with_pip=True)
        install = [str(programs / "python"), "-m", "pip", "install", "--quiet", *wanted.splitlines()]
        try:
            ran = subprocess.run(install, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            raise ProcessFailed(f"{peer.name} was not installed within {_INSTALL_S} s") from None
        if ran.returncode:
            raise ProcessFailed(f"{peer.name} cannot be installed: {ran.stderr.strip()[-300:]}")
        stamp.write_text(wanted, encoding="utf-8")
    return programs


def version_of(peer: Peer) -> str:
    """The version of a peer that was installed."""
    if not peer.packages:
        return OWN_VERSION
    listing = [str(programs_of(peer) / "python"), "-m", "pip", "list", "--format", "json"]
    said = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    versions = {one["name"].lower(): one["version"] for one in json.loads(said)}
    return str(versions[peer.packages[0]])
