"""`python -m tests.fuzz`: let atheris look for inputs that break a promise, guided by the branches of the server.

One process fuzzes every target: the first byte of an input says which. It ends at the first input that breaks a
promise, and says where that belongs so that it is never lost.
"""

import argparse
import ctypes
import gc
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import atheris

# atheris 3.0 never frees what a comparison that it watches answers, where that is an array: the one module that
# compares whole bodies goes unwatched, or a minute of fuzzing would keep a gigabyte
with atheris.instrument_imports(include=["model_manager"], exclude=["model_manager.codecs.bounds"]):
    from tests.fuzz.seeds import TOKENS, seeds
    from tests.fuzz.targets import TARGETS, PromiseBroken, hold

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).parent / "corpus"
WORK = ROOT / "build" / "fuzz"
_LONGEST = 64 * 1024
_GROWTH_BYTES = 64 << 20
_SETTLED = 20_000
_NAMES = sorted(TARGETS)


def main() -> None:
    """Fuzz, and say what came of it; the exit code is 0 where every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=0, help="stop after so many seconds instead")
    parser.add_argument("--target", choices=_NAMES, action="append", help="only these (default: every one)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    names = chosen.target or _NAMES
    if chosen.here:
        _fuzz(names, inputs=chosen.inputs, seconds=chosen.seconds)
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz", "--here", *sys.argv[1:]]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        sys.stdout.write(f"every promise held; {time.monotonic() - started:.0f} s\n")
        return
    for found in sorted(WORK.glob("found/*")):
        data = found.read_bytes()
        name = _target(names, data)
        kept = CORPUS / name / hashlib.sha256(data[1:]).hexdigest()[:16]
        keep = f"mkdir -p {kept.parent}; tail -c +2 {found} > {kept}"
        sys.stdout.write(f"{name} broke its promise; mend it, and keep the case: {keep}\n")
    sys.exit(1)


def _target(names: list[str], data: bytes) -> str:
    return names[data[0] % len(names)]


def _fuzz(names: list[str], *, inputs: int, seconds: int) -> None:
    """Fuzz in this process, which ends by it."""
    done = settled = 0

    def one(data: bytes) -> None:
        nonlocal done, settled
        if not data:
            return
        hold(TARGETS[_target(names, data)], data[1:])
        done += 1
        if done % _SETTLED == 0:
            used = _resident()
            settled = settled or used
            if used - settled > _GROWTH_BYTES:
                raise PromiseBroken(f"{used - settled} bytes more after {done} inputs than after {_SETTLED}")

    started, found = WORK / "start", WORK / "found"
    for folder in (started, found):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    kept = [(path.parent.name, path.read_bytes()) for path in CORPUS.glob("*/*")]
    for number, (name, data) in enumerate([*seeds(), *kept]):
        if name in names:
            (started / f"{number}-{name}").write_bytes(bytes([names.index(name)]) + data)
    words = WORK / "words"
    words.write_text("".join(f'"{_escaped(token)}"\n' for token in TOKENS))
    limit = [f"-max_total_time={seconds}"] if seconds else [f"-runs={inputs}"]
    options = [f"-artifact_prefix={found}/", f"-dict={words}", f"-max_len={_LONGEST}", "-print_final_stats=1"]
    options += ["-timeout=60", "-rss_limit_mb=4096"]  # a hang, and an allocation, that no promise of ours catches
    atheris.Setup(["tests.fuzz", *limit, *options, str(started)], one)
    atheris.Fuzz()


def _escaped(token: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in token)


def _resident() -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps for later is no growth
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
