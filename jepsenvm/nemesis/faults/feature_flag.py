"""Feature-flag: enables a feature flag of RabbitMQ, or all stable ones, while the load is on.

RabbitMQ cannot disable a feature flag, so there is nothing to heal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage, whole
from jepsenvm.rabbitmq.erlang import Atom, Erlang
from jepsenvm.rabbitmq.feature_flags import ALL_STABLE, ENABLED, FeatureFlag, disabled_stable

FLAG: Final = "flag"
"""The setting that names the feature flag."""

_PROBE: Final = "feature-flags"

_ENABLES_S: Final = 120
"""Seconds that RabbitMQ may take: khepri_db copies all metadata into another store."""


class EnableFeatureFlag(NodeFault):
    """Enable a feature flag from one node.

    It is in no mix: it cannot be undone, so the next run would test another cluster.
    """

    kind = "feature-flag"
    stops_load = "never"
    lasting = False
    settles_s = 30.0

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that enables feature flags."""
        return {
            "feature-flag": NemesisSpec(
                about="enables the feature flag `flag`, or all stable ones; it stays enabled",
                draw=cls.from_a_node,
                texts={FLAG: ALL_STABLE},
                permanent=True,
            )
        }

    @classmethod
    def from_a_node(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw the fault from one random node. A feature flag is enabled on all nodes at once."""
        node = request.random.choice(request.nodes)
        flag = request.texts[FLAG]
        text = "all stable feature flags" if flag == ALL_STABLE else flag
        return whole(cls(text=text, nodes=(node,), settings={FLAG: flag}))

    @property
    def flag(self) -> str:
        """The name of the feature flag, or ALL_STABLE."""
        return str(self.settings[FLAG])

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Enable the feature flag; fail if RabbitMQ refuses."""
        if self.flag == ALL_STABLE:
            return [shell(f"timeout {_ENABLES_S} rabbitmqctl --quiet enable_feature_flag all")]
        # As for the plan key `feature-flags`: the command wants another option in each series.
        enable = Erlang("ok = rabbit_feature_flags:enable($flag).", flag=Atom(self.flag))
        return [shell(enable.script(_ENABLES_S))]

    def probes(self) -> tuple[str, ...]:
        """Return the probe of each node's feature flags."""
        return (_PROBE,)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which a feature flag is not enabled, or was enabled before."""
        wanted = self._disabled(before)
        if not wanted:
            yield f"{self._subject} enabled before the fault, or {UNMEASURED}"
        others = [node for node in during[_PROBE] if node not in concurrent.off | concurrent.mute]
        if not others:
            yield "no node was asked for its feature flags"
        for node in others:
            if not during[_PROBE][node]:
                yield f"{node} does not answer the request for its feature flags"
                continue
            flags = flags_of(during, node)
            also = disabled_stable(flags) if self.flag == ALL_STABLE else set()
            for name in sorted(wanted | also):
                if name not in flags or flags[name].state != ENABLED:
                    yield f"{name} is not enabled on {node}"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield nothing: a feature flag stays enabled."""
        return iter(())

    @property
    def _subject(self) -> str:
        return "all stable feature flags were" if self.flag == ALL_STABLE else f"{self.flag} was"

    def _disabled(self, before: Evidence) -> set[str]:
        """Return the feature flags of the fault that were disabled on a node before it.

        The nodes of a cluster agree about a feature flag, but not all of them may answer.
        """
        found: set[str] = set()
        for node in before[_PROBE]:
            flags = flags_of(before, node)
            if self.flag == ALL_STABLE:
                found |= disabled_stable(flags)
            elif self.flag in flags and flags[self.flag].state != ENABLED:
                found.add(self.flag)
        return found


def flags_of(evidence: Evidence, node: str) -> dict[str, FeatureFlag]:
    """Return the feature flags that a node reported; none if it did not answer."""
    answer: Mapping[str, Any] = evidence[_PROBE].get(node) or {}
    return {name: FeatureFlag(*entry) for name, entry in answer.items()}
