"""The lab's hosts, seen past jepsenvm: what a fault left on them, and freezing one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from jepsenvm.machines.lab.cgroups import hierarchies
from tests.lab.conftest import on, until

NODES: Final = ("n1", "n2", "n3", "n4", "n5")
USERS_RULE: Final = "INPUT -p tcp --dport 7 -j DROP"
"""A rule of the user's own. It must outlive everything."""
_USERS_UNIT: Final = "users-rule.service"
"""Adds the rule at each boot, as an administrator's tools do."""

_CONTINUED_WITHIN_S: Final = 20.0

_LEFT_BY_FAULTS: Final = (
    "iptables -w -S | grep JEPSENVM; ip6tables -w -S | grep JEPSENVM;"
    " ls -A /run/jepsenvm/faults 2>/dev/null; tc qdisc show | grep 7e57;"
    " ls /var/lib/rabbitmq/jepsenvm-ballast 2>/dev/null;"
    " ps -eo state=,comm= | grep ^T; true"
)


def left_by_faults(nodes: Sequence[str] = NODES) -> list[str]:
    """Return what faults left on nodes, with a line for each node that does not answer."""
    lines = []
    for node in nodes:
        try:
            lines += [f"{node}: {line}" for line in on(node, _LEFT_BY_FAULTS).splitlines()]
        except Exception as error:
            lines.append(f"{node}: {type(error).__name__}")
    return lines


def seconds_until_healed(longest: float) -> float | None:
    """Wait until no node has anything left of a fault; return the seconds, None if never."""
    began = time.monotonic()
    return time.monotonic() - began if until(lambda: not left_by_faults(), longest) else None


@contextmanager
def users_rule() -> Iterator[None]:
    """Keep the user's rule on every node while the context is open, also when a node restarts."""
    file = f"/etc/systemd/system/{_USERS_UNIT}"
    text = (
        rf"[Service]\nType=oneshot\nExecStart=/usr/sbin/iptables -w -A {USERS_RULE}\n"
        r"[Install]\nWantedBy=multi-user.target\n"
    )
    for node in NODES:
        on(node, f'printf "{text}" > {file}; systemctl enable --quiet --now {_USERS_UNIT}')
    try:
        yield
    finally:
        for node in NODES:
            on(node, f"systemctl disable --quiet {_USERS_UNIT}; rm -f {file}", check=False)
            on(node, f"iptables -w -D {USERS_RULE}", check=False)


def nodes_without_users_rule() -> list[str]:
    """Return the nodes on which the user's rule is gone."""
    return [
        node for node in NODES if "gone" in on(node, f"iptables -w -C {USERS_RULE} || echo gone")
    ]


@contextmanager
def frozen(node: str) -> Iterator[None]:
    """Stop every process of a host while the context is open. Its connections stay open."""
    try:
        # Twice, because a process may start another between the look and the signal.
        for _ in range(2):
            _signal(_processes(node), signal.SIGSTOP)
        yield
    finally:
        # su stops itself when it sees that its child was stopped, also after it was continued.
        until(lambda: not _continue(node), _CONTINUED_WITHIN_S)


def _continue(node: str) -> list[int]:
    """Continue the stopped processes of a host; return them."""
    stopped = [pid for pid in _processes(node) if _is_stopped(pid)]
    _signal(stopped, signal.SIGCONT)
    return stopped


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")
    except FileNotFoundError:
        return False


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _processes(node: str) -> list[int]:
    pids: set[int] = set()
    for root in hierarchies(Path("/proc/self/mountinfo").read_text()):
        for folder in (*root.glob(f"**/jepsenvm-{node}*"), *root.glob(f"**/{node}")):
            for file in folder.glob("**/cgroup.procs"):
                pids |= {int(pid) for pid in file.read_text().split()}
    if not pids:
        raise RuntimeError(f"{node}: no cgroup with processes")
    return sorted(pids)
