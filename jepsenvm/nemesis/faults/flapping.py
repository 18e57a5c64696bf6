"""Flapping: a partition that nodes repeatedly apply and remove, at the same wall-clock times."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from jepsenvm.machines.action import STATE_DIR, Action, shell
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.nemesis import iptables
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.datagram_evidence import received
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Fault, Hosts
from jepsenvm.nemesis.grudge import complete_grudge, groups_text, random_halves, with_rest
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage, whole

_UNIT: Final = "jepsenvm-flap"


class Flapping(Fault):
    """Drop packets from the grudge for `cut-ms`, let them pass for `open-ms`, and repeat."""

    kind = "flapping"
    stops_load = "never"
    settles_s = 5.0
    isolates_nodes = True
    sweep = f"""for unit in $(systemctl list-units --all --plain --no-legend '{_UNIT}-*' \
| cut -d' ' -f1); do
  systemctl stop "$unit" && echo "stopped $unit"
done
rm -f {STATE_DIR}/flap-*"""

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemesis that flaps between groups of nodes."""
        return {
            "partition-flapping": NemesisSpec(
                about="repeatedly cuts and restores the links between the given groups, or between"
                " random halves",
                draw=cls.between_groups,
                takes="groups",
                settings={"cut-ms": 300, "open-ms": 700},
            )
        }

    @classmethod
    def between_groups(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw the fault between the given groups, or between random halves."""
        if request.groups:
            groups = with_rest(request.groups, request.nodes)
        else:
            groups = random_halves(request.nodes, request.random)
        grudge = complete_grudge(groups)
        return whole(cls.from_grudge(groups_text(groups), grudge, request.settings))

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Start a unit that replaces the rules of the fault's chain in a loop."""
        dropped = self.peer_addresses(node, hosts)
        if not dropped:
            return []
        versions = sorted({ip_address(address).version for address in dropped})
        prepare = [f"mkdir -p {STATE_DIR}"]
        for version in versions:
            rules = [f"-s {a} -j DROP" for a in dropped if ip_address(a).version == version]
            prepare.append(_rules_file(fault_id, "cut", version, rules))
            prepare.append(_rules_file(fault_id, "open", version, []))
        loop = self._loop(fault_id, versions)
        prepare.append(f"cat > {STATE_DIR}/flap-{fault_id}.sh <<'LOOP'\n{loop}\nLOOP")
        start = (
            f"systemd-run --quiet --collect --unit={_UNIT}-{fault_id}"
            f" /bin/sh {STATE_DIR}/flap-{fault_id}.sh"
        )
        return [
            *iptables.put(fault_id, [], versions),
            shell(start, ahead="\n".join(prepare)),
        ]

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Stop the unit, then remove the chain."""
        if not self.grudge.get(node):
            return []
        stop = f"systemctl stop {_UNIT}-{fault_id} 2>/dev/null || true"
        clean = f"rm -f {STATE_DIR}/flap-{fault_id}.*"
        return [shell(f"{stop}\n{clean}\n{iptables.remove(fault_id).stdin}")]

    def probes(self) -> tuple[str, ...]:
        """Return the probe that counts datagrams."""
        return ("datagrams",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link of the grudge on which no datagrams or all datagrams arrived."""
        cut = cut_pairs(self.grudge)
        yield from _unmeasured(cut, during["datagrams"], concurrent)
        for node, answer in (during["datagrams"] or {}).items():
            for source in before["datagrams"]:
                if source == node or concurrent.explains(source, node):
                    continue
                count = received(during["datagrams"], node, source)
                if count is None:
                    yield f"the probe on {node} failed"
                elif (source, node) in cut and not 0 < count < answer["sent"]:
                    yield (
                        f"{node} received {count} of {answer['sent']} datagrams from {source};"
                        " a flapping link passes some of them"
                    )

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each link on which datagrams are still lost."""
        yield from _unmeasured(cut_pairs(self.grudge), after["datagrams"], concurrent)
        for node, answer in after["datagrams"].items():
            for source in after["datagrams"]:
                if source == node or concurrent.explains(source, node):
                    continue
                count = received(after["datagrams"], node, source)
                if count is None:
                    yield f"the probe on {node} failed"
                elif count < answer["sent"]:
                    yield f"{node} still loses packets from {source}"

    def requirements(self) -> tuple[str, ...]:
        """Return iptables and systemd-run."""
        return ("iptables", "ip6tables", "systemd-run")

    def _loop(self, fault_id: str, versions: Sequence[int]) -> str:
        """Return the shell script that cuts at multiples of the period on the wall clock."""
        cut_ms, open_ms = int(self.settings["cut-ms"]), int(self.settings["open-ms"])
        period_ms = cut_ms + open_ms
        return f"""while :; do
  now=$(date +%s%3N); wait=$(({period_ms} - now % {period_ms}))
  sleep $((wait / 1000)).$(printf %03d $((wait % 1000)))
  {_restore(fault_id, "cut", versions)}
  sleep {cut_ms / 1000:.3f}
  {_restore(fault_id, "open", versions)}
done"""


def _unmeasured(
    cut: Collection[tuple[str, str]],
    datagrams: Mapping[str, Any],
    concurrent: ConcurrentFaults,
) -> Iterator[str]:
    """Yield each node that should miss datagrams and was not asked for them."""
    for node in sorted({node for source, node in cut if not concurrent.explains(source, node)}):
        if node not in datagrams:
            yield f"what {node} receives was {UNMEASURED}"


def _rules_file(fault_id: str, state: str, version: int, rules: Sequence[str]) -> str:
    chain = f"{iptables.CHAIN}-{fault_id}"
    lines = iptables.transaction([f":{chain} - [0:0]", *(f"-A {chain} {rule}" for rule in rules)])
    return f"cat > {STATE_DIR}/flap-{fault_id}.{state}{version} <<'RULES'\n{lines}RULES"


def _restore(fault_id: str, state: str, versions: Sequence[int]) -> str:
    return "; ".join(
        f"{iptables.TABLES[version]}-restore --noflush -w"
        f" < {STATE_DIR}/flap-{fault_id}.{state}{version}"
        for version in versions
    )
