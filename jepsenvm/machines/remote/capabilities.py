"""Report which kinds of fault this host can inject.

Each is tried on objects of its own, which are removed afterwards. Prints {capability: bool} and, to
recognise hosts that share a kernel, "boot-id" and "booted": the time of booting on the wall clock.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from jepsenvm.machines.remote.data_file_system import own_file_system
from jepsenvm.machines.remote.data_mount import mount_again
from jepsenvm.machines.remote.runtime import runtime

LINK, FAR_END = "jepsenvmprobe0", "jepsenvmprobe1"
CHAIN = "JEPSENVMPROBE"
DATABASES = Path("/var/lib/rabbitmq/mnesia")


def main() -> None:
    """Try everything and print what works."""
    print(
        json.dumps(
            {
                "iptables": works("iptables", "-w", "-S"),
                "ip6tables": works("ip6tables", "-w", "-S"),
                "statistic": statistic(),
                "systemd-run": works("systemd-run", "--version"),
                **queueing(),
                "socket-kill": socket_kill(),
                "data-file-system": own_file_system(),
                "data-mount": bool(mount_again()),
                "queue-files": queue_files(),
                "stress-ng": works("stress-ng", "--version"),
                "io-limits": "io" in content("/sys/fs/cgroup/cgroup.controllers").split(),
                "boot-id": content("/proc/sys/kernel/random/boot_id").strip(),
                "booted": booted(),
            }
        )
    )


def queue_files() -> bool:
    """Return whether RabbitMQ's database is where faults look for it, or no RabbitMQ runs yet."""
    return runtime() is None or any(one.is_dir() for one in DATABASES.glob("*"))


def works(*command: str) -> bool:
    """Return whether a command succeeds here."""
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def statistic() -> bool:
    """Return whether packets can be dropped at random. No packet passes the chain of the trial."""
    works("iptables", "-w", "-N", CHAIN)
    able = works(
        *f"iptables -w -A {CHAIN} -m statistic --mode random --probability 0.5 -j DROP".split()
    )
    works("iptables", "-w", "-F", CHAIN)
    works("iptables", "-w", "-X", CHAIN)
    return able


def queueing() -> dict[str, bool]:
    """Return which queueing disciplines work, tried on a link that leads nowhere."""
    works("ip", "link", "del", LINK)  # left by a trial that was killed
    if not works("ip", "link", "add", LINK, "type", "veth", "peer", "name", FAR_END):
        return {"netem": False, "shaping": False}
    try:
        netem = works(*f"tc qdisc add dev {LINK} root netem delay 1ms".split())
        works("tc", "qdisc", "del", "dev", LINK, "root")
        steps = (
            "qdisc add dev {} root handle 7e57: htb",
            "class add dev {} parent 7e57: classid 7e57:1 htb rate 100gbit quantum 60000",
            "qdisc add dev {} parent 7e57:1 tbf rate 1000kbit burst 16kb latency 200ms",
            "filter add dev {} parent 7e57: protocol ip prio 1 u32 "
            "match ip dst 192.0.2.1/32 flowid 7e57:1",
        )
        return {
            "netem": netem,
            "shaping": all(works("tc", *step.format(LINK).split()) for step in steps),
        }
    finally:
        works("ip", "link", "del", LINK)


def socket_kill() -> bool:
    """Return whether ss can close a connection, tried on a connection of this process."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
                works("ss", "--kill", "--tcp", "dst", "127.0.0.1", "dport", "=", f":{port}")
                return ends(client)
    except OSError:
        return False


def ends(client: socket.socket) -> bool:
    """Return whether a connection was closed by another process."""
    client.settimeout(0.5)
    try:
        client.recv(1)
    except socket.timeout:  # noqa: UP041 - the same only since python 3.10
        return False
    except OSError:
        return True
    return True


def booted() -> float:
    """Return the time of booting, as exactly as two clocks can be read one after the other."""
    readings: list[Any] = []
    for _ in range(20):
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        wall = time.time()
        took = time.clock_gettime(time.CLOCK_BOOTTIME) - before
        readings.append((took, wall - before))
    return float(min(readings)[1])


def content(path: str) -> str:
    """Return a file's text; an empty text without such a file."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
