"""Preparation of a run: what is asked of the nodes, when it deploys, and what it refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepsenvm.errors import CommandError, UsageError
from jepsenvm.experiment import client_access, preflight
from jepsenvm.experiment import prepare as module
from jepsenvm.experiment.prepare import Prepared, prepare
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.nemesis.schedule import schedule as schedule_of_plan
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import cluster_view, ctl
from jepsenvm.rabbitmq.cluster_view import View
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.rabbitmq.ctl import Settings

NAMES = ("n1", "n2", "n3")
WANTED = Settings("3.10.8", "autoheal", 15)
OTHER = Settings("3.10.8", "pause_minority", 30)
HEALTHY = View(frozenset(NAMES), {}, members=frozenset(NAMES))


def node(name: str) -> Node:
    number = name[1:]
    return Node(
        name=name,
        ssh_host=f"10.0.0.{number}",
        ssh_port=None,
        ssh_user=None,
        ssh_key=None,
        known_hosts=None,
        become_password=None,
        cluster_address=f"10.0.0.{number}",
        amqp_host=f"10.0.0.{number}",
        amqp_port=5672,
    )


INVENTORY = Inventory(Path("/hosts.yml"), "cloud", tuple(map(node, NAMES)), Path("/secrets"), {})
EXISTING = replace(INVENTORY, existing=True, allowed_faults=frozenset({"partition"}))


class Fleet:
    def __init__(self) -> None:
        self.nodes = dict.fromkeys(NAMES)

    @staticmethod
    def each(task: Callable[[str], Any], nodes: Sequence[str] = NAMES) -> dict[str, Any]:
        return {name: task(name) for name in nodes}

    @staticmethod
    def each_or_error(task: Callable[[str], Any]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        for name in NAMES:
            try:
                answers[name] = task(name)
            except CommandError as error:
                answers[name] = error
        return answers


@dataclass
class World:
    """A cluster of three nodes, and how often each thing was asked of it."""

    settings: dict[str, Settings]
    view: View | CommandError = HEALTHY
    after_deployment: Settings = WANTED
    asked: Counter[str] = field(default_factory=Counter)
    deployed: list[dict[str, object]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    """What happened before a deployment, and the deployment."""

    def answer_view(self, _fleet: object, name: str) -> View:
        self.asked[f"view of {name}"] += 1
        if isinstance(self.view, CommandError):
            raise self.view
        return self.view

    def answer_settings(self, _fleet: object, name: str) -> Settings:
        self.asked[f"settings of {name}"] += 1
        return self.settings[name]

    def deploy(self, _inventory: Inventory, variables: dict[str, object]) -> None:
        self.deployed.append(variables)
        self.events.append("deploy")
        self.view = HEALTHY
        self.settings = dict.fromkeys(NAMES, self.after_deployment)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    fake = World(dict.fromkeys(NAMES, WANTED))
    monkeypatch.setattr(cluster_view, "view", fake.answer_view)
    monkeypatch.setattr(ctl, "settings", fake.answer_settings)
    monkeypatch.setattr(module, "install", fake.deploy)
    monkeypatch.setattr(preflight, "require_no_fault", lambda _fleet: fake.events.append("faults"))
    monkeypatch.setattr(preflight, "connect", lambda _fleet: {})
    monkeypatch.setattr(preflight, "require_capabilities", lambda *_: None)
    monkeypatch.setattr(preflight, "require_ready_for_faults", lambda *_: None)
    monkeypatch.setattr(module, "credentials", lambda _inventory: Credentials("u", "p"))
    drawn = schedule_of_plan

    def schedule(*arguments: Any) -> Any:
        fake.asked["schedule"] += 1
        return drawn(*arguments)

    monkeypatch.setattr(module, "schedule", schedule)
    return fake


def prepared(
    plan: Plan | None = None,
    inventory: Inventory = INVENTORY,
    *,
    may_deploy: bool = True,
    events: list[str] | None = None,
    accept_version: Callable[[str], None] | None = None,
) -> Prepared:
    fleet: Any = Fleet()
    lock: Any = SimpleNamespace(take=lambda: (events if events is not None else []).append("lock"))
    return prepare(
        plan or Plan(seed=1),
        inventory,
        fleet,
        lock,
        may_deploy=may_deploy,
        accept_version=accept_version,
    )


def test_each_node_is_asked_once_if_the_cluster_matches_the_plan(world: World) -> None:
    result = prepared(may_deploy=False)
    assert world.deployed == []
    assert world.asked == {
        "schedule": 1,
        **{f"view of {name}": 1 for name in NAMES},
        **{f"settings of {name}": 1 for name in NAMES},
    }
    assert result.plan == Plan(seed=1)
    assert [step.fault.name for step in result.steps] == ["partition-random-halves"]


def test_a_node_with_other_settings_than_the_rest_is_refused(world: World) -> None:
    world.settings["n2"] = OTHER
    with pytest.raises(UsageError, match="n2: net_ticktime is 30, the plan says 15"):
        prepared(may_deploy=False)


def test_a_cluster_that_differs_from_the_plan_is_deployed_and_asked_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.settings = dict.fromkeys(NAMES, OTHER)
    prepared()
    assert world.deployed == [
        {"rabbitmq_partition_handling": "autoheal", "rabbitmq_net_ticktime": 15}
    ]
    assert world.asked["settings of n1"] == 2
    assert world.asked["schedule"] == 1
    assert caplog.messages[0] == (
        "deploying, because n1: net_ticktime is 30, the plan says 15 (and 5 more)"
    )
    assert caplog.messages[1].startswith("RabbitMQ 3.10.8 on 3 nodes, workload queue, quorum queue")


def test_the_lock_is_taken_and_faults_are_looked_for_before_a_deployment(world: World) -> None:
    world.settings = dict.fromkeys(NAMES, OTHER)
    prepared(events=world.events)
    assert world.events == ["lock", "faults", "deploy"]


def test_a_fault_in_force_is_refused_before_a_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fleet: object) -> None:
        raise UsageError("a fault is in force before the run: loss")

    world.settings = dict.fromkeys(NAMES, OTHER)
    monkeypatch.setattr(preflight, "require_no_fault", refuse)
    with pytest.raises(UsageError, match="a fault is in force before the run: loss"):
        prepared()
    assert world.deployed == []


def test_a_broker_that_is_down_is_deployed_without_asking_for_settings(world: World) -> None:
    world.view = CommandError("the node is down")
    prepared()
    assert len(world.deployed) == 1
    assert world.asked["settings of n1"] == 1


def test_the_version_is_accepted_before_and_after_a_deployment(world: World) -> None:
    world.settings = dict.fromkeys(NAMES, OTHER)
    world.after_deployment = replace(WANTED, version="4.0.5")
    prepared(accept_version=world.events.append)
    assert world.events == ["faults", "3.10.8", "deploy", "4.0.5"]


def test_a_version_that_is_refused_is_not_deployed(world: World) -> None:
    def refuse(version: str) -> None:
        raise UsageError(f"no {version}")

    world.settings = dict.fromkeys(NAMES, OTHER)
    with pytest.raises(UsageError, match=r"no 3\.10\.8"):
        prepared(accept_version=refuse)
    assert world.deployed == []


def test_without_permission_to_deploy_a_difference_is_refused(world: World) -> None:
    world.settings["n2"] = OTHER
    with pytest.raises(UsageError) as refused:
        prepared(may_deploy=False)
    assert str(refused.value) == (
        "the cluster does not match the plan: n2: net_ticktime is 30, the plan says 15; "
        "run without --no-deploy"
    )
    assert world.deployed == []


def test_a_deployment_that_does_not_help_is_refused(world: World) -> None:
    world.settings = dict.fromkeys(NAMES, OTHER)
    world.after_deployment = OTHER
    with pytest.raises(UsageError, match="does not match the plan even after a deployment: n1"):
        prepared()


def test_an_existing_cluster_is_never_deployed_and_gives_the_plan_its_settings(
    world: World,
) -> None:
    world.settings = dict.fromkeys(NAMES, OTHER)
    plan = prepared(inventory=EXISTING).plan
    assert world.deployed == []
    assert (plan.net_ticktime, plan.partition_handling) == (30, "pause_minority")


def test_a_setting_without_a_value_in_plans_stays_as_planned(world: World) -> None:
    world.settings = dict.fromkeys(NAMES, Settings("4.3.6", "none", 60))
    plan = prepared(inventory=EXISTING).plan
    assert (plan.net_ticktime, plan.partition_handling) == (60, "autoheal")


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        (CommandError("the node is down"), "the cluster is degraded: n1: RabbitMQ is not up"),
        (View(frozenset(NAMES[:2]), {}), "the cluster is degraded: n1: does not see n3 running"),
        (replace(HEALTHY, members=frozenset({*NAMES, "n4"})), "not in the inventory: n4; add them"),
    ],
)
def test_an_existing_cluster_must_be_whole(
    world: World, view: View | CommandError, problem: str
) -> None:
    world.view = view
    with pytest.raises(UsageError, match=problem):
        prepared(inventory=EXISTING)
    assert world.deployed == []


def test_nodes_of_an_existing_cluster_must_have_the_same_settings(world: World) -> None:
    world.settings["n3"] = OTHER
    with pytest.raises(UsageError, match="the nodes differ in partition handling or net_ticktime"):
        prepared(inventory=EXISTING)


def test_a_fault_that_the_inventory_does_not_allow_is_refused_first(world: World) -> None:
    with pytest.raises(UsageError, match="allowed_faults does not allow kill"):
        prepared(Plan(nemesis="kill"), EXISTING)
    assert world.asked == {"schedule": 1}


def test_nodes_with_different_versions_are_refused(world: World) -> None:
    world.settings["n3"] = replace(WANTED, version="3.11.0")
    with pytest.raises(UsageError, match=r"different RabbitMQ versions: n1 3\.10\.8, n2"):
        prepared()


def test_a_plan_that_needs_another_version_is_refused(world: World) -> None:
    world.settings = dict.fromkeys(NAMES, replace(WANTED, version="4.0.5"))
    with pytest.raises(UsageError, match=r"mirrored queues were removed in RabbitMQ 4\.0"):
        prepared(Plan(queue_type="mirrored"))


def test_a_fault_for_another_queue_type_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="use queue-type quorum, or another nemesis"):
        prepared(Plan(queue_type="classic", nemesis="leader-transfer"))
    assert not world.asked.keys() - {"schedule"}


TLS = replace(INVENTORY, broker_ca=Path("/secrets/tls/ca.pem"))


def listening(protocol: str, port: int) -> View:
    return replace(HEALTHY, listeners={name: frozenset({(protocol, port)}) for name in NAMES})


@pytest.fixture
def certified(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The problems with certificates. A deployment repairs them."""
    problems: dict[str, str] = {}
    deploy = world.deploy

    def repair(inventory: Inventory, variables: dict[str, object]) -> None:
        deploy(inventory, variables)
        problems.clear()

    monkeypatch.setattr(module, "install", repair)
    monkeypatch.setattr(client_access, "certificate_problems", lambda *_: problems)
    return problems


@pytest.mark.parametrize(
    ("inventory", "view", "protocol"),
    [
        (TLS, listening("amqp", 5672), "amqp/ssl at port 5672, but amqp at port 5672"),
        (INVENTORY, listening("amqp/ssl", 5671), "amqp at port 5672, but amqp/ssl at port 5671"),
        (INVENTORY, listening("amqp", 5673), "amqp at port 5672, but amqp at port 5673"),
    ],
)
def test_a_cluster_that_accepts_clients_otherwise_is_deployed(
    world: World,
    certified: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    inventory: Inventory,
    view: View,
    protocol: str,
) -> None:
    world.view = view
    with pytest.raises(UsageError, match=f"n1: RabbitMQ does not accept {protocol}; run without"):
        prepared(inventory=inventory, may_deploy=False)
    assert world.deployed == []
    prepared(inventory=inventory)
    assert len(world.deployed) == 1


@pytest.mark.parametrize(
    ("inventory", "view"),
    [(TLS, listening("amqp/ssl", 5672)), (INVENTORY, listening("amqp", 5672)), (TLS, HEALTHY)],
)
def test_a_cluster_that_accepts_clients_as_the_inventory_says_is_left(
    world: World, certified: dict[str, str], inventory: Inventory, view: View
) -> None:
    world.view = view
    prepared(inventory=inventory, may_deploy=False)
    assert world.deployed == []


def test_a_certificate_that_does_not_fit_is_deployed_anew(
    world: World, certified: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    certified["n2"] = "its certificate is not accepted: certificate has expired"
    with pytest.raises(UsageError, match=r"n2: its certificate is .* expired; run without --no-d"):
        prepared(inventory=TLS, may_deploy=False)
    assert world.deployed == []
    prepared(inventory=TLS)
    assert len(world.deployed) == 1
    assert caplog.messages[-1].startswith("RabbitMQ 3.10.8 with TLS on 3 nodes")


def test_a_cluster_without_its_authority_is_deployed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def problems(*_: object) -> dict[str, str]:
        if not world.deployed:
            raise UsageError("/secrets/tls/ca.pem: cannot be read")
        return {}

    monkeypatch.setattr(client_access, "certificate_problems", problems)
    prepared(inventory=TLS)
    assert len(world.deployed) == 1


def test_an_existing_cluster_must_listen_at_the_ports_that_the_faults_use(world: World) -> None:
    world.view = listening("amqp", 5673)
    with pytest.raises(UsageError) as refused:
        prepared(inventory=EXISTING)
    assert str(refused.value) == (
        "n1: RabbitMQ does not accept amqp at port 5672, but amqp at port 5673; "
        "correct amqp_port in /hosts.yml, or set amqp_listen_port if clients reach another port "
        "that is forwarded; for TLS set jepsenvm_broker_ca"
    )
