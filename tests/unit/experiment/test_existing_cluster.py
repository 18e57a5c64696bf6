"""What is done to an existing cluster: only what its inventory allows, in a virtual host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import CommandError, UsageError
from jepsenvm.experiment import client_access, existing_cluster, preflight
from jepsenvm.experiment.existing_cluster import create_virtual_host, remove_virtual_host
from jepsenvm.machines import ansible
from jepsenvm.machines.ansible_vars import parse_results
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.rabbitmq import ctl
from jepsenvm.rabbitmq.amqp import SessionLost
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.rabbitmq.tls import read_ca
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.tls_server import certified, echo, on_loopback

HALVES = Partition(name="partition-random-halves", text="n1 | n2")


def existing(*allowed: str) -> Inventory:
    return Inventory(
        Path("/hosts.yml"),
        "cloud",
        (),
        Path("/secrets"),
        {},
        existing=True,
        allowed_faults=frozenset(allowed),
    )


@pytest.mark.parametrize("name", ["partition", "partition-random-halves"])
def test_a_fault_is_allowed_by_its_name_or_its_kind(name: str) -> None:
    preflight.require_allowed(existing("kill", name), [HALVES])


@pytest.mark.parametrize("names", [[], ["kill"], ["partition-one-way"]])
def test_any_other_fault_is_refused_with_the_file_the_key_and_the_remedy(names: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        preflight.require_allowed(existing(*names), [HALVES])
    assert str(refused.value) == (
        "/hosts.yml: allowed_faults does not allow partition-random-halves; "
        "add partition to that list if these hosts may have it, or use another nemesis"
    )


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(UsageError, match="allowed_faults: there is no fault 'earthquake'"):
        preflight.require_allowed(existing("earthquake"), [])


def test_nothing_is_ever_installed_there() -> None:
    with pytest.raises(UsageError, match=r"^/hosts\.yml: jepsenvm_existing is set"):
        ansible.play("site.yml", existing(), {})


def test_what_ansible_prints_of_several_hosts() -> None:
    text = (
        'n1 | SUCCESS => {\n    "changed": false,\n    "msg": {"a": "}"}\n}\n'
        'n2 | FAILED! => {\n    "msg": "why"\n}\n'
    )
    assert parse_results(text) == {
        "n1": {"changed": False, "msg": {"a": "}"}},
        "n2": {"msg": "why"},
    }


class Fleet:
    def __init__(self, node: Node) -> None:
        self.nodes = {node.name: node}


NODE = Node(
    name="n1",
    ssh_host="10.0.0.1",
    ssh_port=None,
    ssh_user=None,
    ssh_key=None,
    known_hosts=None,
    become_password=None,
    cluster_address="10.0.0.1",
    amqp_host="10.0.0.1",
    amqp_port=5672,
    vhost="jepsenvm",
)


@dataclass
class VirtualHosts:
    """The virtual hosts of a cluster, and the error with which it refuses a login."""

    names: set[str] = field(default_factory=set)
    refusal: Exception | None = None

    def make(self, _fleet: object, _node: str, _user: str) -> bool:
        created = NODE.vhost not in self.names
        self.names.add(NODE.vhost)
        return created

    def delete(self, _fleet: object, _node: str) -> None:
        self.names.remove(NODE.vhost)

    @asynccontextmanager
    async def session(self, _address: object, _timeout: float) -> AsyncIterator[None]:
        if self.refusal:
            raise self.refusal
        yield


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> VirtualHosts:
    fake = VirtualHosts()
    monkeypatch.setattr(ctl, "make_vhost", fake.make)
    monkeypatch.setattr(ctl, "delete_vhost", fake.delete)
    monkeypatch.setattr(existing_cluster, "session", fake.session)
    return fake


def create() -> bool:
    fleet: Any = Fleet(NODE)
    inventory = replace(existing(), nodes=(NODE,))
    return create_virtual_host(inventory, fleet, Credentials("tester", "p"))


def remove(*, created: bool, decided: bool) -> None:
    fleet: Any = Fleet(NODE)
    remove_virtual_host(fleet, created=created, decided=decided)


def test_a_virtual_host_is_created_and_deleted(
    hosts: VirtualHosts, caplog: pytest.LogCaptureFixture
) -> None:
    assert create()
    assert hosts.names == {"jepsenvm"}
    remove(created=True, decided=True)
    assert hosts.names == set()
    assert caplog.messages == ["virtual host jepsenvm: made", "virtual host jepsenvm: deleted"]


@pytest.mark.parametrize(("created", "decided"), [(True, False), (False, True), (False, False)])
def test_a_virtual_host_is_left_if_it_was_there_or_may_explain_an_unknown_verdict(
    hosts: VirtualHosts, caplog: pytest.LogCaptureFixture, created: bool, decided: bool
) -> None:
    hosts.names = {"jepsenvm"}
    assert not create()
    remove(created=created, decided=decided)
    assert hosts.names == {"jepsenvm"}
    assert "`rabbitmqctl delete_vhost jepsenvm` removes it" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (SessionLost("403 ACCESS_REFUSED"), "10.0.0.1:5672: 403 ACCESS_REFUSED;"),
        (TimeoutError(), "10.0.0.1:5672: no answer in time;"),
    ],
)
def test_a_user_who_cannot_log_in_leaves_no_virtual_host(
    hosts: VirtualHosts, refusal: Exception, reason: str
) -> None:
    hosts.refusal = refusal
    with pytest.raises(UsageError, match="n1: tester cannot log in to virtual host") as refused:
        create()
    assert reason in str(refused.value)
    assert hosts.names == set()


def test_a_user_who_may_not_have_a_virtual_host_is_named(
    hosts: VirtualHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise CommandError("no such user")

    monkeypatch.setattr(ctl, "make_vhost", refuse)
    with pytest.raises(UsageError, match="could not be made for tester: no such user; check"):
        create()


def test_a_certificate_that_does_not_fit_is_refused_and_nothing_is_made(
    hosts: VirtualHosts, tmp_path: Path
) -> None:
    theirs = replace(certified(tmp_path), existing=True)
    other = certified(tmp_path / "other").broker_ca

    class Nodes(FakeFleet):
        def __init__(self, port: int) -> None:
            super().__init__()
            self.nodes = {"n1": on_loopback(amqp_port=port, vhost="jepsenvm")}

    with echo(theirs) as server:
        fleet = Nodes(server.port)
        there = replace(theirs, nodes=tuple(fleet.nodes.values()))
        assert client_access.certificate_problems(fleet, there) == {}
        login = Credentials("tester", "p", ca=read_ca(there))
        with pytest.raises(UsageError) as refused:
            create_virtual_host(replace(there, broker_ca=other), fleet, login)
        assert create_virtual_host(there, fleet, login)
    text = str(refused.value)
    assert text.startswith(f"n1: 127.0.0.1:{server.port}: its certificate is not accepted: ")
    assert "; check amqp_address, amqp_port and jepsenvm_broker_ca, and set amqp_server" in text
    assert hosts.names == {"jepsenvm"}, "only the second time"
