"""Partitions: iptables rules that drop the packets of the nodes in the grudge, and the matrix that proves them.

All rules stand in a chain of our own, set in one transaction; healing empties and removes that chain and touches no
other rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from jepsenvm.faults.host import Host
from jepsenvm.plan.grudge import Grudge, cut_pairs

CHAIN: Final = "JEPSENVM"

_TABLES: Final = {4: "iptables", 6: "ip6tables"}

Matrix = Mapping[str, Mapping[str, bool | None]]
"""Who can reach whom, from -> to; None where the probe itself failed."""


def prepare() -> str:
    """Return the script that makes our empty chain and its jump from INPUT, if they are not there."""
    return "\n".join(
        f"{guard}{table} -w -N {CHAIN} 2>/dev/null || {table} -w -F {CHAIN}\n"
        f"{table} -w -C INPUT -j {CHAIN} 2>/dev/null || {table} -w -I INPUT 1 -j {CHAIN}{end}"
        for table, guard, end in (("iptables", "", ""), ("ip6tables", "if [ -e /proc/net/if_inet6 ]; then\n", "\nfi"))
    )


def inject(node: str, grudge: Grudge, hosts: Mapping[str, Host]) -> str:
    """Return the script that makes a node drop the packets of those in its grudge, and of nobody else.

    The controller's own SSH passes whatever the grudge says, even where the controller is one of the nodes.
    """
    dropped = sorted(grudge.get(node, ()))
    addresses = [address for peer in dropped for address in hosts[peer].addresses]
    return "\n".join(_restore(version, hosts[node], addresses) for version in _versions(addresses))


def heal() -> str:
    """Return the script that empties and removes our chain, and prints the rules that it removed."""
    return f"""for table in iptables ip6tables; do
  rules=$($table -w -S {CHAIN} 2>/dev/null) || continue
  $table -w -F {CHAIN}
  while $table -w -D INPUT -j {CHAIN} 2>/dev/null; do :; done
  $table -w -X {CHAIN}
  printf '%s\\n' "$rules" | sed -n "s/^-A {CHAIN} /removed from $table: /p"
done"""


def doubts(before: Matrix, during: Matrix, grudge: Grudge) -> Iterator[str]:
    """Yield why a partition is not proven: pairs that were cut before it, that it did not cut, or should not have."""
    cut = cut_pairs(grudge)
    yield from (f"{a} could not reach {b} even before" for a, b, flows in pairs(before) if not flows)
    for a, b, flows in pairs(during):
        if flows is None:
            yield f"the probe from {a} to {b} failed"
        elif flows and (a, b) in cut:
            yield f"{a} still reaches {b}"
        elif not flows and (a, b) not in cut:
            yield f"{a} cannot reach {b}, which the partition leaves connected"


def leftovers(after: Matrix) -> Iterator[str]:
    """Yield the pairs that are still cut after healing."""
    yield from (f"{a} still cannot reach {b} after healing" for a, b, flows in pairs(after) if not flows)


def pairs(matrix: Matrix) -> Iterator[tuple[str, str, bool | None]]:
    """Yield each ordered pair of different nodes with what was seen between them."""
    for a, row in matrix.items():
        for b, flows in row.items():
            if a != b:
                yield a, b, flows


def _versions(addresses: Sequence[str]) -> list[int]:
    return sorted({ip_address(address).version for address in addresses})


def _restore(version: int, host: Host, addresses: Sequence[str]) -> str:
    """Return one transaction: with --noflush, naming a chain of ours empties it and no other."""
    here = [address for address in addresses if ip_address(address).version == version]
    if host.controller and ip_address(host.controller).version == version:
        allowed = [f"-A {CHAIN} -s {host.controller} -p tcp --dport {host.ssh_port} -j RETURN"]
    else:
        allowed = []
    rules = [*allowed, *(f"-A {CHAIN} -s {address} -j DROP" for address in here)]
    lines = "\n".join(["*filter", f":{CHAIN} - [0:0]", *rules, "COMMIT"])
    return f"{_TABLES[version]}-restore --noflush -w <<'RULES'\n{lines}\nRULES"
