"""The modules with which the playbooks read and change a host. Ansible runs them on this machine."""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.machines.ansible_here import imported, module_here, role_folder

OWNER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
SECRET = "ABCDEFGHIJKLMNOP\n"


def wanted(folder: Path) -> list[dict[str, str]]:
    owner = {"owner": OWNER, "group": GROUP}
    return [
        {"path": str(folder / "d"), "state": "directory", "mode": "0750", **owner},
        {"path": str(folder / "d/secret"), "content": SECRET, "mode": "0400", **owner},
        {"path": str(folder / "d/list"), "content": "[one].\n", "mode": "0640", **owner},
        {"path": str(folder / "old"), "state": "absent"},
    ]


def made(paths: list[dict[str, str]], *words: str) -> dict[str, Any]:
    return module_here("rabbitmq", "rabbitmq_paths", {"paths": paths}, *words)


def inspected(folder: Path, *read_at_start: Path) -> dict[str, Any]:
    arguments = {
        "node": "n1",
        "folder": str(folder),
        "marker": str(folder / "marker"),
        "aside": str(folder / "aside"),
        "paths": [one["path"] for one in wanted(folder)],
        "read_at_start": [str(path) for path in read_at_start],
    }
    host: dict[str, Any] = module_here("rabbitmq", "rabbitmq_inspection", arguments)["host"]
    return host


def test_paths_become_what_they_shall_be_and_stay_so(tmp_path: Path) -> None:
    paths = wanted(tmp_path)
    (tmp_path / "old/inner").mkdir(parents=True)
    assert made(paths, "--check")["changed_paths"] == [one["path"] for one in paths]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["old"]
    assert made(paths)["changed_paths"] == [one["path"] for one in paths]
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")) == [
        "d",
        "d/list",
        "d/secret",
    ]
    assert (tmp_path / "d/secret").read_text() == SECRET
    assert stat.S_IMODE((tmp_path / "d/secret").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750
    assert made(paths)["changed_paths"] == []
    (tmp_path / "d/list").chmod(0o644)
    assert made(paths)["changed_paths"] == [str(tmp_path / "d/list")]


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    paths = wanted(tmp_path)
    differing = imported(role_folder("rabbitmq") / "filter_plugins/paths.py").differing
    (tmp_path / "old").touch()
    assert differing(paths, inspected(tmp_path)["paths"]) == paths
    assert differing(paths, {}) == paths
    made(paths)
    assert differing(paths, inspected(tmp_path)["paths"]) == []
    (tmp_path / "d/secret").chmod(0o600)
    (tmp_path / "d/secret").write_text("other\n")
    (tmp_path / "d/list").chmod(0o600)
    (tmp_path / "old").touch()
    assert differing(paths, inspected(tmp_path)["paths"]) == paths[1:]


def test_the_content_of_a_file_is_in_no_answer(tmp_path: Path) -> None:
    answer = json.dumps(made(wanted(tmp_path)))
    assert SECRET.strip() not in answer
    assert SECRET.strip() not in json.dumps(inspected(tmp_path))


def test_an_inspection_says_what_jepsenvm_left_on_a_host(tmp_path: Path) -> None:
    bare = inspected(tmp_path)
    assert (bare["record"], bare["marked"], bare["marker"], bare["archive"]) == ({}, False, "", "")
    assert bare["free_mib"] > 0
    (tmp_path / "rabbitmq.json").write_text('{"source": "archive"}')
    (tmp_path / "marker").write_text('{"nodes": ["n1"]}\n')
    (tmp_path / "rabbitmq").symlink_to("/opt/x/rabbitmq_server-4.1.3")
    left = inspected(tmp_path)
    assert left["record"] == {"source": "archive"}
    assert (left["marked"], left["marker"]) == (True, '{"nodes": ["n1"]}\n')
    assert left["archive"] == "/opt/x/rabbitmq_server-4.1.3"


def test_files_that_a_broker_has_not_read_are_newer_than_its_start(tmp_path: Path) -> None:
    inspection = imported(role_folder("rabbitmq") / "library/rabbitmq_inspection.py")
    started, old, new = tmp_path / "pid", tmp_path / "old", tmp_path / "tls/new"
    new.parent.mkdir()
    for path, at in ((old, 1), (started, 2), (new, 3), (new.parent, 1)):
        if path != new.parent:
            path.touch()
        os.utime(path, (at, at))
    assert inspection._newer(started, [old, new.parent, tmp_path / "none"]) == [str(new)]
    assert inspection._newer(tmp_path / "none", [new]) == []


PASSWORD = "the password"
STATUS = {"running_nodes": ["rabbit@n1.example.org"]}


class Management(BaseHTTPRequestHandler):
    """The management API of a node that knows one user."""

    def do_GET(self) -> None:
        login = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
        self.send_response(200 if login == f"jepsenvm:{PASSWORD}" else 401)
        self.end_headers()
        states = {"rabbit@n1.example.org": "running", "rabbit@n2.example.org": "stopped"}
        vhosts = [{"name": "/", "cluster_state": states}]
        answer = vhosts if self.path.startswith("/api/vhosts?") else {"policies": []}
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def management() -> Iterator[str]:
    """The URL of a management API."""
    with HTTPServer(("127.0.0.1", 0), Management) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def viewed(
    folder: Path, url: str, *, node: str = "rabbit@n1.example.org", password: str = PASSWORD
) -> dict[str, Any]:
    arguments = {"node": node, "url": url, "user": "jepsenvm", "password": password, "timeout": 5}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    # No proxy is asked for the node's own address.
    environment = {"PATH": path, "http_proxy": "http://127.0.0.1:9"}
    view = module_here("cluster", "rabbitmq_view", arguments, environment=environment)
    return {key: view[key] for key in ("status", "vhosts_down", "definitions")}


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def told(value: object) -> str:
    """Return the output of ``erl_call`` for a value."""
    return '{ok, "' + base64.b64encode(json.dumps(value).encode()).decode() + '"}'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs of RabbitMQ and Erlang: ``erl_call`` does not connect to the node."""
    program(tmp_path, "erl_call", "exit 1")
    program(tmp_path, "rabbitmqctl", f"echo '{json.dumps(STATUS)}'")
    return tmp_path


def test_the_view_of_a_node_is_read_at_once(programs: Path, management: str) -> None:
    whole = {"status": STATUS, "vhosts_down": [], "definitions": {"policies": []}}
    assert viewed(programs, management) == whole
    down = viewed(programs, management, node="rabbit@n2.example.org")
    assert down == {**whole, "vhosts_down": ["/"]}


@pytest.mark.parametrize(
    ("node", "words"),
    [("rabbit@n1", "-sname rabbit@n1 -e"), ("rabbit@n1.a", "-name rabbit@n1.a -e")],
)
def test_erl_call_asks_for_the_status(
    programs: Path, management: str, node: str, words: str
) -> None:
    status = {"running_nodes": [node], "alarms": []}
    # It refuses an expression that does not end with a full stop and a line break.
    accepts = f'[ "$*" = "{words}" ] && [ "$(tail -c 3 | od -A n -c | xargs)" = "d . n" ]'
    program(programs, "erl_call", f"{accepts} && printf %s '{told(status)}'")
    program(programs, "rabbitmqctl", f"touch {programs}/asked")
    assert viewed(programs, management, node=node)["status"] == status
    assert not (programs / "asked").exists()


@pytest.mark.parametrize("output", ["", "{error, badrpc}", '{ok, "e30', '{ok, "%%%"}', "{ok, 3}"])
def test_rabbitmqctl_asks_where_erl_call_gets_no_answer(
    programs: Path, management: str, output: str
) -> None:
    program(programs, "erl_call", f"printf %s '{output}'")
    assert viewed(programs, management)["status"] == STATUS


def test_what_does_not_answer_is_none(programs: Path, management: str) -> None:
    program(programs, "rabbitmqctl", "echo '{}'; exit 69")
    refused = viewed(programs, management, password="other")
    assert refused == {"status": None, "vhosts_down": None, "definitions": None}
    program(programs, "rabbitmqctl", "sleep 600 & sleep 600")
    nothing = viewed(programs, "http://127.0.0.1:9")
    assert nothing == {"status": None, "vhosts_down": None, "definitions": None}


def test_a_broker_that_is_silent_is_asked_once(programs: Path, management: str) -> None:
    program(programs, "rabbitmqctl", f"touch {programs}/asked")
    program(programs, "erl_call", "sleep 600 & sleep 600")
    assert viewed(programs, management)["status"] is None
    assert not (programs / "asked").exists()
