"""Flapping: a partition that comes and goes several times a second or so, on all nodes at the same wall-clock times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from jepsenvm.machines.action import STATE_DIR, Action, shell
from jepsenvm.machines.reachability import cut_pairs
from jepsenvm.nemesis import iptables as chain
from jepsenvm.nemesis.faults.partition import addresses, heard
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind

UNIT: Final = "jepsenvm-flap"


def inject(fault: Fault, number: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Begin to drop what comes from those in the node's grudge for ``cut-ms``, and let it pass for ``open-ms``."""
    dropped = addresses(fault.grudge, node, hosts)
    if not dropped:
        return []
    versions = sorted({ip_address(address).version for address in dropped})
    ahead = [f"mkdir -p {STATE_DIR}"]
    for version in versions:
        rules = [f"-s {a} -j DROP" for a in dropped if ip_address(a).version == version]
        ahead += [_file(number, "cut", version, rules), _file(number, "open", version, [])]
    cut, open_ = int(fault.settings["cut-ms"]), int(fault.settings["open-ms"])
    loop = f"""while :; do
  now=$(date +%s%3N); wait=$(({cut + open_} - now % {cut + open_}))
  sleep $((wait / 1000)).$(printf %03d $((wait % 1000)))
  {_restored(number, "cut", versions)}
  sleep {cut / 1000:.3f}
  {_restored(number, "open", versions)}
done"""
    ahead.append(f"cat > {STATE_DIR}/flap-{number}.sh <<'LOOP'\n{loop}\nLOOP")
    started = (
        f"systemd-run --quiet --collect --unit={UNIT}-{number} /bin/sh {STATE_DIR}/flap-{number}.sh"
    )
    return [*chain.put(number, [], versions), shell(started, ahead="\n".join(ahead))]


def heal(fault: Fault, number: str, node: str, _: Hosts) -> Sequence[Action]:
    """End it, open."""
    if not fault.grudge.get(node):
        return []
    removed = chain.remove(number).stdin
    return [
        shell(
            f"systemctl stop {UNIT}-{number} 2>/dev/null || true\nrm -f {STATE_DIR}/flap-{number}.*\n{removed}"
        )
    ]


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield the pairs between which not some, but no or all datagrams came through."""
    cut = cut_pairs(fault.grudge)
    for node, answer in (during["datagrams"] or {}).items():
        for source in before["datagrams"]:
            if source == node or around.explains(source, node):
                continue
            count = heard(during["datagrams"], node, source)
            if count is None:
                yield f"the probe on {node} failed"
            elif (source, node) in cut and not 0 < count < answer["sent"]:
                yield f"{node} heard {count} of {answer['sent']} from {source}, which is no flapping"


def leftovers(_: Fault, __: Evidence, after: Evidence, around: ConcurrentFaults) -> Iterator[str]:
    """Yield the pairs between which datagrams are still lost."""
    for node, answer in after["datagrams"].items():
        for source in after["datagrams"]:
            if source == node or around.explains(source, node):
                continue
            count = heard(after["datagrams"], node, source)
            if count is None or count < answer["sent"]:
                yield f"{node} still loses what comes from {source}"


def _file(number: str, state: str, version: int, rules: Sequence[str]) -> str:
    name = f"{chain.CHAIN}-{number}"
    lines = chain.transaction([f":{name} - [0:0]", *(f"-A {name} {rule}" for rule in rules)])
    return f"cat > {STATE_DIR}/flap-{number}.{state}{version} <<'RULES'\n{lines}RULES"


def _restored(number: str, state: str, versions: Sequence[int]) -> str:
    return "; ".join(
        f"{chain.TABLES[v]}-restore --noflush -w < {STATE_DIR}/flap-{number}.{state}{v}"
        for v in versions
    )


SWEEP: Final = f"""for unit in $(systemctl list-units --all --plain --no-legend '{UNIT}-*' | cut -d' ' -f1); do
  systemctl stop "$unit" && echo "ended $unit"
done
rm -f {STATE_DIR}/flap-*"""

KIND = Kind(
    inject,
    heal,
    lambda _: ("datagrams",),
    doubts,
    leftovers,
    sweep=SWEEP,
    needs=lambda _: ("iptables", "ip6tables", "systemd-run"),
    settles_s=5.0,
    silences=lambda _: True,
)
