"""Labs of other suites, each with another version of RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from jepsenvm.machines import lab
from tests.lab.conftest import jepsenvm

OLDEST, NEWEST = "bullseye", "forky"
"""Debian suites with RabbitMQ 3.8.9 and 4.3.6."""
UPGRADED = "bookworm"
"""The Debian suite with RabbitMQ 3.10.8. A copy of its package with a newer version is the target."""
KHEPRI_IS_AN_OPTION = "trixie"
"""The Debian suite with RabbitMQ 4.0.5, where khepri_db is disabled unless it is asked for."""

TIMED_OUT = [
    *("--nemesis", "none", "--time-limit", "150", "--consumers", "3", "--rate", "20"),
    *("--set", "prefetch=1", "--set", "consumer-timeout=5", "--set", "consumer-delay=100"),
]
"""The broker looks for consumers past their timeout once a minute."""


@contextmanager
def deployed(suite: str) -> Iterator[None]:
    """Keep three hosts of a suite up, with RabbitMQ on them."""
    if lab.is_up():
        pytest.fail("the lab is up; take it down with `jepsenvm lab down` to test other versions")
    lab.up(3, suite)
    try:
        jepsenvm("deploy", expect=0, timeout=900)
        yield
    finally:
        lab.down()


def plan_file(folder: Path, plan: dict[str, Any]) -> str:
    file = folder / "plan.yml"
    file.write_text(yaml.safe_dump(plan))
    return str(file)
