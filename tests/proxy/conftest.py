"""The tier of the misbehaving broker: our clients, a proxy, and a real RabbitMQ behind it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy import broker
from tests.proxy.broker import Broker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the number of seeds."""
    parser.addoption("--proxy-seeds", type=int, default=1, help="seeds of each workload")


@pytest.fixture(scope="session")
def private_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A RabbitMQ of this test process alone."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() else tmp_path_factory.getbasetemp()
    folder = tempfile.mkdtemp(prefix="jepsenvm-broker-", dir=parent)
    try:
        with broker.running(Path(folder, "node")) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
