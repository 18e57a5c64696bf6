"""A client of the application, without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from jepsenvm.serve.access import Key
from jepsenvm.serve.app import application
from jepsenvm.serve.catalogue import Catalogue

HOSTS = ("localhost", "127.0.0.1", "[::1]")

Client = Callable[..., TestClient]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def campaigns(tmp_path: Path) -> Path:
    return tmp_path / "campaigns"


@pytest.fixture
def client(store: Path, campaigns: Path) -> Iterator[Client]:
    """Return a client of the store; ``key`` is the token that it demands."""
    with ExitStack() as clients:

        def new_client(key: Key | None = None) -> TestClient:
            app = application(Catalogue(store, campaigns), hosts=HOSTS, key=key)
            client = TestClient(app, base_url="http://localhost:8010", follow_redirects=False)
            # Entered, it has one event loop instead of one for each request.
            return clients.enter_context(client)

        yield new_client
