"""Shape this host's outgoing packets as all faults in force require.

The argument is the id of a fault. Standard input: {"peers": [addresses], "delay-ms", "jitter-ms",
"duplicate-percent", "reorder-percent", "corrupt-percent", "rate-kbit"} adds or replaces that fault;
nothing or null removes it. If the order is given as a second argument, it takes effect when the
standard input ends.

Each fault's order is kept in a file. The tree of each device is rebuilt from all files: htb with a
class per peer, and netem or tbf in the class. So faults of several processes compose. Packets to
other hosts are not affected. Prints what is in force: {device: {address: words of tc}}.
"""

from __future__ import annotations

import fcntl
import functools
import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path("/run/jepsenvm")
FAULTS = HERE / "packets"
HANDLE = "7e57:"
# Disciplines that a kernel attaches by itself. Any other was set by a user and is never replaced.
ORDINARY = ("noqueue", "pfifo_fast", "fq_codel", "mq", "fq", "pfifo")
SUMS = ("delay-ms", "jitter-ms")
PERCENTS = ("duplicate-percent", "reorder-percent", "corrupt-percent")
RATE = "rate-kbit"

Asked = dict[str, Any]
Wanted = dict[str, dict[str, Asked]]  # device -> address -> the parameters of all faults together


class TrafficControlError(Exception):
    """The shaping is not possible here."""


def main() -> None:
    """Follow the order. On an error, remove the fault and report it with exit status 1."""
    fault, order = sys.argv[1], given(sys.argv[2:])
    if not re.fullmatch(r"[A-Za-z0-9-]+", fault):
        sys.exit(f"error: {fault!r} is no fault's id")
    FAULTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = FAULTS / f"{fault}.json"
    # Several faults may come at the same instant. Healing does not remove the lock's file.
    with (HERE / "packets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if order is None:
            kept.unlink(missing_ok=True)
        else:
            draft = kept.with_suffix(".new")
            draft.write_text(json.dumps(order))
            draft.replace(kept)
        try:
            refuse_aimless(order)
            print(json.dumps(apply()))
        except (TrafficControlError, OSError, subprocess.SubprocessError) as problem:
            if order is not None:
                kept.unlink()
                back_to_the_others()
            sys.exit(f"error: {problem}")


def given(words: Sequence[str]) -> Asked | None:
    """Return the order when the standard input has ended."""
    if words:
        order = json.loads(words[0])
        wanted(
            [*kept_faults(), *([order] if order else [])]
        )  # look the routes up before the instant
        sys.stdin.read()
    else:
        order = json.loads(sys.stdin.read().strip() or "null")
    return order  # type: ignore[no-any-return]  # the order is JSON


def kept_faults() -> list[Asked]:
    """Return the orders of the faults in force."""
    return [json.loads(file.read_text()) for file in sorted(FAULTS.glob("*.json"))]


def back_to_the_others() -> None:
    """Rebuild without a refused fault. Its error counts."""
    try:
        apply()
    except (TrafficControlError, OSError, subprocess.SubprocessError) as problem:
        print(problem, file=sys.stderr)


def apply() -> dict[str, dict[str, str]]:
    """Shape every device as the files require; return what is in force."""
    want = wanted(kept_faults())
    roots = {entry["dev"]: entry for entry in tc_json("qdisc", "show") if entry.get("root")}
    ours = {device for device, root in roots.items() if root["handle"] == HANDLE}
    for device in want:
        refuse_foreign(device, roots.get(device))
    for device in sorted(ours | set(want)):
        lines = render(device, want.get(device, {}), ours=device in ours)
        run(["tc", "-batch", "-"], "\n".join(lines) + "\n")
    return {
        device: {to: " ".join(leaf(asked)) for to, asked in peers.items()}
        for device, peers in want.items()
    }


def refuse_aimless(order: Asked | None) -> None:
    """Raise TrafficControlError for a fault that would affect no packet."""
    if order is not None and not wanted([order]):
        raise TrafficControlError(f"no way leads to {' '.join(order['peers'])}")


def refuse_foreign(device: str, root: dict[str, Any] | None) -> None:
    """Raise TrafficControlError if a user has shaped a device."""
    # What a kernel attaches by itself has no handle. net.core.default_qdisc sets its kind.
    if root and root["kind"] not in ORDINARY and root["handle"] not in (HANDLE, "0:"):
        raise TrafficControlError(
            f"{device} has a {root['kind']} queueing discipline of somebody else; remove it first"
        )


def wanted(faults: Sequence[Asked]) -> Wanted:
    """Return the parameters of all faults together by device and address."""
    found: Wanted = {}
    for address, asked in merge(faults).items():
        device = device_to(address)
        if device:
            found.setdefault(device, {})[address] = asked
    return found


@functools.lru_cache(maxsize=None)  # noqa: UP033 - by this name it is older
def device_to(address: str) -> str | None:
    """Return the device of the route to an address; None for a local address or without a route."""
    if ipaddress.ip_address(address).is_link_local:
        return None  # a link-local address names no device, and no broker uses one
    done = subprocess.run(
        ["ip", "-json", "route", "get", address], capture_output=True, text=True, check=False
    )
    route = json.loads(done.stdout)[0] if done.returncode == 0 and done.stdout.strip() else {}
    return None if route.get("type") == "local" else route.get("dev")


def merge(faults: Sequence[Asked]) -> dict[str, Asked]:
    """Return the parameters of all faults together by address."""
    by_address: dict[str, list[Asked]] = {}
    for fault in faults:
        for address in fault["peers"]:
            by_address.setdefault(address, []).append(fault)
    return {address: together(asking) for address, asking in by_address.items()}


def together(faults: Sequence[Asked]) -> Asked:
    """Return one set of parameters: delays add up, chances combine, the lowest rate counts."""
    merged: Asked = {}
    for name in SUMS:
        total = sum(float(fault.get(name) or 0) for fault in faults)
        if total:
            merged[name] = total
    for name in PERCENTS:
        spared = 1.0
        for fault in faults:
            spared *= 1 - float(fault.get(name) or 0) / 100
        if spared < 1:
            merged[name] = 100 * (1 - spared)
    rates = [float(fault[RATE]) for fault in faults if fault.get(RATE)]
    return {**merged, RATE: min(rates)} if rates else merged


def leaf(asked: Asked) -> list[str]:
    """Return the queueing discipline for one peer as words of tc."""
    rate = ["rate", f"{asked[RATE]:.10g}kbit"] if RATE in asked else []
    if rate and len(asked) == 1:
        return ["tbf", *rate, "burst", "16kb", "latency", "200ms"]
    return ["netem", "limit", "100000", *delay(asked), *chances(asked), *rate]


def delay(asked: Asked) -> list[str]:
    """Return netem's delay. Reordering needs one: some packets overtake the delayed ones."""
    base, jitter = asked.get("delay-ms", 0.0), asked.get("jitter-ms", 0.0)
    if "reorder-percent" in asked and not base:
        base = 10.0
    return (
        ["delay", f"{base:.10g}ms", *([f"{jitter:.10g}ms"] if jitter else [])]
        if base or jitter
        else []
    )


def chances(asked: Asked) -> list[str]:
    """Return netem's percentages."""
    return [
        word
        for name in PERCENTS
        if name in asked
        for word in (name[: -len("-percent")], f"{asked[name]:.6g}%")
    ]


def render(device: str, peers: dict[str, Asked], *, ours: bool) -> list[str]:
    """Return the lines for ``tc -batch`` that rebuild a device's tree; without peers they remove
    it.
    """
    lines = [f"qdisc del dev {device} root"] if ours else []
    if peers:
        lines.append(f"qdisc replace dev {device} root handle {HANDLE} htb")
    for number, address in enumerate(sorted(peers), 1):
        link = f"{HANDLE}{number:x}"
        version = ipaddress.ip_address(address).version
        match = f"ip6 dst {address}/128" if version == 6 else f"ip dst {address}/32"
        protocol = "ipv6 prio 2" if version == 6 else "ip prio 1"
        lines += [
            f"class add dev {device} parent {HANDLE} classid {link} htb rate 100gbit quantum 60000",
            f"qdisc add dev {device} parent {link} {' '.join(leaf(peers[address]))}",
            f"filter add dev {device} parent {HANDLE} protocol {protocol} u32 match {match} "
            f"flowid {link}",
        ]
    return lines


def tc_json(*words: str) -> list[dict[str, Any]]:
    """Return the JSON output of tc."""
    shown: list[dict[str, Any]] = json.loads(run(["tc", "-json", *words]) or "[]")
    return shown


def run(command: list[str], given: str = "") -> str:
    """Return the output of a command; raise TrafficControlError with the reason of a failure."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=30, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [
            f"{command[0]} ended with status {done.returncode}"
        ]
        why = next((line for line in lines if line.startswith(("Error", "RTNETLINK"))), lines[-1])
        raise TrafficControlError(f"{command[0]}: {why.replace('Error: ', '')}")
    return done.stdout


if __name__ == "__main__":
    main()
