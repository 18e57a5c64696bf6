"""Upgrade: a rolling upgrade of RabbitMQ under load, one node after the other.

Each node is drained, stopped, upgraded and started by a unit of its own. An upgrade is never
undone. Healing lets a node finish what it has begun, and starts RabbitMQ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis import member_evidence, process_evidence, upgrade_scripts
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Hosts
from jepsenvm.nemesis.grudge import shuffled
from jepsenvm.nemesis.process_fault import ProcessFault
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage
from jepsenvm.rabbitmq.upgrades import is_same, upstream
from jepsenvm.rabbitmq.versions import PARTITION_HANDLING_ENDED, release

TARGET: Final = "to"
"""The setting with the target: a version, or the path of a package on the controller."""
PACKAGE: Final = "package"
"""The setting with the argument for apt-get. It is known after the package was staged."""
VERSION: Final = "version"
"""The setting with the version of the package."""

_TURN_SHARE: Final = 0.75
"""The share of its turn after which a node must have been upgraded. In the rest it settles."""

VERSIONS: Final = "versions"
"""The probe of the installed and the running version of each node."""


class Upgrade(ProcessFault):
    """Upgrade nodes to another version of RabbitMQ.

    It is in no mix: it cannot be undone, so the next run would test another version.
    """

    kind = "upgrade"
    stops_load = "never"
    lasting = False
    one_at_a_time = True
    settles_s = 300.0
    heals_s = 180.0
    sweep = upgrade_scripts.finish("finished the upgrade of RabbitMQ on this node")

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that upgrades nodes."""
        return {
            "upgrade": NemesisSpec(
                about="upgrades the given nodes in their order, or all nodes in random order, to"
                " the plan's `upgrade-to`, one after the other: drains, stops, upgrades and starts"
                " each; never undone",
                draw=cls.rolling,
                takes="nodes",
                texts={TARGET: ""},
                permanent=True,
            )
        }

    @classmethod
    def rolling(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw one stage for each node."""
        nodes = request.victims or tuple(shuffled(request.nodes, request.random))
        target = request.texts[TARGET]
        return tuple(
            Stage(
                turn / len(nodes),
                (turn + _TURN_SHARE) / len(nodes),
                cls(text=f"{node} to {target}", nodes=(node,), settings={TARGET: target}),
            )
            for turn, node in enumerate(nodes)
        )

    def staged(self, package: str, version: str) -> Self:
        """Return the fault with the package that was staged on its node, and its version."""
        settings = {**self.settings, PACKAGE: package, VERSION: version}
        text = f"{' '.join(self.nodes)} to {version}"
        return replace(self, text=text, settings=settings)

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Begin the upgrade, without waiting for its end."""
        ended = release(upstream(self._version)) >= PARTITION_HANDLING_ENDED
        removed = ("cluster_partition_handling",) if ended else ()
        ahead, begin = upgrade_scripts.begin(str(self.settings[PACKAGE]), removed)
        return [shell(begin, ahead=ahead)]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Finish the upgrade, start RabbitMQ, and remove the staged package."""
        return [shell(upgrade_scripts.finish())]

    def probes(self) -> tuple[str, ...]:
        """Return the probes of the process table, the versions and the members."""
        return (*super().probes(), VERSIONS, "members")

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that was not upgraded, or does not run the new version yet.

        The package must differ from the one before, the runtime must have been restarted, and the
        running version must be that of the package.
        """
        yield from process_evidence.not_running_before(self.nodes, before)
        yield from process_evidence.probe_failures(self.nodes, during)
        for node in self.nodes:
            yield from self._not_upgraded(node, _answer(before, node), _answer(during, node))
            yield from process_evidence.not_restarted([node], before, during)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node that does not run the new version, or did not rejoin the cluster.

        A node that was drained and does not listen for AMQP is still under maintenance.
        """
        yield from process_evidence.not_listening(self.nodes, after)
        for node in self.nodes:
            running = _answer(after, node).get("running")
            if not running or not is_same(running, self._version):
                yield f"{node} runs {running or 'no RabbitMQ'}, not {upstream(self._version)}"
            hidden = concurrent.off | concurrent.mute | {node}
            others = sorted(set(after["members"]) - hidden)
            if not others:
                yield "no other node was asked for its members"
            yield from member_evidence.not_listed_as_running(node, others, after)

    def requirements(self) -> tuple[str, ...]:
        """Return systemd's transient units and RabbitMQ's maintenance mode.

        Whether the package can be installed is known only after it was staged.
        """
        return ("systemd-run", "maintenance-mode")

    @property
    def _version(self) -> str:
        return str(self.settings[VERSION])

    def _not_upgraded(
        self, node: str, earlier: Mapping[str, Any], now: Mapping[str, Any]
    ) -> Iterator[str]:
        if not earlier.get("package") or not earlier.get("running"):
            yield f"the version of {node} before the fault was {UNMEASURED}"
        if now.get("error"):
            yield f"the upgrade of {node} failed: {now['error']}"
        elif now.get("phase") != "done":
            yield f"the upgrade of {node} is in the phase {now.get('phase') or UNMEASURED}"
        package, running = now.get("package"), now.get("running")
        if package == earlier.get("package"):
            yield f"{node} still has the package {package}"
        elif package != self._version:
            yield f"{node} has the package {package}, not {self._version}"
        if not running:
            yield f"the version that {node} runs was {UNMEASURED}"
        elif not is_same(running, self._version):
            yield f"{node} runs {running}, not {upstream(self._version)}"


def _answer(evidence: Evidence, node: str) -> Mapping[str, Any]:
    """Return what a node answered about its versions; nothing if it did not answer."""
    return evidence[VERSIONS].get(node) or {}
