"""A quota counts, however the kernel words it; the node's cores do not."""

import os
from pathlib import Path

import pytest
from model_manager.cpus import allowed_cpus

MINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, min(MINE, 2)),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "max 100000"}, MINE),
        ({"cpu.max": "99900000 100000"}, MINE),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, MINE),
        ({"cpu.max": "nonsense"}, MINE),
        ({}, MINE),
    ],
)
def test_the_quota_limits_what_the_affinity_allows(tmp_path: Path, files: dict[str, str], cpus: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert allowed_cpus(tmp_path) == cpus
