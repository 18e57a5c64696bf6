"""Questions: which program asks, and what an answer means. The programs here are shell scripts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.questions import _script, ask
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import told

QUESTION = Erlang("[node() || $queue =/= <<>>]", queue="it's")

ANSWERS = """question=$(cat); echo "$0 $* $question" >> "$(dirname "$0")/asked"
case $question in 'node().') echo '{ok, rabbit@n1}';; *) echo '{ok, "W10="}';; esac"""


class Machine:
    """A folder of programs, which is the whole PATH of a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cookie = folder / ".erlang.cookie"
        self.cookie.touch()
        for program in ("timeout", "cat", "dirname"):
            (folder / program).symlink_to(f"/usr/bin/{program}")
        self.add("rabbitmqctl", 'echo "rabbitmqctl $*" >> "$(dirname "$0")/asked"; echo "by ctl"')

    def add(self, program: str, text: str) -> None:
        (self.folder / program).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / program).chmod(0o755)

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()

    def run(self, name: str | None = "rabbit@n1") -> subprocess.CompletedProcess[str]:
        script = _script(QUESTION, name, 0.2, 5).replace("~rabbitmq", str(self.folder))
        return subprocess.run(
            ["/bin/sh", "-c", script],
            env={"PATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_erl_call_asks_if_it_can_connect(machine: Machine) -> None:
    machine.add("erl_call", ANSWERS)
    assert machine.run().stdout == '{ok, "W10="}'
    connected, asked = machine.asked()
    assert connected.endswith("erl_call -sname rabbit@n1 -e node().")
    assert asked.endswith(f"-e binary_to_list(base64:encode(rabbit_json:encode({QUESTION}))).")


@pytest.mark.parametrize(
    ("name", "option"),
    [("rabbit@n1.example.org", "-name"), ("rabbit.a@n1", "-sname"), ("rabbit@n-1", "-sname")],
)
def test_a_long_name_needs_another_option(machine: Machine, name: str, option: str) -> None:
    machine.add("erl_call", ANSWERS)
    machine.run(name)
    assert f"erl_call {option} {name} -e" in machine.asked()[0]


@pytest.mark.parametrize(
    "erl_call",
    [
        None,
        "exit 1",
        '[ "$(cat)" = "node()." ] || exit 1',
        "echo '{error, \"*** eval failed: undef\"}'",
    ],
    ids=["missing", "cannot-connect", "breaks-off", "evaluation-fails"],
)
def test_rabbitmqctl_asks_otherwise(machine: Machine, erl_call: str | None) -> None:
    if erl_call is not None:
        machine.add("erl_call", erl_call)
    assert machine.run().stdout == "by ctl\n"
    assert machine.asked()[-1].startswith("rabbitmqctl --quiet eval binary_to_list(")


def test_rabbitmqctl_asks_a_node_without_a_known_name_or_a_readable_cookie(
    machine: Machine,
) -> None:
    machine.add("erl_call", ANSWERS)
    assert machine.run(name=None).stdout == "by ctl\n"
    machine.cookie.unlink()
    assert machine.run().stdout == "by ctl\n"


@pytest.mark.parametrize("erl_call", ["sleep 60", '[ "$(cat)" = "node()." ] || sleep 60'])
def test_a_broker_that_does_not_answer_is_not_asked_again(machine: Machine, erl_call: str) -> None:
    (machine.folder / "sleep").symlink_to("/usr/bin/sleep")
    machine.add("erl_call", erl_call)
    done = machine.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "rabbit@n1 did not answer in time\n"


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        (told([]), []),
        (told({"a": ["b", 1]}), {"a": ["b", 1]}),
        ('"W1s\n "', None),
        ('"W10="\n', []),
        ('"eyJh"\n "IjogMX0="\n', {"a": 1}),
        ("", None),
        ("Error: unable to connect", None),
        ('{ok, "bm8="}', None),
        (told("[" * 100_000)[:-20], None),
    ],
)
def test_an_answer_is_json_in_base64(printed: str, value: Any) -> None:
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = printed
    if value is None:
        with pytest.raises(RunError, match="n1: cannot read a thing from RabbitMQ's answer"):
            ask(fleet, "n1", QUESTION, "a thing")
    else:
        assert ask(fleet, "n1", QUESTION, "a thing") == value
