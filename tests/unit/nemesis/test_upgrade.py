"""Rolling upgrades: their schedule, what each node does, and what proves an upgrade."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import plan_of_new_run
from jepsenvm.nemesis import heal_all, upgrade_scripts
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.upgrade import Upgrade
from jepsenvm.nemesis.registry import MIXES, NEMESES, fault_from_data, stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.rabbitmq.names import UPGRADE_DIR
from tests.unit.nemesis.builders import (
    active_problems,
    fault_of,
    healed,
    healed_problems,
    injected,
    members,
    process_table,
)

NODES = ("n1", "n2", "n3")
UPGRADE = fault_of("upgrade", "n1")


# The schedule.


def drawn(*victims: str, **texts: str) -> list[Fault]:
    request = FaultRequest(NODES, Random(1), victims=victims, texts=texts)
    return [stage.fault for stage in stages("upgrade", request)]


def test_each_node_has_a_turn_in_the_given_order() -> None:
    request = FaultRequest(NODES, Random(1), victims=("n3", "n1"), texts={"to": "3.10.9"})
    first, second = stages("upgrade", request)
    assert (first.fault.nodes, second.fault.nodes) == (("n3",), ("n1",))
    assert 0 == first.begins < first.ends < second.begins < second.ends < 1
    assert first.fault.describe() == "upgrade {n3 to 3.10.9}"


def test_all_nodes_are_upgraded_in_an_order_that_the_seed_decides() -> None:
    order = [fault.nodes[0] for fault in drawn(to="3.10.9")]
    assert sorted(order) == list(NODES)
    assert order == [fault.nodes[0] for fault in drawn(to="3.10.9")]


def test_an_upgrade_without_a_target_is_refused() -> None:
    with pytest.raises(UsageError, match="target is missing: a plan has it as upgrade-to"):
        drawn()


def test_no_other_nemesis_takes_a_target() -> None:
    with pytest.raises(UsageError, match="kill: it takes no to"):
        stages("kill", FaultRequest(NODES, Random(1), texts={"to": "3.10.9"}))


def test_no_mix_has_a_nemesis_that_cannot_be_undone() -> None:
    permanent = {name for name, spec in NEMESES.items() if spec is not None and spec.permanent}
    assert permanent == {"upgrade", "feature-flag"}
    assert not permanent & {name for names in MIXES.values() for name in names}


@pytest.mark.parametrize("target", ["3.10.9", "3.10.9-1+deb12u1", "./rabbitmq-server_3.10.9.deb"])
def test_a_plan_has_the_target_for_drawn_and_listed_upgrades(target: str) -> None:
    keys = {"upgrade-to": target, "seed": 1, "time-limit": 300}
    drawn_plan = {**keys, "nemesis": "upgrade", "fault-duration": 270}
    item = {"at": 10, "for": 200, "fault": "upgrade", "nodes": ["n2", "n1"]}
    for plan in (drawn_plan, {**keys, "schedule": [item]}):
        faults = [step.fault for step in schedule(plan_of_new_run(None, plan), NODES)]
        assert {fault.settings["to"] for fault in faults} == {target}
    assert [fault.nodes for fault in faults] == [("n2",), ("n1",)]


@pytest.mark.parametrize(
    "target", ["3.10", "latest", "4.1.3; reboot", "a\nb.deb", "-o.deb\x1b", ""]
)
def test_a_target_that_is_no_version_and_no_package_is_refused(target: str) -> None:
    with pytest.raises(UsageError, match="upgrade-to"):
        plan_of_new_run(None, {"upgrade-to": target, "nemesis": "upgrade", "seed": 1})


# What a node does. The scripts run in a shell, with commands that only keep a record.


class Host:
    """A host's folder of the upgrade, and commands that write what they are told to a log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "upgrade"
        self.folder.mkdir()
        self.policy = folder / "policy-rc.d"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        self.log.touch()
        self.record = folder / "rabbitmq.json"
        self.command("sync", "exit 0")
        self.command("sleep", "exit 0")
        for name in ("apt-get", "dpkg", "rabbitmq-upgrade", "systemd-run"):
            self.command(name, "exit 0")
        self.unit_runs(broker=True, upgrade=False)

    def command(self, name: str, then: str) -> None:
        file = self.bin / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.log}\n{then}\n')
        file.chmod(0o755)

    def unit_runs(self, *, broker: bool, upgrade: bool) -> None:
        """Set which units are active."""
        self.command(
            "systemctl",
            f"""case "$*" in
  *is-active*jepsenvm-upgrade) exit {int(not upgrade)} ;;
  *is-active*) exit {int(not broker)} ;;
esac""",
        )

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        changed = script.replace("/usr/sbin/policy-rc.d", str(self.policy))
        changed = changed.replace(UPGRADE_DIR, str(self.folder))
        changed = changed.replace("/opt/jepsenvm", str(self.folder.parent))
        path = f"{self.bin}:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", "-c", changed],
            env={"PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def prepare(self) -> None:
        """Do what the injection does before its instant."""
        (self.folder / "staged").touch()
        ahead, _ = upgrade_scripts.begin("rabbitmq-server=3.10.9-1")
        assert self.run(ahead).returncode == 0

    def said(self) -> list[str]:
        return self.log.read_text().splitlines()

    def phase(self) -> str:
        return (self.folder / "phase").read_text().strip()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_node_drains_stops_installs_and_starts(host: Host) -> None:
    host.prepare()
    (host.folder / "record.json").write_text("new")
    assert host.run(upgrade_scripts.upgrade()).returncode == 0
    acts = [line for line in host.said() if "is-active" not in line and "sync" not in line]
    assert [line.split()[0] for line in acts] == [
        "rabbitmq-upgrade",
        "systemctl",
        "systemctl",
        "apt-get",
        "systemctl",
        "systemctl",
    ]
    assert acts[0] == "rabbitmq-upgrade --quiet drain"
    assert acts[1] == "systemctl stop rabbitmq-server"
    assert acts[3].endswith("install rabbitmq-server=3.10.9-1")
    assert acts[-1] == "systemctl start --no-block rabbitmq-server"
    assert host.phase() == "done"
    assert (host.folder / "drained").exists()
    assert host.record.read_text() == "new"
    assert not (host.folder / "error").exists()
    assert not host.policy.exists()


def test_services_are_forbidden_to_start_during_the_installation(host: Host) -> None:
    host.command("apt-get", f"cat {host.policy} >> {host.log}")
    host.prepare()
    host.run(upgrade_scripts.upgrade())
    assert "exit 101" in host.said()


def test_a_policy_of_the_host_stays(host: Host) -> None:
    host.policy.write_text("the host's own\n")
    host.prepare()
    host.run(upgrade_scripts.upgrade())
    host.run(upgrade_scripts.finish())
    assert host.policy.read_text() == "the host's own\n"


def test_a_failed_installation_is_named_and_rabbitmq_runs_again(host: Host) -> None:
    host.command("apt-get", "echo 'E: no such package' ; exit 100")
    host.prepare()
    (host.folder / "record.json").write_text("new")
    host.run(upgrade_scripts.upgrade())
    assert (host.folder / "error").read_text() == "E: no such package\n"
    assert "dpkg --configure -a" in host.said()
    assert "systemctl start --no-block rabbitmq-server" in host.said()
    assert not host.record.exists()


def test_a_node_that_cannot_be_drained_is_upgraded_nevertheless(host: Host) -> None:
    host.command("rabbitmq-upgrade", "exit 1")
    host.prepare()
    host.run(upgrade_scripts.upgrade())
    assert host.phase() == "done"
    assert not (host.folder / "drained").exists()


def test_a_node_without_a_staged_package_is_not_touched(host: Host) -> None:
    (host.folder / "staged").unlink(missing_ok=True)
    done = host.run("set -e\n" + upgrade_scripts.begin("x")[0])
    assert done.returncode == 1
    assert "error: no package was staged" in done.stderr
    assert host.said() == []


def test_a_setting_that_the_new_version_lacks_is_removed_from_our_configuration() -> None:
    newer = fault_of("upgrade", "n1", settings={"package": "x", "version": "4.3.0-1"})
    (action,) = injected(newer, "n1")
    assert (
        "sed -i '/^cluster_partition_handling *=/d' /etc/rabbitmq/rabbitmq.conf" in action.argv[2]
    )
    (action,) = injected(UPGRADE, "n1")
    assert "sed" not in action.argv[2]


# Healing, from any state.


def test_healing_without_an_upgrade_does_nothing(host: Host) -> None:
    host.folder.rmdir()
    done = host.run(f"set -e\n{Upgrade.sweep}")
    assert (done.returncode, done.stdout) == (0, "")
    assert not [line for line in host.said() if "start" in line]


def test_healing_removes_a_staged_package(host: Host) -> None:
    host.prepare()
    done = host.run(f"set -e\n{Upgrade.sweep}")
    assert (done.returncode, done.stdout) == (0, "")
    assert not host.folder.exists()


def test_healing_after_an_upgrade_starts_rabbitmq_and_removes_what_was_kept(host: Host) -> None:
    host.prepare()
    host.run(upgrade_scripts.upgrade())
    host.log.write_text("")
    done = host.run(f"set -e\n{Upgrade.sweep}")
    assert done.returncode == 0
    assert done.stdout == "finished the upgrade of RabbitMQ on this node\n"
    assert "systemctl start --no-block rabbitmq-server" in host.said()
    assert not host.folder.exists()


def test_healing_waits_for_an_upgrade_that_runs_and_fails_if_it_does_not_end(host: Host) -> None:
    host.prepare()
    (host.folder / "phase").write_text("install\n")
    host.unit_runs(broker=False, upgrade=True)
    done = host.run(f"set -e\n{Upgrade.sweep}")
    assert done.returncode == 1
    assert "the upgrade of this node still runs" in done.stderr
    assert host.folder.exists()
    assert len([line for line in host.said() if "is-active --quiet jepsenvm-upgrade" in line]) > 100


def test_healing_revives_a_node_whose_upgrade_ended_while_it_was_drained(host: Host) -> None:
    host.prepare()
    (host.folder / "phase").write_text("drain\n")
    assert host.run(f"set -e\n{Upgrade.sweep}").returncode == 0
    assert "rabbitmq-upgrade --quiet revive" in host.said()


def test_healing_repeats_an_installation_that_was_cut_short(host: Host) -> None:
    """Such as by a power cut, which leaves dpkg in the middle of its work."""
    host.prepare()
    (host.folder / "phase").write_text("install\n")
    host.policy.write_text("#!/bin/sh\n# jepsenvm\nexit 101\n")
    assert host.run(f"set -e\n{Upgrade.sweep}").returncode == 0
    (unit,) = [line for line in host.said() if line.startswith("systemd-run")]
    assert "--setenv=AGAIN=yes" in unit
    assert unit.endswith("/install.sh")
    assert not host.policy.exists()
    host.folder.mkdir()
    host.prepare()
    host.run((host.folder / "install.sh").read_text(), AGAIN="yes")
    acts = [line.split()[0] for line in host.said()]
    assert acts.index("dpkg") < acts.index("apt-get")


def test_the_timer_of_a_node_finishes_an_upgrade() -> None:
    assert Upgrade.sweep in heal_all.heal()


def test_the_scripts_are_shell() -> None:
    for script in (
        upgrade_scripts.upgrade(),
        upgrade_scripts.install("/a b/c.deb", ("x",)),
        upgrade_scripts.finish("x"),
        heal_all.heal(),
    ):
        subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=True)


def test_a_package_is_quoted() -> None:
    assert "install '/a b/c.deb'" in upgrade_scripts.apt_install("/a b/c.deb")


def test_only_the_nodes_of_the_fault_act() -> None:
    assert injected(UPGRADE, "n2") == healed(UPGRADE, "n2") == []
    (action,) = injected(UPGRADE, "n1")
    assert "systemd-run" in action.stdin
    assert "apt-get" in action.argv[2]


# The proof.


def evidence(
    running: str = "3.10.8",
    package: str = "3.10.8-1",
    *,
    started: int = 100,
    **changes: Any,
) -> dict[str, Any]:
    answer = {"running": running, "package": package, "phase": "", "error": "", "drained": False}
    return {
        **process_table(started=started),
        **members("n1", "n2", "n3"),
        "versions": {"n1": {**answer, **changes}},
    }


BEFORE = evidence()
UPGRADED = evidence("3.10.9", "3.10.9-1", started=200, phase="done", drained=True)


def test_an_upgraded_node_is_proven() -> None:
    assert active_problems(UPGRADE, BEFORE, UPGRADED) == []
    assert healed_problems(UPGRADE, BEFORE, UPGRADED) == []


def test_a_package_of_the_same_upstream_version_is_proven_by_its_revision() -> None:
    settings: dict[str, float | str] = {"package": "x", "version": "3.10.8-2"}
    fault = fault_of("upgrade", "n1", settings=settings)
    after = evidence("3.10.8", "3.10.8-2", started=200, phase="done")
    assert active_problems(fault, BEFORE, after) == []
    assert active_problems(fault, after, after) != []


@pytest.mark.parametrize(
    ("during", "says"),
    [
        (BEFORE, "n1 still has the package 3.10.8-1"),
        (evidence("3.10.8", "3.10.9-1", started=200, phase="done"), "n1 runs 3.10.8, not 3.10.9"),
        (evidence("3.10.9", "3.10.9-1", phase="done"), "RabbitMQ on n1 did not restart"),
        (evidence("3.10.9", "3.10.9-2", started=200, phase="done"), "has the package 3.10.9-2"),
        (evidence("", "3.10.9-1", started=200, phase="done"), "runs was not measured"),
        (evidence("3.10.9", "3.10.9-1", started=200, phase="install"), "is in the phase install"),
        (
            evidence("3.10.8", "3.10.8-1", started=200, phase="done", error="E: held"),
            "the upgrade of n1 failed: E: held",
        ),
        ({**UPGRADED, "versions": {"n1": None}}, "was not measured"),
    ],
)
def test_anything_else_is_not_proven(during: dict[str, Any], says: str) -> None:
    assert says in "; ".join(active_problems(UPGRADE, BEFORE, during))


def test_a_version_before_the_fault_that_was_not_measured_proves_nothing() -> None:
    before = {**BEFORE, "versions": {"n1": None}}
    assert "before the fault was not measured" in "; ".join(
        active_problems(UPGRADE, before, UPGRADED)
    )


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ({**UPGRADED, **members("n2", "n3")}, "n2 does not list n1 as running"),
        ({**UPGRADED, **process_table(started=200, amqp=False)}, "n1 does not listen for AMQP"),
        (BEFORE, "n1 runs 3.10.8, not 3.10.9"),
        ({**UPGRADED, "members": {"n1": None, "n2": None}}, "n2 does not answer the request"),
        ({**UPGRADED, "members": {"n1": None}}, "no other node was asked"),
    ],
)
def test_a_node_that_did_not_rejoin_is_not_healed(after: dict[str, Any], says: str) -> None:
    assert says in "; ".join(healed_problems(UPGRADE, BEFORE, after))


def test_a_node_that_another_fault_stops_need_not_list_it() -> None:
    after = {**UPGRADED, "members": {**UPGRADED["members"], "n2": None}}
    others = ConcurrentFaults(mute=frozenset({"n2"}))
    assert healed_problems(UPGRADE, BEFORE, after, others) == []


def test_the_history_gives_the_fault_back() -> None:
    assert isinstance(UPGRADE, Upgrade)
    ready = UPGRADE.staged("rabbitmq-server=3.10.9-1", "3.10.9-1")
    assert fault_from_data(ready.as_data()) == ready
    assert ready.describe() == "upgrade {n1 to 3.10.9-1}"
