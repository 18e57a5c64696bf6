"""Several labs on one machine: their names and addresses, and what one leaves of the others."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network, ip_network
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import RunError, UsageError
from jepsenvm.machines import guarded_power, lab
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lab import (
    cgroups,
    container,
    inventory,
    keys,
    machine,
    network,
    registry,
    topology,
)
from jepsenvm.machines.lab import lab as lab_module
from jepsenvm.machines.lab.machine import Networks
from jepsenvm.machines.lab.provider import LabProvider
from jepsenvm.machines.lab.state import State
from jepsenvm.machines.lab.topology import DEFAULT, Lab, LabHost, candidates, hosts, preferred

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
SETS_OF_NAMES = st.lists(NAMES, min_size=2, max_size=12, unique=True)
B = Lab("b", 3)
BAD_NAMES = [
    "",
    "B",
    "1",
    "-b",
    "b-c",
    "b.c",
    "../b",
    "b/c",
    "b b",
    "ninechars",
    "b\n",
    "ä",
    "\udc80",
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder above all labs, which does not exist yet; this process is root there."""
    folder = tmp_path / "jepsenvm"
    monkeypatch.setattr(topology, "LAB", folder / "lab")
    monkeypatch.setattr(topology, "CACHE", tmp_path / "cache")
    for module in (lab_module, lab.overview):
        monkeypatch.setattr(module, "require_root", lambda: None)
    return folder


@pytest.fixture(autouse=True)
def ip(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands of `ip` that change something. None of them is executed."""
    done: list[str] = []
    monkeypatch.setattr(network, "run", lambda argv: done.append(" ".join(argv)))
    return done


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Networks:
    """The networks of this machine: none, until the test adds some."""
    networks = Networks([], [])
    monkeypatch.setattr(machine, "networks", lambda: networks)
    return networks


def names_of(one: Lab) -> set[str]:
    """Return every name that a lab has on this machine."""
    machines = {host.machine for host in topology.every_possible_host(one)}
    return {*machines, one.switch, one.controller, str(one.folder)}


@given(SETS_OF_NAMES)
def test_no_two_labs_share_a_name_on_this_machine(names: list[str]) -> None:
    every = [names_of(preferred(name)) for name in {*names, "default"}]
    for one, other in combinations(every, 2):
        assert not one & other


@given(NAMES)
def test_names_fit_into_the_limits_of_the_kernel_and_systemd(name: str) -> None:
    one = preferred(name)
    assert len(one.controller) <= 15
    for word in names_of(one) - {str(one.folder)}:
        assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", word)


def test_no_two_numbers_share_an_address() -> None:
    labs = [DEFAULT, *candidates("b")]
    assert sorted(one.number for one in labs) == list(range(topology.MOST_NAMED_LABS + 1))
    assert len({one.subnet for one in labs}) == len({one.subnet6 for one in labs}) == len(labs)
    for one in labs:
        assert one.subnet.subnet_of(IPv4Network("10.205.0.0/16"))
        assert (one.subnet.prefixlen, one.subnet6.prefixlen) == (24, 64)
        for host in topology.every_possible_host(one):
            assert ip_network(host.address).subnet_of(one.subnet)  # type: ignore[arg-type]  # IPv4
            assert ip_network(host.address6).subnet_of(one.subnet6)  # type: ignore[arg-type]  # IPv6


@given(SETS_OF_NAMES, st.sets(st.integers(1, topology.MOST_NAMED_LABS), max_size=150))
def test_no_two_labs_get_one_subnet_nor_one_that_is_used(names: list[str], used: set[int]) -> None:
    taken: set[int] = set()
    for name in (name for name in names if name != "default"):
        chosen = registry.first_free(name, taken, lambda one: one.number in used)
        assert chosen.name == name
        assert chosen.number not in taken | used | {0}
        taken.add(chosen.number)


def test_without_a_free_subnet_a_lab_is_refused() -> None:
    expected = r"^lab b gets no subnet: all of 10\.205\.78\.0 to 10\.205\.255\.0 are in use"
    with pytest.raises(UsageError, match=expected):
        registry.first_free("b", set(), lambda _: True)


def test_the_default_lab_keeps_its_names_and_addresses() -> None:
    one = LabHost(1)
    assert (one.machine, one.address, one.address6) == (
        "jepsenvm-n1",
        "10.205.77.11",
        "fd77:6a65:7073::11",
    )
    assert (DEFAULT.switch, DEFAULT.controller) == ("jepsenvm-switch", "jepsenvm0")
    assert str(DEFAULT.folder) == "/var/lib/jepsenvm/lab"
    assert preferred("default") == DEFAULT
    assert list(candidates("default")) == [DEFAULT]


def test_a_named_lab_has_other_names_and_addresses() -> None:
    one = LabHost(1, B)
    assert (one.name, one.machine, one.address, one.address6) == (
        "n1",
        "jepsenvm-b-n1",
        "10.205.80.11",
        "fd77:6a65:7073:3::11",
    )
    assert (B.switch, B.controller) == ("jepsenvm-b-switch", "jepsen-b")
    assert str(one.disk) == "/var/lib/jepsenvm/lab-b/n1/data.img"


def test_a_lab_that_would_have_the_addresses_of_another_kind_is_an_error() -> None:
    for name, number in (("b", 0), ("default", 1), ("b", topology.MOST_NAMED_LABS + 1)):
        with pytest.raises(ValueError, match=f"lab {name} with number {number}"):
            Lab(name, number)


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.usefixtures("root")
def test_a_bad_name_is_refused_before_anything_else(name: str, ip: list[str]) -> None:
    for call in (
        lambda: lab.up(name=name),
        lambda: lab.down(name),
        lambda: lab.status(name),
        lambda: lab.ssh_argv("n1", [], name),
        lambda: lab.inventory_path(name),
        lambda: lab_module.size(name),
        lambda: lab.power_cut("n1", name),
        lambda: registry.lab_named(name),
    ):
        with pytest.raises(UsageError, match=r"^a lab cannot have the name .*; use a lowercase"):
            call()
    assert ip == []


def test_the_commands_for_a_named_lab_name_nothing_of_another(
    ip: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "ipv6_is_on", lambda: True)
    network.create(B, hosts(1, B))
    assert ip == [
        "ip netns add jepsenvm-b-switch",
        "ip -n jepsenvm-b-switch link add br0 type bridge mcast_snooping 0",
        "ip -n jepsenvm-b-switch link set br0 up",
        "ip link add jepsen-b type veth peer name controller netns jepsenvm-b-switch",
        "ip -n jepsenvm-b-switch link set controller master br0 up",
        "ip address add 10.205.80.1/24 dev jepsen-b",
        "ip -6 address add fd77:6a65:7073:3::1/64 dev jepsen-b nodad",
        "ip link set jepsen-b up",
        "ip netns add jepsenvm-b-n1",
        "ip -n jepsenvm-b-switch link add n1 type veth peer name eth0 netns jepsenvm-b-n1",
        "ip -n jepsenvm-b-switch link set n1 master br0 up",
        "ip -n jepsenvm-b-n1 link set lo up",
        "ip -n jepsenvm-b-n1 address add 10.205.80.11/24 dev eth0",
        "ip -n jepsenvm-b-n1 -6 address add fd77:6a65:7073:3::11/64 dev eth0 nodad",
        "ip -n jepsenvm-b-n1 link set eth0 up",
    ]
    nspawn = container.nspawn_argv(LabHost(1, B))
    assert {
        "--machine=jepsenvm-b-n1",
        "--hostname=n1",
        "--directory=/var/lib/jepsenvm/lab-b/n1/merged",
        "--network-namespace-path=/run/netns/jepsenvm-b-n1",
    } <= set(nspawn)
    assert "--unit=jepsenvm-b-n1" in cgroups.as_unit(LabHost(1, B), nspawn)
    argv = keys.ssh_argv(LabHost(1, B), [])
    assert argv[-1] == "jepsen@10.205.80.11"
    assert "UserKnownHostsFile=/var/lib/jepsenvm/lab-b/known_hosts" in argv
    assert "/var/lib/jepsenvm/lab-b/id_ed25519" in argv


def test_only_the_network_of_one_lab_is_removed(
    ip: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interfaces = ["jepsenvm0", "jepsen-b", "jepsen-bb"]
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(interfaces)))
    monkeypatch.setattr(network, "NAMESPACES", tmp_path)
    for one in (DEFAULT, B, Lab("bb", 4), Lab("n1", 5)):
        for name in (one.switch, LabHost(1, one).machine):
            (tmp_path / name).touch()
    network.remove(B)
    assert ip == [
        "ip link delete jepsen-b",
        "ip netns delete jepsenvm-b-switch",
        "ip netns delete jepsenvm-b-n1",
    ]
    ip.clear()
    network.remove(DEFAULT)
    assert ip == [
        "ip link delete jepsenvm0",
        "ip netns delete jepsenvm-switch",
        "ip netns delete jepsenvm-n1",
    ]


def test_only_the_inventory_of_a_named_lab_names_it() -> None:
    def shared(one: Lab) -> dict[str, Any]:
        text = inventory.render(hosts(2, one), "trixie")
        return dict(yaml.safe_load(text)["all"]["children"]["rabbitmq"]["vars"])

    assert shared(B)["jepsenvm_lab"] == "b"
    assert shared(B)["jepsenvm_known_hosts"] == "/var/lib/jepsenvm/lab-b/known_hosts"
    assert "jepsenvm_lab" not in shared(DEFAULT)


def colliding_names() -> tuple[str, str]:
    """Return two names that prefer the same number."""
    owners: dict[int, str] = {}
    for count in range(topology.MOST_NAMED_LABS + 1):
        name = f"x{count}"
        owner = owners.setdefault(preferred(name).number, name)
        if owner != name:
            return owner, name
    raise AssertionError("there are more names than numbers")


@pytest.mark.usefixtures("found")
def test_a_reserved_subnet_stays_reserved_until_the_folder_is_gone(root: Path) -> None:
    first, second = colliding_names()
    number = preferred(first).number
    reserved = registry.reserve(first)
    assert reserved.number == number
    assert reserved.folder.stat().st_mode & 0o777 == 0o700
    other = registry.reserve(second)
    assert other.number not in {0, number}
    assert [registry.lab_named(name) for name in (first, second)] == [reserved, other]
    assert registry.lab_names() == sorted([first, second])
    (reserved.folder / "subnet.json").unlink()
    reserved.folder.rmdir()
    assert registry.lab_named(second) == other, "it is the recorded one, not the preferred one"
    assert registry.lab_names() == [second]
    with pytest.raises(FileExistsError):
        registry.reserve(second)
    assert sorted(path.name for path in root.iterdir()) == [f"lab-{second}"]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"number": 0}', '{"number": 999}', '{"number": "3"}', "null"]
)
def test_a_lab_without_a_number_has_its_own_preferred_one(root: Path, content: str) -> None:
    folder = root / "lab-b"
    folder.mkdir(parents=True)
    assert registry.lab_named("b") == preferred("b")
    (folder / "subnet.json").write_text(content)
    assert registry.lab_named("b") == preferred("b")


def test_other_folders_are_no_labs(root: Path) -> None:
    for name in ("lab", "lab-b", "lab-a", "lab-default", "lab-B", "lab-", "other"):
        (root / name).mkdir(parents=True)
    assert registry.lab_names() == ["default", "a", "b"]


def user(name: str, address: str) -> dict[str, object]:
    return {"ifname": name, "addr_info": [{"local": address}]}


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("family", ["subnet", "subnet6"])
def test_a_subnet_that_this_machine_routes_is_passed_over(found: Networks, family: str) -> None:
    first = registry.require_subnet("b")
    assert first == preferred("b")
    found.routes.append({"dst": str(getattr(first, family)), "dev": "wg0"})
    assert registry.require_subnet("b") == list(candidates("b"))[1]
    found.routes.append({"dst": "10.0.0.0/8", "dev": "wg0"})
    assert registry.require_subnet("b") == list(candidates("b"))[1], "a wider route is no conflict"
    second = list(candidates("b"))[1]
    address = str(getattr(second, family).network_address + 7)
    found.addresses.append(user("eth1", address))
    assert registry.require_subnet("b") == list(candidates("b"))[2]


def test_the_default_lab_has_only_its_own_subnet(found: Networks) -> None:
    assert registry.require_subnet("default") == DEFAULT
    found.routes.append({"dst": "fd77:6a65:7073::/64", "dev": "wg0"})
    expected = (
        r"^the lab's subnet fd77:6a65:7073::/64 is already used by wg0 on this machine; take that "
        r"network down first \(`ip link set wg0 down`\)$"
    )
    with pytest.raises(UsageError, match=expected):
        registry.require_subnet("default")


def test_a_recorded_subnet_that_this_machine_routes_is_refused(found: Networks) -> None:
    found.routes.append({"dst": "10.205.80.0/24", "dev": "jepsen-b"})
    machine.require_free_subnet(B)
    found.routes.append({"dst": "10.205.80.0/25", "dev": "wg0"})
    expected = (
        r"^lab b's subnet 10\.205\.80\.0/24 .* wg0 .*subnet with `jepsenvm lab down --name b`$"
    )
    with pytest.raises(UsageError, match=expected):
        machine.require_free_subnet(B)


def test_both_families_are_asked_for_if_there_is_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(argv: Sequence[str]) -> str:
        asked.append(" ".join(argv))
        return json.dumps([{"dst": argv[2]}])

    monkeypatch.setattr(machine, "run", run)
    monkeypatch.setattr(machine, "ipv6_is_on", lambda: False)
    assert machine.networks().routes == [{"dst": "-4"}]
    monkeypatch.setattr(machine, "ipv6_is_on", lambda: True)
    assert machine.networks().routes == [{"dst": "-4"}, {"dst": "-6"}]
    assert asked[-2:] == ["ip -j -4 route", "ip -j -6 route"]


@pytest.fixture
def started(
    root: Path, found: Networks, ip: list[str], monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """Labs whose hosts are folders: what was cut and which hosts were started."""
    seen = SimpleNamespace(cut=[], started=[], removed=[])

    def remove(one: Lab) -> None:
        seen.removed.append((one.name, one.state.exists(), one.reservation.exists()))

    def start(host: LabHost, _base: Path) -> None:
        seen.started.append(host.machine)

    monkeypatch.setattr(container, "cut", lambda host: seen.cut.append(host.machine))
    monkeypatch.setattr(container, "prepare", lambda host: host.folder.mkdir())
    monkeypatch.setattr(container, "start", start)
    monkeypatch.setattr(container, "wait_until_ready", lambda _hosts: None)
    monkeypatch.setattr(container, "supervisor", lambda _host: None)
    monkeypatch.setattr(keys, "make_keys", lambda _lab, _hosts: None)
    monkeypatch.setattr(network, "remove", remove)
    monkeypatch.setattr(lab_module, "require_programs", lambda: None)
    monkeypatch.setattr(lab_module, "require_disk_space", lambda: None)
    monkeypatch.setattr(lab_module, "discard_half_built", lambda: None)
    monkeypatch.setattr(lab_module, "ensured_base", Base)
    return seen


class Base:
    """Stands for the base of a suite."""

    fails: bool = False

    def __init__(self, suite: str) -> None:
        self.suite = suite

    def __enter__(self) -> Path:
        if Base.fails:
            raise RunError("the mirror is gone")
        return Path(f"/cache/{self.suite}")

    def __exit__(self, *_: object) -> None: ...


def test_labs_of_different_sizes_and_suites_are_up_at_once(
    started: SimpleNamespace, root: Path
) -> None:
    assert lab.up(1) == root / "lab/inventory.yml"
    assert lab.up(2, "trixie", "b") == root / "lab-b/inventory.yml"
    assert started.started == ["jepsenvm-n1", "jepsenvm-b-n1", "jepsenvm-b-n2"]
    assert [lab_module.size(name) for name in ("default", "b")] == [(1, "bookworm"), (2, "trixie")]
    assert [(one.name, one.state, one.running) for one in lab.labs()] == [
        ("default", State("bookworm", 1, "/cache/bookworm"), 0),
        ("b", State("trixie", 2, "/cache/trixie"), 0),
    ]
    b = registry.lab_named("b")
    assert [host.address for host in lab.status("b")] == [h.address for h in hosts(2, b)]
    assert lab_module.start_command("b") == "jepsenvm lab up --name b --nodes 2 --suite trixie"
    assert lab_module.hosts_off("b") == ["n1", "n2"]
    assert sorted(path.name for path in (root / "lab").iterdir()) == [
        "inventory.yml",
        "n1",
        "state.json",
    ], "the default lab has the files that it always had"


def test_down_touches_its_own_lab_only(started: SimpleNamespace, root: Path) -> None:
    for name in ("default", "b", "n1"):
        lab.up(1, name=name)
    before = lab.labs()
    started.cut.clear()
    started.removed.clear()
    lab.down("b")
    assert started.cut == [f"jepsenvm-b-n{number}" for number in range(1, 10)]
    # A lab whose removal is killed is incomplete, and no other lab gets a subnet in use.
    assert started.removed == [("b", False, True)]
    assert lab.labs() == [one for one in before if one.name != "b"]
    started.cut.clear()
    lab.down()
    assert started.cut == [f"jepsenvm-n{number}" for number in range(1, 10)]
    assert lab.labs() == [one for one in before if one.name == "n1"]
    lab.down("n1")
    assert not root.exists()


def test_a_killed_up_is_cleared_by_its_own_down_only(
    started: SimpleNamespace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL: nothing is cleaned up after it."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(network, "create", killed)
        with pytest.raises(Killed):
            lab.up(1, name="b")
    reserved = registry.lab_named("b")
    assert (root / "lab-b/subnet.json").exists()
    lab.up(1, name="c")
    lab.up(1)
    lab.down("c")
    lab.down()
    assert registry.lab_names() == ["b"]
    assert [(one.name, one.state) for one in lab.labs()] == [("b", None)]
    assert lab.status("b") == []
    lab.up(1, name="b")
    assert registry.lab_named("b") == reserved
    lab.down("b")
    assert not root.exists()


def test_a_base_that_cannot_be_built_leaves_no_lab(
    started: SimpleNamespace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Base, "fails", True)
    with pytest.raises(RunError, match="the mirror is gone"):
        lab.up(1, name="b")
    assert not root.exists()


def test_a_lab_keeps_its_subnet_after_a_restart_of_this_machine(
    started: SimpleNamespace, found: Networks, ip: list[str]
) -> None:
    first, second = colliding_names()
    lab.up(1, name=first)
    lab.up(1, name=second)
    lab.down(first)
    ip.clear()
    lab.up(1, name=second)  # no namespace is mounted here, as after a restart
    subnet = registry.lab_named(second).subnet
    assert f"ip address add {subnet.network_address + 1}/24 dev jepsen-{second}" in ip
    assert subnet != preferred(second).subnet
    found.routes.append({"dst": str(subnet), "dev": "wg0"})
    started.cut.clear()
    with pytest.raises(UsageError, match=f"lab {second}'s subnet {subnet} is already used by wg0"):
        lab.up(1, name=second)
    assert started.cut == []


def test_another_size_than_that_of_the_named_lab_is_refused(started: SimpleNamespace) -> None:
    lab.up(1, name="b")
    expected = r"^lab b of 1 hosts .* first with `jepsenvm lab down --name b`$"
    with pytest.raises(UsageError, match=expected):
        lab.up(2, name="b")
    with pytest.raises(UsageError, match=r"^lab c is down; .* with `jepsenvm lab up --name c`$"):
        lab.ssh_argv("n1", [], "c")
    with pytest.raises(UsageError, match=r"^no host 'n2' in lab b; its hosts are n1$"):
        lab.ssh_argv("n2", [], "b")


HERE = Inventory(Path("/copied/hosts.yml"), "lab", (), Path("/x"), {})
OF_B = replace(HERE, vars={"jepsenvm_lab": "b"})


def test_an_inventory_names_its_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str, str]] = []
    for way in ("power_cut", "power_loss", "power_on"):

        def switch(node: str, name: str, way: str = way) -> None:
            calls.append((way, node, name))

        monkeypatch.setattr(lab_module, way, switch)
    off = {"b": ["n1"], "default": ["n2"]}
    monkeypatch.setattr(lab_module, "hosts_off", lambda name: off[name])
    monkeypatch.setattr(lab_module, "size", lambda _name: (3, "trixie"))
    watched: list[str] = []

    def watch(_provider: str, folder: str, *_: object) -> SimpleNamespace:
        watched.append(folder)
        return SimpleNamespace(kill=lambda: None, wait=lambda: None)

    monkeypatch.setattr(guarded_power, "_start_watchdog", watch)
    for inventory_, name, node in ((OF_B, "b", "n1"), (HERE, "default", "n2")):
        calls.clear()
        power = LabProvider().power(inventory_)
        assert power is not None
        power.cut("n1", 9.0)
        power.lose("n1", 9.0)
        power.on("n1")
        assert calls == [(way, "n1", name) for way in ("power_cut", "power_loss", "power_on")]
        assert [power.is_off(host) for host in ("n1", "n2")] == [node == "n1", node == "n2"]
        # The watchdog builds the same switch from the folder, in its own process.
        assert topology.name_at(watched[-1]) == name
    with pytest.raises(UsageError, match=r"^hosts of lab b are off: n1; run `jepsenvm lab up --na"):
        LabProvider().require_running(OF_B)
    with pytest.raises(UsageError, match=r"^lab hosts are off: n2; run `jepsenvm lab up --nodes"):
        LabProvider().require_running(HERE)


def test_a_watchdog_finds_its_lab_by_the_folder(root: Path) -> None:
    """Also that of a lab that is down by now. It must not switch hosts of another lab."""
    for name in ("b", "default", "n1"):
        assert topology.name_at(str(preferred(name).folder)) == name
    for folder in ("", "/tmp/copy", "/elsewhere/lab-b", f"{root}/lab-B", f"{root}/b"):
        assert topology.name_at(folder) == "default"


@pytest.mark.parametrize("value", [*BAD_NAMES, None, 3, ["b"]])
def test_a_bad_name_in_an_inventory_is_refused(value: Any) -> None:
    bad = replace(HERE, vars={"jepsenvm_lab": value})
    for call in (LabProvider().power, LabProvider().require_running):
        with pytest.raises(UsageError, match=r"^/copied/hosts\.yml: jepsenvm_lab is .*; use a low"):
            call(bad)
