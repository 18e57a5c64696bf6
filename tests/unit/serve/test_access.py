"""Who gets an answer: the token, the Host header, methods, and paths that leave the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from jepsenvm.experiment.store import HISTORY, PLAN, REPORT, RESULTS
from jepsenvm.serve.access import HEADERS, Key
from jepsenvm.serve.catalogue import Catalogue
from tests.unit.campaign.builders import record
from tests.unit.serve.conftest import Client
from tests.unit.serve.stores import FIRST, small_run
from tests.unit.serve.test_routes import write_campaign

RUN = f"/store/queue/{FIRST}"
PAGES = ("", "report.html", "run.zip", "events")
KEY = Key("a-token-that-nobody-guesses", "jepsenvm-8010")


@pytest.mark.parametrize("address", ["/", "/assets/serve.css", f"{RUN}/run.zip", "/none"])
@pytest.mark.parametrize(
    "given_token",
    [
        {},
        {"params": {"token": "wrong"}},
        {"params": {"token": "ä"}},
        {"cookies": {KEY.cookie: "wrong"}},
        {"cookies": {"another": KEY.token}},
        {"headers": {"Authorization": KEY.token}},
    ],
)
def test_without_the_token_nothing_is_served(
    client: Client, store: Path, address: str, given_token: Mapping[str, Any]
) -> None:
    small_run(store)
    session = client(KEY)
    session.cookies.update(given_token.get("cookies", {}))
    rest = {name: value for name, value in given_token.items() if name != "cookies"}
    answer = session.get(address, **rest)
    assert answer.status_code == 401
    assert "token" in answer.text
    assert "set-cookie" not in answer.headers


def test_the_token_of_the_address_becomes_a_cookie(client: Client, store: Path) -> None:
    small_run(store)
    session = client(KEY)
    answer = session.get("/", params={"verdict": "valid", "token": KEY.token, "text": "a b"})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/?verdict=valid&text=a+b"
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert session.get(answer.headers["Location"]).status_code == 200
    assert session.get(f"{RUN}/run.zip").status_code == 200


def test_the_redirection_stays_on_this_server(client: Client) -> None:
    answer = client(KEY).get(f"http://localhost//evil.example/?token={KEY.token}")
    assert answer.headers["Location"] == "/evil.example/"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8010", 200),
        ("127.0.0.1:8010", 200),
        ("[::1]:8010", 200),
        ("LOCALHOST", 200),
        ("evil.example", 400),
        ("evil.example:8010", 400),
        ("localhost.evil.example", 400),
        ("localhost@evil.example", 400),
        ("", 400),
    ],
)
def test_only_names_of_this_server_are_answered(client: Client, host: str, status: int) -> None:
    assert client().get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("address", ["/", f"{RUN}/run.zip"])
def test_nothing_can_be_changed(client: Client, store: Path, method: str, address: str) -> None:
    small_run(store)
    answer = client().request(method, address)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("address", ["/", f"{RUN}/", f"{RUN}/run.zip", "/none", "/assets/x"])
def test_every_answer_has_safe_headers(client: Client, store: Path, address: str) -> None:
    small_run(store)
    headers = client().get(address).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_refusals_have_safe_headers(client: Client) -> None:
    for answer in (client(KEY).get("/"), client().get("/", headers={"Host": "evil"})):
        assert answer.status_code in (400, 401)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


NAMES = [
    "..",
    ".",
    "",
    "%2e%2e",
    "%2e%2e%2f..",
    "..%2f..%2fetc",
    "%252e%252e",
    "%00",
    "queue%00",
    "%2fetc",
    "..%5c..",
    ".hidden",
    "%ff%fe",
    "x" * 300,
    "latest",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_path_leaves_the_store(client: Client, store: Path, name: str) -> None:
    small_run(store)
    small_run(store.parent, "secret")
    (store / ".hidden").mkdir()
    session = client()
    for folder in (
        f"/store/{name}/{FIRST}",
        f"/store/queue/{name}",
        f"/store/{name}/secret/{FIRST}",
        f"/{name}/secret/{FIRST}",
        f"/campaigns/{name}/runs/a/attempt-1/queue/{FIRST}",
    ):
        for page in PAGES:
            assert raw(session, f"{folder}/{page}") == 404, (folder, page)


def raw(session: TestClient, path: str) -> int:
    """Return the status for a path that no client has normalised."""
    url = session.base_url.copy_with(raw_path=path.encode())
    return session.send(session.build_request("GET", url)).status_code


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(names=st.lists(st.text(max_size=12) | st.sampled_from(["..", ".", "/", "\0", "store"])))
def test_a_found_run_is_always_below_its_root(tmp_path: Path, names: list[str]) -> None:
    if not (tmp_path / "store").exists():
        small_run(tmp_path / "store")
        small_run(tmp_path, "secret")
    catalogue = Catalogue(tmp_path / "store", tmp_path / "campaigns")
    for key in ("/".join(names), "/".join(["store", *names]), "/".join(["campaigns", *names])):
        place = catalogue.run(key)
        assert place is None or place.folder == tmp_path / "store" / "queue" / FIRST


@pytest.mark.parametrize("depth", ["name", "time"])
def test_a_folder_that_is_a_link_is_no_run(client: Client, store: Path, depth: str) -> None:
    small_run(store.parent / "elsewhere", "secret")
    target = store.parent / "elsewhere" / "secret"
    if depth == "name":
        store.mkdir()
        (store / "secret").symlink_to(target)
    else:
        (store / "secret").mkdir(parents=True)
        (store / "secret" / FIRST).symlink_to(target / FIRST)
    session = client()
    assert "0 of 0 runs" in session.get("/").text
    for page in PAGES:
        assert session.get(f"/store/secret/{FIRST}/{page}").status_code == 404


@pytest.mark.parametrize("name", [PLAN, HISTORY, RESULTS, REPORT, "nodes/n1/rabbit.log"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_run_with_a_link_or_a_pipe_is_refused(
    client: Client, store: Path, name: str, kind: str
) -> None:
    folder = small_run(store)
    secret = store.parent / "secret.txt"
    secret.write_text('{"verdict": "valid", "workload": "the secret"}')
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if kind == "link":
        file.symlink_to(secret)
    else:
        os.mkfifo(file)
    session = client()
    listed = session.get("/")
    assert listed.status_code == 200
    assert "the secret" not in listed.text
    for page in PAGES:
        answer = session.get(f"{RUN}/{page}")
        assert answer.status_code == 422, page
        assert f"{name} is no file" in answer.text
        assert "the secret" not in answer.text


def test_a_campaign_with_a_link_is_refused(client: Client, campaigns: Path) -> None:
    folder = write_campaign(campaigns, "nightly", worse=False)
    run = sorted(folder.recorded())[0]
    file = folder.path / "runs" / run / "record.json"
    file.unlink()
    file.symlink_to(campaigns.parent / "secret.json")
    (campaigns.parent / "secret.json").write_text(str(record()))
    answer = client().get("/campaigns/nightly/")
    assert answer.status_code == 422
    assert "is no file" in answer.text


def test_a_name_that_needs_quoting_is_found_by_its_link(client: Client, store: Path) -> None:
    name = "a b#c?d&e"
    small_run(store, name)
    session = client()
    address = f"/store/{quote(name, safe='')}/{FIRST}/"
    assert f'href="{address}"' in session.get("/").text
    assert raw(session, address) == 200
