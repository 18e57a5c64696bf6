"""Rolling upgrades: what is refused before anything changes, and what is staged on the nodes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment import rolling_upgrade
from jepsenvm.experiment.upgrade_package import package_file
from jepsenvm.machines.ssh import Output
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.upgrade import Upgrade
from jepsenvm.plan.plan import Plan
from tests.unit.fakes import NODES, FakeFleet
from tests.unit.nemesis.builders import fault_of

RUNNING = dict.fromkeys(NODES, "3.10.8")
CONTENT = b"!<arch>\nnot really"


def upgrade(node: str, target: str) -> Fault:
    return Upgrade(name="upgrade", text=node, nodes=(node,), settings={"to": target})


class Hosts(FakeFleet):
    """Hosts with RabbitMQ 3.10.8, which know one newer package."""

    def __init__(self, **answer: Any) -> None:
        super().__init__()
        self.answer = {
            "installed": "3.10.8-1",
            "name": "rabbitmq-server",
            "found": "3.10.9-1",
            "package": "rabbitmq-server=3.10.9-1",
            "newer": True,
            "problem": "",
            **answer,
        }
        self.of_node: dict[str, dict[str, Any]] = {}
        self.flags: list[dict[str, str]] = []
        self.download = ""
        self.uploaded: dict[str, bytes] = {}

    def run(self, node: str, script: str, *, stdin: str = "", **_: Any) -> Output:
        self.scripts.append((node, script))
        if "list_feature_flags" in script:
            return Output(json.dumps(self.flags), "", 0)
        if "base64" in script:
            self.uploaded[node] = base64.b64decode(stdin)
            return Output(hashlib.sha256(self.uploaded[node]).hexdigest() + "  -\n", "", 0)
        return Output("", "", 0)

    def python(
        self,
        node: str,
        program: str,
        order: Mapping[str, Any] | None = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        assert order is not None
        self.orders.append((node, program, order))
        if order["act"] == "fetch":
            return {"problem": self.download}
        return {**self.answer, **self.of_node.get(node, {})}

    def discarded(self) -> set[str]:
        return {node for node, script in self.scripts if script.startswith("rm -rf")}


def staged(hosts: Hosts, *faults: Fault, plan: Plan | None = None) -> list[Fault]:
    return rolling_upgrade.staged(plan, hosts, faults, RUNNING)


def test_a_version_is_staged_on_the_nodes_that_are_upgraded() -> None:
    hosts = Hosts()
    kill = fault_of("kill", "n3")
    first, other, second = staged(hosts, upgrade("n1", "3.10.9"), kill, upgrade("n2", "3.10.9"))
    assert other == kill
    for fault in (first, second):
        assert fault.settings["package"] == "rabbitmq-server=3.10.9-1"
        assert fault.settings["version"] == "3.10.9-1"
    assert {node for node, _, _ in hosts.orders} == {"n1", "n2"}
    assert [order["act"] for _, _, order in hosts.orders] == ["look", "look", "fetch", "fetch"]
    assert hosts.discarded() == set()


def test_a_package_is_uploaded_and_recorded(tmp_path: Path) -> None:
    file = tmp_path / "rabbitmq-server_3.10.9-1_all.deb"
    file.write_bytes(CONTENT)
    hosts = Hosts()
    staged(hosts, upgrade("n1", str(file)))
    assert hosts.uploaded == {"n1": CONTENT}
    (order, _) = (order for _, _, order in hosts.orders)
    assert order["deb"] == "/opt/jepsenvm/upgrade/rabbitmq-server.deb"
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert order["source"] == {"file": str(file), "sha256": digest}


def test_without_an_upgrade_nothing_is_asked() -> None:
    hosts = Hosts()
    kill = fault_of("kill", "n3")
    assert staged(hosts, kill) == [kill]
    assert hosts.orders == []
    assert hosts.scripts == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"installed": ""}, "n1: upgrade is not possible here: RabbitMQ was not installed from"),
        ({"found": ""}, "n1: upgrade-to: the apt sources of the node have no rabbitmq-server"),
        ({"newer": False}, "3.10.9-1 is not newer than 3.10.8-1, which is installed"),
        ({"problem": "E: unmet"}, "apt cannot install 3.10.9-1: E: unmet"),
        ({"found": "3.12.1-1"}, "no rolling upgrade from 3.10.8 to 3.12.1; upgrade to a newer"),
    ],
)
def test_what_cannot_be_installed_is_refused_and_nothing_is_left(
    answer: dict[str, Any], says: str
) -> None:
    hosts = Hosts(**answer)
    with pytest.raises(UsageError, match=says):
        staged(hosts, upgrade("n1", "3.10.9"))
    assert hosts.discarded() == {"n1"}
    assert "fetch" not in [order["act"] for _, _, order in hosts.orders]


def test_a_failed_download_is_refused() -> None:
    hosts = Hosts()
    hosts.download = "E: no network"
    with pytest.raises(UsageError, match="cannot be downloaded: E: no network"):
        staged(hosts, upgrade("n1", "3.10.9"))
    assert hosts.discarded() == {"n1"}


def test_different_packages_are_refused() -> None:
    hosts = Hosts()
    hosts.of_node = {"n2": {"found": "3.10.9-2"}}
    with pytest.raises(UsageError, match=r"different packages: 3\.10\.9-1, 3\.10\.9-2"):
        staged(hosts, upgrade("n1", "3.10.9"), upgrade("n2", "3.10.9"))


def test_feature_flags_that_the_step_needs_are_checked_on_the_cluster() -> None:
    hosts = Hosts(found="3.11.28-1")
    hosts.flags = [{"name": "stream_queue", "state": "disabled", "stability": "stable"}]
    fault = upgrade("n1", "3.11.28")
    with pytest.raises(UsageError, match="stream_queue must be enabled before the upgrade from"):
        staged(hosts, fault)
    assert staged(hosts, fault, plan=Plan(feature_flags=("stream_queue",)))


def test_a_queue_type_that_the_target_lacks_is_refused() -> None:
    hosts = Hosts(found="4.0.5-1")
    running = dict.fromkeys(NODES, "3.13.7")
    plan = Plan(queue_type="mirrored")
    with pytest.raises(UsageError, match=r"mirrored queues were removed in RabbitMQ 4\.0"):
        rolling_upgrade.staged(plan, hosts, [upgrade("n1", "4.0.5")], running)


def test_an_upgrade_can_happen_once() -> None:
    once = [upgrade("n1", "3.10.9"), upgrade("n2", "3.10.9")]
    rolling_upgrade.require_possible(Plan(upgrade_to="3.10.9"), once)
    with pytest.raises(UsageError, match="upgrades n1 more than once"):
        rolling_upgrade.require_possible(Plan(upgrade_to="3.10.9"), [*once, *once])


def test_a_target_without_an_upgrade_is_refused() -> None:
    with pytest.raises(UsageError, match="upgrade-to goes only with nemesis upgrade"):
        rolling_upgrade.require_possible(Plan(upgrade_to="3.10.9"), [fault_of("kill")])
    rolling_upgrade.require_possible(Plan(), [fault_of("kill")])


def test_an_unsupported_version_is_refused_before_a_deployment() -> None:
    with pytest.raises(UsageError, match=r"no rolling upgrade from 3\.10\.8 to 3\.12\.0"):
        rolling_upgrade.require_step({"3.10.8"}, [upgrade("n1", "3.12.0")])
    rolling_upgrade.require_step({"3.10.8"}, [upgrade("n1", "3.10.9"), upgrade("n1", "/x.deb")])


def test_a_file_that_is_no_package_is_refused(tmp_path: Path) -> None:
    missing, text = tmp_path / "missing.deb", tmp_path / "text.deb"
    text.write_text("hello")
    for target, says in ((str(missing), "No such file"), (str(text), "not a Debian package")):
        with pytest.raises(UsageError, match=says) as refusal:
            rolling_upgrade.require_possible(Plan(upgrade_to=target), [upgrade("n1", target)])
        assert "\n" not in str(refusal.value)
    with pytest.raises(UsageError, match="no such user"):
        package_file("~nobody-of-this-name/x.deb")
