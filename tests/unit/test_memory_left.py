"""What a child may take: the container's limit less what is used, however the kernel words it, or the machine's."""

from pathlib import Path

import pytest
from model_manager.serving.memory_left import memory_left

MIB = 1 << 20
STAT = f"anon {5 * MIB}\ninactive_file {100 * MIB}\ntotal_inactive_file {50 * MIB}\n"
V2 = {"memory.max": f"{1000 * MIB}", "memory.current": f"{400 * MIB}", "memory.stat": STAT}
V1 = {
    "memory/memory.limit_in_bytes": f"{1000 * MIB}",
    "memory/memory.usage_in_bytes": f"{400 * MIB}",
    "memory/memory.stat": STAT,
}
AVAILABLE = f"MemTotal: 1 kB\nMemAvailable: {2000 * 1024} kB\n"


@pytest.mark.parametrize(
    ("files", "meminfo", "left"),
    [
        (V2, AVAILABLE, 700 * MIB),
        (V1, AVAILABLE, 650 * MIB),
        (V2, "MemAvailable: 204800 kB\n", 200 * MIB),
        ({**V2, "memory.max": "max"}, AVAILABLE, 2000 * MIB),
        ({**V1, "memory/memory.limit_in_bytes": "9223372036854771712"}, AVAILABLE, 2000 * MIB),
        ({**V2, "memory.current": f"{1090 * MIB}"}, AVAILABLE, 64 * MIB),
        (V2, None, 700 * MIB),
        ({}, None, None),
    ],
)
def test_the_least_that_anybody_leaves_is_left(
    tmp_path: Path, files: dict[str, str], meminfo: str | None, left: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + ("" if text.endswith("\n") else "\n"))
    if meminfo is not None:
        (tmp_path / "meminfo").write_text(meminfo)
    assert memory_left(tmp_path, tmp_path / "meminfo") == left
