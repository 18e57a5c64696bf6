"""Reads of a broker's settings, maintenance mode and virtual hosts."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq import ctl
from jepsenvm.rabbitmq.ctl import Settings
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import name, told


def fleet(answer: Any) -> FakeFleet:
    fleet = FakeFleet("n1", "n2", "n3")
    fleet.outputs["n1"] = told(answer)
    return fleet


def test_the_settings_of_a_node() -> None:
    node = fleet({"version": "3.8.9", "handling": "ignore", "ticktime": 60})
    assert ctl.settings(node, "n1") == Settings("3.8.9", "ignore", 60)


@pytest.mark.parametrize("answer", [[True], [False]])
def test_whether_a_node_can_be_drained(answer: list[bool]) -> None:
    assert ctl.has_maintenance_mode(fleet(answer), "n1") == answer[0]


@pytest.mark.parametrize("answer", [[], [2], ["true"], True, None])
def test_an_odd_answer_about_the_maintenance_mode_is_an_error(answer: Any) -> None:
    with pytest.raises(RunError, match="cannot read the state of the maintenance mode"):
        ctl.has_maintenance_mode(fleet(answer), "n1")


def test_an_existing_virtual_host_stays_as_it_is() -> None:
    existing = fleet([name("/"), name("other")])
    vhost = existing.nodes["n1"].vhost
    existing.outputs["n1"] = told([name(vhost)])
    assert not ctl.make_vhost(existing, "n1", "user")
    existing.outputs["n1"] = told([name(f"{vhost}x")])
    assert ctl.make_vhost(existing, "n1", "user")
    assert [script.split()[2] for _, script in existing.scripts[-2:]] == [
        "add_vhost",
        "set_permissions",
    ]


ODD: list[Any] = [
    {},
    {"version": "1", "handling": "a", "ticktime": "x"},
    None,
    3,
    "text",
    [1],
    [None],
    {"running_nodes": 5},
]


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_an_answer_that_is_not_understood_is_one_clear_error(answer: Any) -> None:
    with pytest.raises(RunError, match=r"^n1: cannot read the settings from") as refused:
        ctl.settings(fleet(answer), "n1")
    assert len(str(refused.value)) < 300
    if not isinstance(answer, dict):
        with pytest.raises(RunError, match="cannot read the virtual hosts from"):
            ctl.make_vhost(fleet(answer), "n1", "user")
