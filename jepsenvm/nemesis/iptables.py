"""iptables: each fault has a chain of its own, set and removed in one transaction.

Faults compose because their chains are independent. The chain ``JEPSENVM`` is first in INPUT and
jumps to the chains of the faults. Healing removes these chains and touches no other rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.host import Host

CHAIN: Final = "JEPSENVM"

TABLES: Final = {4: "iptables", 6: "ip6tables"}
"""The command for each version of IP."""


def prepare(host: Host) -> str:
    """Return the shell script that creates the chain ``JEPSENVM`` unless it exists.

    SSH from the controller passes it before any rule of a fault, even if the controller or its jump
    host is a node of the cluster.
    """
    return "\n".join(_prepare(version, host) for version in TABLES)


def put(fault_id: str, rules: Sequence[str], versions: Sequence[int]) -> list[Action]:
    """Return the actions that put rules into a fault's chain and put the chain in force.

    Each rule lacks its ``-A CHAIN``. ``versions`` are versions of IP.
    """
    chain = f"{CHAIN}-{fault_id}"
    lines = [
        f":{chain} - [0:0]",
        *(f"-A {chain} {rule}" for rule in rules),
        f"-A {CHAIN} -j {chain}",
    ]
    return [
        Action((f"{TABLES[version]}-restore", "--noflush", "-w"), transaction(lines))
        for version in versions
    ]


def drop(fault_id: str, addresses: Sequence[str], match: str = "") -> list[Action]:
    """Return the actions that drop packets from addresses; only packets that match, if given."""
    by_version: dict[int, list[str]] = {}
    for address in addresses:
        by_version.setdefault(ip_address(address).version, []).append(address)
    return [
        action
        for version in sorted(by_version)
        for action in put(
            fault_id, [f"-s {source} {match}-j DROP" for source in by_version[version]], [version]
        )
    ]


def remove(fault_id: str) -> Action:
    """Return the action that removes a fault's chain, if it exists."""
    chain = f"{CHAIN}-{fault_id}"
    lines = transaction([f"-D {CHAIN} -j {chain}", f"-F {chain}", f"-X {chain}"])
    return shell(
        "\n".join(
            f"if {table} -w -S {chain} >/dev/null 2>&1; then"
            f" {table}-restore --noflush -w <<'RULES'\n{lines}RULES\nfi"
            for table in TABLES.values()
        )
    )


def transaction(lines: Sequence[str]) -> str:
    """Return the input of ``iptables-restore --noflush``. Other chains stay unchanged."""
    return "\n".join(["*filter", *lines, "COMMIT", ""])


SWEEP: Final = f"""\
for table in {" ".join(TABLES.values())}; do
  rules=$($table -w -S 2>/dev/null | grep -E -- '^-[AN] {CHAIN}') || continue
  while $table -w -D INPUT -j {CHAIN} 2>/dev/null; do :; done
  chains=$(printf '%s\\n' "$rules" | sed -n 's/^-N //p')
  for chain in $chains; do $table -w -F "$chain"; done
  for chain in $chains; do $table -w -X "$chain"; done
  removed="s/^-A {CHAIN}[^ ]* /removed from $table: /p"
  printf '%s\\n' "$rules" | grep -v -- '-j {CHAIN}' | sed -n "$removed"
done"""


def _prepare(version: int, host: Host) -> str:
    table = TABLES[version]
    lines = [f"{table} -w -N {CHAIN} 2>/dev/null || true"]
    if host.controller and ip_address(host.controller).version == version:
        request = f"-s {host.controller} -p tcp --dport {host.ssh_port} -j RETURN"
        lines.append(_insert(table, request))
    lines += [_insert(table, f"-p tcp --sport {port} -j RETURN") for port in host.answers]
    lines.append(f"{table} -w -C INPUT -j {CHAIN} 2>/dev/null || {table} -w -I INPUT 1 -j {CHAIN}")
    script = "\n".join(lines)
    return script if version == 4 else f"if [ -e /proc/net/if_inet6 ]; then\n{script}\nfi"


def _insert(table: str, rule: str) -> str:
    """Return the command that puts a rule first in the chain ``JEPSENVM`` unless it is there."""
    return f"{table} -w -C {CHAIN} {rule} 2>/dev/null || {table} -w -I {CHAIN} 1 {rule}"
