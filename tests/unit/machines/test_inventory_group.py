"""Which hosts of an inventory are the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from jepsenvm.cli.main import cli
from jepsenvm.errors import UsageError
from jepsenvm.machines import inventory, inventory_hostvars
from jepsenvm.machines.inventory_group import group_of_nodes, members
from jepsenvm.rabbitmq.names import GROUP

PATH = Path("hosts.ini")


def listing(hosts: Any = (), **groups: Any) -> dict[str, object]:
    """Return what ``ansible-inventory --list`` prints."""
    return {
        "_meta": {"hostvars": {name: {} for name in hosts}},
        "all": {"children": ["ungrouped", *groups]},
        **groups,
    }


TWO = {"rmq": {"hosts": ["r1", "r2"]}, "redis": {"hosts": ["s1"]}}


@pytest.mark.parametrize(
    ("listed", "chosen", "named", "group"),
    [
        (listing(("n1", "n2")), None, None, "all"),
        (listing(("r1", "r2"), rmq=TWO["rmq"]), None, None, "rmq"),
        (listing(**TWO, rabbitmq={"hosts": ["n1"]}), None, None, "rabbitmq"),
        (listing(**TWO, rabbitmq={}), None, None, "rabbitmq"),
        # Ansible lists an empty group as a child of `all` only.
        (
            {**listing(rmq=TWO["rmq"]), "all": {"children": ["ungrouped", "rmq", "rabbitmq"]}},
            None,
            None,
            "rabbitmq",
        ),
        (listing(**TWO), "rmq", None, "rmq"),
        (listing(**TWO), None, "rmq", "rmq"),
        (listing(**TWO), "redis", "rmq", "redis"),
        (listing(**TWO, rabbitmq={"hosts": ["n1"]}), "redis", None, "redis"),
        (listing(**TWO), "all", None, "all"),
        (listing(("n1",), **TWO), "ungrouped", None, "ungrouped"),
        # A group without hosts has no nodes, so it is no choice.
        (listing(("r1", "r2"), rmq=TWO["rmq"], empty={}), None, None, "rmq"),
    ],
)
def test_the_group_of_the_cluster(
    listed: dict[str, object], chosen: str | None, named: str | None, group: str
) -> None:
    assert group_of_nodes(PATH, listed, GROUP, chosen, named) == group


@pytest.mark.parametrize(
    ("listed", "chosen", "named", "says"),
    [
        (listing(**TWO), None, None, "has no group `rabbitmq`; its groups are redis, rmq; name"),
        # A host outside of the only group may be anything.
        (listing(("r1", "r2", "x"), rmq=TWO["rmq"]), None, None, "its groups are rmq; name"),
        (listing(east={"hosts": ["r1"]}, rmq={"children": ["east"]}), None, None, "east, rmq"),
        (listing(**TWO), "rabbit", None, "--group is 'rabbit', and there is no such group"),
        (listing(**TWO), None, "rabbit", "jepsenvm_group is 'rabbit', and there is no such group"),
        (listing(**TWO), "r1", None, "--group is 'r1'"),
        (listing(**TWO), "_meta", None, "--group is '_meta'"),
        (listing(**TWO), "rmq:redis", None, "--group is 'rmq:redis'"),
        (listing(**TWO), "", None, "--group is ''"),
        (listing(("n1",)), "rmq", None, "it has no groups"),
        (
            listing(**{f"group{number:03}": {"hosts": ["n1"]} for number in range(500)}),
            None,
            None,
            "its groups are group000, group001",
        ),
    ],
)
def test_without_a_clear_group_no_host_is_taken(
    listed: dict[str, object], chosen: str | None, named: str | None, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        group_of_nodes(PATH, listed, GROUP, chosen, named)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 500


def test_groups_within_groups_and_cycles_of_groups_come_to_an_end() -> None:
    chain = {f"g{number}": {"children": [f"g{number + 1}"]} for number in range(5000)}
    listed = listing(**chain, g5000={"hosts": ["n1"], "children": ["g0"]})
    assert members(listed, "g0") == {"n1"}


SEVERAL = """[{names[0]}]
rabbit-1 ansible_host=127.0.0.11
rabbit-2 ansible_host=127.0.0.12
[redis_servers]
redis-1 ansible_host=127.0.0.14
[{names[0]}:vars]
{variable}
"""


def test_ansible_reads_the_groups(tmp_path: Path) -> None:
    file = tmp_path / "hosts.ini"
    file.write_text(SEVERAL.format(names=["rabbit-servers"], variable="x=1"))
    with pytest.raises(UsageError, match="its groups are rabbit-servers, redis_servers; name the"):
        inventory.load(file, GROUP)
    chosen = inventory.load(file, GROUP, chosen_group="rabbit-servers")
    assert ([node.name for node in chosen.nodes], chosen.group) == (
        ["rabbit-1", "rabbit-2"],
        "rabbit-servers",
    )
    file.write_text(
        SEVERAL.format(names=["rabbit-servers"], variable='jepsenvm_group="{{ group_names[0] }}"')
    )
    assert inventory.load(file, GROUP).group == "rabbit-servers"
    with file.open("a") as stream:
        stream.write("[redis_servers:vars]\njepsenvm_group=redis_servers\n")
    with pytest.raises(UsageError, match="jepsenvm_group has several values"):
        inventory.load(file, GROUP)


@pytest.mark.parametrize("command", ["doctor", "deploy", "heal", "hello", "remove", "run"])
def test_the_option_chooses_the_group_for_each_command(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory_hostvars, "_list", lambda _path: json.dumps(listing(**TWO)))
    file = tmp_path / "hosts.ini"
    file.touch()
    refused = CliRunner().invoke(cli, [command, "-i", str(file), "--group", "rmqs"])
    assert refused.exit_code == 254
    assert "--group is 'rmqs', and there is no such group" in refused.output


def test_an_empty_inventory_path_is_not_the_current_folder() -> None:
    refused = CliRunner().invoke(cli, ["doctor", "-i", ""])
    assert refused.exit_code == 254
    assert "it is empty" in refused.output


@pytest.mark.parametrize(
    "group",
    [
        None,
        [],
        "n1",
        {"hosts": None},
        {"hosts": "n1"},
        {"hosts": [{}]},
        {"hosts": [1]},
        {"children": {"a": 1}},
        {"children": [["redis"]]},
    ],
)
def test_a_group_that_lists_no_names_is_not_understood(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: Any
) -> None:
    path = tmp_path / "hosts.ini"
    path.touch()
    monkeypatch.setattr(
        inventory_hostvars, "_list", lambda _path: json.dumps(listing(("n1",), rabbitmq=group))
    )
    with pytest.raises(UsageError, match="printed something that is not understood"):
        inventory_hostvars.read_hosts(path, GROUP)
