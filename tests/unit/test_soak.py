"""The measurements of `script/soak`: what a process tree uses, and whether a curve grows."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.soak import GROWTH, Sample, draw, growth, sample

KEEPS = """
import sys
kept = bytearray(b"x" * (int(sys.argv[1]) << 20))
files = [open("/dev/null") for _ in range(int(sys.argv[2]))]
print("ready", flush=True)
sys.stdin.read()
"""
"""A program that keeps some MiB and some open files until its input ends."""

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], "64", "50"], stdin=sys.stdin)
child.wait()
"""


def test_the_memory_and_the_descriptors_of_a_process_and_its_children_are_measured() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, KEEPS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        assert parent.stdout.readline() == b"ready\n"
        found = sample(parent.pid, time.monotonic())
        parent.stdin.close()
    assert found is not None
    assert found.memory_mib > 64
    assert found.descriptors >= 50
    assert sample(parent.pid, time.monotonic()) is None


@pytest.mark.parametrize(
    ("memory", "grows"),
    [
        ([10, 90, 100, 100, 100, 101, 100, 100], False),  # the first quarter fills caches
        ([100, 100, 110, 120, 130, 140, 150, 160], True),
        ([100, 100, 100, 900, 100, 100, 100, 100], False),  # one peak is not growth
    ],
)
def test_growth_compares_the_last_quarter_with_the_second(memory: list[int], grows: bool) -> None:
    values = [one for one in memory for _ in range(5)]
    samples = [Sample(number, one, 1) for number, one in enumerate(values)]
    assert (growth(samples, "memory_mib") > GROWTH) is grows


def test_the_curves_are_drawn(tmp_path: Path) -> None:
    draw([Sample(5.0 * number, 100.0, 40) for number in range(8)], tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
