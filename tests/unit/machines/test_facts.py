"""What is taken for a node's own, of the addresses that it tells."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jepsenvm.errors import RunError, UsageError
from jepsenvm.machines import facts as module
from jepsenvm.machines.facts import Facts, _Answer, _facts
from jepsenvm.machines.inventory_node import Node
from jepsenvm.machines.ssh import Output
from tests.unit.fakes import FakeFleet

SHARED = "172.17.0.1"  # that of a bridge which every host has


def answer(number: int, controller: str, port: int = 22) -> _Answer:
    addresses = {f"10.0.0.{number}": "global", f"fe80::{number}": "link", SHARED: "global"}
    return _Answer(addresses, (), controller, port, 0.0)


def facts(name: str, cluster_address: str, answers: dict[str, _Answer]) -> Facts:
    node = Node(
        name,
        "198.51.100.1",
        None,
        None,
        None,
        None,
        None,
        cluster_address,
        "x",
        5672,
        broker=f"rabbit@{name}",
    )
    return _facts(
        node,
        answers,
        {SHARED: 2, **{f"10.0.0.{n}": 1 for n in (1, 2)}, "fe80::1": 1, "fe80::2": 1},
    )


def test_a_node_that_is_the_way_to_another_lets_its_answers_in() -> None:
    answers = {"n1": answer(1, "198.51.100.7"), "n2": answer(2, "10.0.0.1", 2222)}
    gate, behind = facts("n1", "10.0.0.1", answers), facts("n2", "10.0.0.2", answers)
    assert (gate.host.controller, gate.host.answers) == ("198.51.100.7", (2222,))
    assert (behind.host.controller, behind.host.ssh_port, behind.host.answers) == (
        "10.0.0.1",
        2222,
        (),
    )
    assert gate.host.addresses == ("10.0.0.1", "fe80::1")
    assert gate.global_addresses == ("10.0.0.1",)


@pytest.mark.parametrize("address", ["198.51.100.1", "172.17.0.1"])
def test_a_cluster_address_that_is_not_the_nodes_own_is_refused(address: str) -> None:
    with pytest.raises(
        UsageError,
        match=rf"^n1: its cluster address {address} is not one of its own addresses; .* such as 10\.0\.0\.1$",
    ):
        facts("n1", address, {"n1": answer(1, "198.51.100.7")})


USUAL = {
    "addresses": [{"address": "10.0.0.1", "scope": "global"}],
    "missing": [],
    "clock": 1.5,
    "clock-moved": True,
}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {**USUAL, "addresses": None},
        {**USUAL, "addresses": [{"address": {}, "scope": "link"}]},
        {**USUAL, "addresses": [{"address": 7, "scope": "link"}]},
        {**USUAL, "addresses": [{"address": "n1", "scope": "link"}]},
        {**USUAL, "addresses": [{"addre": "10.0.0.1", "scope": "global"}]},
        {**USUAL, "missing": 3},
        {**USUAL, "clock": "noon"},
        {**USUAL, "clock-moved": False},  # the fleet answers `date` with nothing
    ],
)
def test_a_malformed_answer_is_an_error_of_its_node(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    fleet = FakeFleet("n1")
    monkeypatch.setattr(fleet, "python", lambda *_: answer)
    monkeypatch.setattr(fleet, "plain", lambda *_: Output("", "", 0), raising=False)
    with pytest.raises(RunError, match="not understood") as caught:
        module.facts(fleet)
    assert caught.value.node == "n1"


@pytest.mark.parametrize(("moved", "offset"), [(False, 7.0), (True, 3.0)])
def test_a_moved_wall_clock_is_not_read(
    monkeypatch: pytest.MonkeyPatch, moved: bool, offset: float
) -> None:
    fleet = FakeFleet("n1")
    monkeypatch.setattr(
        fleet, "python", lambda *_: {**USUAL, "clock": time.time() + 3, "clock-moved": moved}
    )
    monkeypatch.setattr(fleet, "plain", lambda *_: Output("", "", 0), raising=False)
    monkeypatch.setattr(module, "clock_offset", lambda *_: 7.0)
    assert module._ask(fleet, "n1").clock_offset == pytest.approx(offset, abs=0.5)
