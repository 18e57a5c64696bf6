"""Filters for the addresses on which RabbitMQ listens. Every result is an IP address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filters by name."""
        return {
            "rabbitmq_address": address,
            "rabbitmq_address_problem": address_problem,
            "rabbitmq_client_addresses": client_addresses,
            "rabbitmq_erlang_address": erlang_address,
            "rabbitmq_url_host": url_host,
        }


def address(text: object) -> str:
    """Return an IP address in its shortest form; an empty text for anything else."""
    try:
        parsed = ipaddress.ip_address(str(text))
    except ValueError:
        return ""
    # An address with a zone, such as fe80::1%eth0, has a meaning on its own host only.
    return "" if getattr(parsed, "scope_id", None) else str(parsed)


def address_problem(text: object, own: Iterable[str]) -> str:
    """Return why other nodes cannot reach a host at this address; an empty text if they can.

    ``own`` are the host's addresses.
    """
    if not address(text):
        return "is not an IP address"
    if address(text) not in map(address, own):
        return "is not an address of this host"
    return ""


def client_addresses(
    cluster: object, client: object, own: Iterable[str], ssh_connection: str = ""
) -> list[str]:
    """Return the addresses of a host at which clients may arrive, the cluster's first.

    ``client`` is the name or address that clients use. If it is not one of the host's ``own``
    addresses, it is a name or is translated: then connections arrive at the address at which SSH
    arrives. That is the third word of ``ssh_connection``, the variable SSH_CONNECTION. A loopback
    ``client`` belongs to a forwarded port, which may end at the host's own loopback.
    """
    owned = set(map(address, own))
    used = address(client)
    addresses = [address(cluster)]
    if used in owned:
        addresses.append(used)
    else:
        words = str(ssh_connection).split()
        addresses += [address(words[2])] if len(words) == 4 and address(words[2]) in owned else []
        addresses += _loopback(str(client), used)
    return list(dict.fromkeys(filter(None, addresses)))


def _loopback(client: str, used: str) -> list[str]:
    if client == "localhost":
        return ["127.0.0.1"]
    return [used] if used and ipaddress.ip_address(used).is_loopback else []


def erlang_address(text: object) -> str:
    """Return an IP address as an Erlang tuple: {192,0,2,1}. Raise ValueError for anything else."""
    parsed = ipaddress.ip_address(str(text))
    if isinstance(parsed, ipaddress.IPv4Address):
        numbers = list(parsed.packed)
    else:
        numbers = [int(group, 16) for group in parsed.exploded.split(":")]
    return "{" + ",".join(map(str, numbers)) + "}"


def url_host(text: object) -> str:
    """Return an IP address as the host of a URL. Raise ValueError for anything else."""
    parsed = ipaddress.ip_address(str(text))
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)
