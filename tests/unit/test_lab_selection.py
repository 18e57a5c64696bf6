"""Which lab tests `script/test` leaves to `script/test --all`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lab.conftest import THOROUGH

TOP = Path(__file__).parents[2]


def test_every_thorough_test_exists() -> None:
    """A name that no test has any more would put its test into every CI run."""
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:xdist", "tests/lab"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.rpartition("::")[2] for line in listed.stdout.splitlines() if "::" in line}
    assert names >= THOROUGH
