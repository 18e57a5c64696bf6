"""`jepsenvm serve` as a process: what it prints, what it listens on, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from jepsenvm.cli import serve
from jepsenvm.experiment.store import LOG, RESULTS
from tests.unit.cli.conftest import Jepsenvm, assert_one_line, jepsenvm
from tests.unit.serve.stores import FIRST, results, small_run, still_going_on

__all__ = ["jepsenvm"]  # the fixture of the tests of the command line

DEADLINE_S = 300
ERRORS = "stderr.txt"
RUN = f"/store/queue/{FIRST}"


@dataclass
class Server:
    process: subprocess.Popen[str]
    line: str

    @property
    def port(self) -> int:
        found = re.search(r":(\d+)/", self.line)
        assert found, self.line
        return int(found[1])

    @property
    def token(self) -> str:
        return self.line.strip().partition("?token=")[2]

    def get(self, path: str, cookie: str = "") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        return connection.getresponse()


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "jepsenvm", "serve", "--port", "0", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        (folder / ERRORS).open("w") as errors,
        subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield Server(process, process.stdout.readline())
        finally:
            process.kill()


def test_a_server_on_loopback(tmp_path: Path) -> None:
    small_run(tmp_path / "store")
    small_run(tmp_path / "store", "a%2e&b")
    small_run(tmp_path, "secret")
    with serving(tmp_path) as server:
        assert server.line == f"serving http://127.0.0.1:{server.port}/\n"
        answer = server.get("/")
        assert answer.status == 200
        assert "Set-Cookie" not in answer.headers
        assert "server" not in answer.headers
        assert server.get(f"/store/{quote('a%2e&b', safe='')}/{FIRST}/").status == 200
        for path in (
            f"/../secret/{FIRST}/run.zip",
            f"/store/../secret/{FIRST}/run.zip",
            f"/store/%2e%2e/secret/{FIRST}/run.zip",
            f"/store/..%2fsecret/{FIRST}/run.zip",
            f"/store/../../secret/{FIRST}/run.zip",
            "//etc/passwd",
            "/assets/../../pyproject.toml",
            "/assets/..%2f__init__.py",
            f"{RUN}/../../../secret/{FIRST}/run.zip",
            f"{RUN}/plan.yml",
            f"{RUN}%00/run.zip",
        ):
            assert server.get(path).status == 404, path
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(DEADLINE_S) == 0


def test_a_run_is_followed_while_it_grows(tmp_path: Path) -> None:
    folder = still_going_on(small_run(tmp_path / "store", verdict=None))
    with serving(tmp_path) as server:
        events = server.get(f"{RUN}/events")
        assert events.headers["Content-Type"].startswith("text/event-stream")
        assert "everything is healed" in _until(events, "log")
        assert "going on" in _until(events, "state")
        with (folder / LOG).open("a") as log:
            log.write("2026-09-21T10:16:00.000Z <b>news</b>\n")
        assert "<b>news</b>" in _until(events, "log")
        (folder / RESULTS).write_text(json.dumps(results("invalid")))
        assert json.loads(_until(events, "end"))["verdict"] == "invalid"
        assert events.read().strip() == b""


def test_a_follower_does_not_keep_the_server_alive(tmp_path: Path) -> None:
    small_run(tmp_path / "store", verdict=None)
    with serving(tmp_path) as server:
        events = server.get(f"{RUN}/events")
        _until(events, "state")
        server.process.send_signal(signal.SIGTERM)
        assert events.read().strip() == b""
        assert server.process.wait(DEADLINE_S) == 0
    assert (tmp_path / ERRORS).read_text() == ""


def _until(events: http.client.HTTPResponse, name: str) -> str:
    """Return the data of the next event with a name."""
    found = ""
    while line := events.readline().decode():
        if line.startswith("event: "):
            found = line.split(": ", 1)[1].strip()
        elif line.startswith("data: ") and found == name:
            return line.split(": ", 1)[1]
    raise AssertionError(f"the events ended before {name}")


def test_another_address_needs_the_printed_token(tmp_path: Path) -> None:
    small_run(tmp_path / "store")
    with serving(tmp_path, "--host", "0.0.0.0") as server:  # noqa: S104 - the case under test
        assert socket.gethostname() in server.line
        assert len(server.token) >= 40
        assert server.get("/").status == 401
        assert server.get(f"{RUN}/run.zip?token=wrong").status == 401
        answer = server.get(f"{RUN}/run.zip?token={server.token}")
        assert (answer.status, answer.headers["Location"]) == (303, f"{RUN}/run.zip")
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        assert cookie.startswith(f"jepsenvm-{server.port}=")
        assert server.get(f"{RUN}/run.zip", cookie).status == 200


def test_a_token_of_a_file_is_needed_on_loopback_too(tmp_path: Path) -> None:
    small_run(tmp_path / "store")
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    file.chmod(0o600)
    with serving(tmp_path, "--token-file", "token") as server:
        assert "0123456789abcdef" not in server.line
        assert "with the token in token" in server.line
        assert server.get("/").status == 401
        assert server.get("/?token=0123456789abcdef").status == 303


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        ("0123456789abcdef", 0o640, "others may read or write it; chmod 600"),
        ("0123456789abcdef", 0o602, "others may read or write it; chmod 600"),
        ("short", 0o600, "at least 16 ASCII characters"),
        ("", 0o600, "at least 16 ASCII characters"),
        ("ä" * 20, 0o600, "at least 16 ASCII characters"),
        ("0123456789\nabcdef", 0o600, "one line"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_an_unsafe_token_file_is_refused(
    jepsenvm: Jepsenvm, tmp_path: Path, content: str | None, mode: int, problem: str
) -> None:
    (tmp_path / "store").mkdir()
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content, encoding="utf-8")
        file.chmod(mode)
    words = ("serve", "--store", tmp_path / "store", "--port", "0", "--token-file", file)
    assert_one_line(jepsenvm(*words), 254, problem)


def test_a_port_in_use_is_one_line(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ("serve", "--store", tmp_path, "--port", port)
        assert_one_line(jepsenvm(*words), 254, f"--port {port}", "in use", "choose another")
    assert_one_line(jepsenvm("serve", "--store", tmp_path, "--host", "x y"), 254, "cannot listen")


def test_a_missing_store_is_one_line(jepsenvm: Jepsenvm, tmp_path: Path) -> None:
    result = jepsenvm("serve", "--store", tmp_path / "none", "--campaigns", tmp_path / "no")
    assert_one_line(result, 254, "there is no such folder")


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_framework_is_one_line(
    jepsenvm: Jepsenvm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    def find(name: str) -> object:
        return None if name == package else object()

    monkeypatch.setattr(serve, "find_spec", find)
    result = jepsenvm("serve", "--store", tmp_path)
    assert_one_line(result, 254, f"{package} is not installed", "pip install 'jepsenvm[serve]'")
