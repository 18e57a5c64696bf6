"""Our iptables chain: one sub-chain a fault, so that faults compose, each set and removed in one transaction.

``JEPSENVM`` stands first in INPUT. Healing removes our chains and touches no other rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.machines.host import Host

CHAIN: Final = "JEPSENVM"

TABLES: Final = {4: "iptables", 6: "ip6tables"}


def prepare(host: Host) -> str:
    """Return the script that makes our chain if it is not there; the controller's own SSH passes it whatever follows.

    It passes even where the controller, or its jump host, is one of the nodes.
    """
    return "\n".join(_prepared(version, host) for version in TABLES)


def put(fault: str, rules: Sequence[str], versions: Sequence[int]) -> list[Action]:
    """Return the actions that put rules (without their ``-A CHAIN``) into a fault's own chain, and it into force."""
    chain = f"{CHAIN}-{fault}"
    lines = [
        f":{chain} - [0:0]",
        *(f"-A {chain} {rule}" for rule in rules),
        f"-A {CHAIN} -j {chain}",
    ]
    return [
        Action((f"{TABLES[version]}-restore", "--noflush", "-w"), transaction(lines))
        for version in versions
    ]


def drop(fault: str, addresses: Sequence[str], match: str = "") -> list[Action]:
    """Return the actions that drop what comes from these addresses, or of it only what matches."""
    versions = sorted({ip_address(address).version for address in addresses})
    return [
        action
        for version in versions
        for action in put(
            fault, [f"-s {a} {match}-j DROP" for a in addresses if _is(a, version)], [version]
        )
    ]


def remove(fault: str) -> Action:
    """Return the action that takes a fault's chain out of force and removes it, if it is still there."""
    chain = f"{CHAIN}-{fault}"
    lines = transaction([f"-D {CHAIN} -j {chain}", f"-F {chain}", f"-X {chain}"])
    return shell(
        "\n".join(
            f"if {table} -w -S {chain} >/dev/null 2>&1; then {table}-restore --noflush -w <<'RULES'\n{lines}RULES\nfi"
            for table in TABLES.values()
        )
    )


def transaction(lines: Sequence[str]) -> str:
    """Return the input of one iptables-restore: with --noflush, it touches only the chains that it names."""
    return "\n".join(["*filter", *lines, "COMMIT", ""])


SWEEP: Final = f"""for table in {" ".join(TABLES.values())}; do
  rules=$($table -w -S 2>/dev/null | grep -E -- '^-[AN] {CHAIN}') || continue
  while $table -w -D INPUT -j {CHAIN} 2>/dev/null; do :; done
  chains=$(printf '%s\\n' "$rules" | sed -n 's/^-N //p')
  for chain in $chains; do $table -w -F "$chain"; done
  for chain in $chains; do $table -w -X "$chain"; done
  printf '%s\\n' "$rules" | grep -v -- '-j {CHAIN}' | sed -n "s/^-A {CHAIN}[^ ]* /removed from $table: /p"
done"""


def _prepared(version: int, host: Host) -> str:
    table = TABLES[version]
    lines = [f"{table} -w -N {CHAIN} 2>/dev/null || true"]
    if host.controller and ip_address(host.controller).version == version:
        ssh = f"-s {host.controller} -p tcp --dport {host.ssh_port} -j RETURN"
        lines.append(f"{table} -w -C {CHAIN} {ssh} 2>/dev/null || {table} -w -I {CHAIN} 1 {ssh}")
    for port in host.answers:
        back = f"-p tcp --sport {port} -j RETURN"
        lines.append(f"{table} -w -C {CHAIN} {back} 2>/dev/null || {table} -w -I {CHAIN} 1 {back}")
    lines.append(f"{table} -w -C INPUT -j {CHAIN} 2>/dev/null || {table} -w -I INPUT 1 -j {CHAIN}")
    body = "\n".join(lines)
    return body if version == 4 else f"if [ -e /proc/net/if_inet6 ]; then\n{body}\nfi"


def _is(address: str, version: int) -> bool:
    return ip_address(address).version == version
