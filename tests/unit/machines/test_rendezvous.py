"""When nodes that wait for each other are told an instant, and how a program learns it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import UnreachableError
from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.remote import fire
from jepsenvm.machines.remote import rendezvous as at_node
from jepsenvm.machines.remote_source import source
from jepsenvm.machines.rendezvous import Rendezvous, start_together
from jepsenvm.machines.ssh import READY, LaterInput, _InOnePiece
from tests.unit.fakes import NODES, FakeFleet

OFFSETS = {"n1": 0.0, "n2": 0.25, "n3": -0.25}


def rendezvous(*, needs_all: bool) -> Rendezvous:
    return Rendezvous(OFFSETS, lambda: 100.0, needs_all=needs_all)


def told(waiting: Rendezvous) -> set[float | str | None]:
    """Return the instant by each node's clock, "" for none, None for not yet."""
    messages = {node: waiting.message(node) for node in OFFSETS}
    return {
        json.loads(text)["at"] - OFFSETS[node] if text else text for node, text in messages.items()
    }


@given(
    st.permutations([*NODES, None]),
    st.sets(st.sampled_from(NODES)),
    st.booleans(),
)
def test_the_nodes_act_together_or_not_at_all(
    events: Iterable[str | None], failing: set[str], needs_all: bool
) -> None:
    """Each node gets ready or fails. None is the end of the others' patience."""
    waiting = rendezvous(needs_all=needs_all)
    arrived: set[str] = set()
    absent: set[str] = set()
    for node in events:
        over = told(waiting) != {None}
        if node is None:
            waiting.wait_no_longer()
            absent |= set(NODES) - arrived if not over else set()
        elif node in failing:
            waiting.ended(node)
            absent |= {node} if not over else set()
        else:
            waiting.ready(node)
        arrived |= {node} if node else set()
        is_cancelled = bool(absent) and needs_all
        if is_cancelled:
            assert told(waiting) == {""}
        elif absent | arrived >= set(NODES):
            assert told(waiting) == {100.0}
        else:
            assert told(waiting) == {None}
    assert waiting.absent == absent


def test_a_program_that_ends_after_it_was_ready_was_present() -> None:
    waiting = rendezvous(needs_all=True)
    for node in NODES:
        waiting.ready(node)
        waiting.ended(node)
    assert not waiting.absent
    assert told(waiting) == {100.0}


def test_the_errors_of_absent_nodes_come_first() -> None:
    fleet = FakeFleet(*NODES)
    fleet.broken.add("n3")
    waiting = rendezvous(needs_all=True)
    answers = start_together(
        fleet, "fire", {node: {} for node in NODES}, waiting, dict, wait_s=60, timeout=60
    )
    assert list(answers) == ["n3", "n1", "n2"]
    assert isinstance(answers["n3"], UnreachableError)


def test_the_input_of_a_command_goes_on_when_its_program_is_ready() -> None:
    messages: list[str | None] = [None, "later\n", "never read"]
    later = LaterInput(lambda: None, lambda: messages.pop(0))
    stream = _InOnePiece("at once\n", later)
    assert [stream.read(1) for _ in range(5)] == ["at once\n", None, "later\n", "", ""]


def order(script: str) -> str:
    action = {"argv": ["sh", "-c", script], "stdin": "x"}
    return json.dumps({"actions": [action], "id": "1", "note": None, "timeout": 60})


@pytest.mark.parametrize("instant", [True, False])
def test_a_fault_acts_only_if_it_is_told_the_instant(tmp_path: Path, instant: bool) -> None:
    began, acted = tmp_path / "began", tmp_path / "acted"
    program = subprocess.Popen(
        [sys.executable, "-c", source("fire")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdin
    assert program.stdout
    program.stdin.write(f"{order(f'touch {began}; read -r x || :; touch {acted}')}\n")
    program.stdin.flush()
    assert program.stdout.readline() == READY
    assert began.exists(), "it waits for its input"
    assert not acted.exists()
    out, error = program.communicate(json.dumps({"at": 0.0, "instant": 0.0}) if instant else None)
    assert acted.exists() == instant
    assert bool(out) == instant
    assert error.startswith("error: it was not told to begin") == (not instant)


@pytest.mark.parametrize(
    ("action", "waits"),
    [
        (shell("true"), True),
        (shell("true", ahead="while :; do :; done"), False),
        (shell("true", ahead="sleep 60"), False),
        (shell("true", ahead="exit 1"), True),  # it has ended
        (Action(("cat",)), True),
    ],
)
def test_a_process_waits_when_it_reads_and_not_while_it_prepares(
    action: Action, waits: bool
) -> None:
    started = fire.Started({"argv": action.argv, "stdin": ""})
    try:
        deadline = time.monotonic() + (30 if waits else 0.3)
        while not started.is_waiting() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert started.is_waiting() is waits
    finally:
        started.kill()


def test_the_order_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"a": "two\nlines"}), json.dumps({"at": 1})]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    assert at_node.read_order() == {"a": "two\nlines"}
    assert at_node.wait_for_instant() == {"at": 1}
