"""One running host: a systemd-nspawn container that is started, found, and killed like by a power
cut.

No state is stored about a running container. Its supervisor is the systemd-nspawn process with the
host's name and folder on its command line. Its other processes have the host's root directory or
network namespace. A container that a crash has left is therefore found in the same way as any
other. Its processes must be killed too, because they outlive a supervisor that gets SIGKILL.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from jepsenvm import steps
from jepsenvm.errors import CommandError, RunError
from jepsenvm.machines.lab import cgroups, data_disk
from jepsenvm.machines.lab.command import last_line, run
from jepsenvm.machines.lab.mounts import mounts_under, remove_tree
from jepsenvm.machines.lab.topology import NAMESPACES, LabHost
from jepsenvm.machines.remote.shut_down import shut_down

logger = logging.getLogger(__name__)

BOOT_PATIENCE = 90.0

_FRESH_NETWORK = """[Unit]
Description=Forget packet filter rules and traffic control, as a machine does that restarts
DefaultDependencies=no
Before=sysinit.target network-pre.target

[Service]
Type=oneshot
ExecStart=-/bin/sh -c 'for filter in iptables ip6tables; do $filter -w -F; $filter -w -X; done'
ExecStart=-/bin/sh -c 'for place in root ingress; do tc qdisc del dev eth0 $place; done'
"""
"""A unit of each host. Its network namespace outlives a power cut, and with it the rules of faults.
A host with rules, but without its healing timer, would keep them for ever."""


def prepare(host: LabHost) -> None:
    """Create a host's folders, its disk, and the files with its name and addresses."""
    for folder in (host.upper / "etc", host.work, host.root):
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    host.folder.chmod(0o700)
    # Its own name must resolve before Ansible writes /etc/hosts, because sudo looks it up.
    (host.upper / "etc/hosts").write_text(
        f"127.0.0.1 localhost\n::1 localhost\n{host.address} {host.name}\n"
    )
    (host.upper / "etc/hostname").write_text(f"{host.name}\n")
    (host.upper / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    _add_unit(host, "jepsenvm-fresh-network.service", _FRESH_NETWORK)
    data_disk.create(host)


def _add_unit(host: LabHost, name: str, text: str) -> None:
    """Let a host run a unit at the beginning of each boot."""
    units = host.upper / "etc/systemd/system"
    wanted = units / "sysinit.target.wants"
    wanted.mkdir(parents=True, exist_ok=True, mode=0o755)
    (units / name).write_text(text)
    (wanted / name).unlink(missing_ok=True)
    (wanted / name).symlink_to(f"../{name}")


def start(host: LabHost, base: Path) -> None:
    """Start a host on the base and its own overlay, without waiting for it to boot."""
    cut(host)  # processes that outlived a killed supervisor still use its disk
    if not mounts_under(host.root):
        layers = f"lowerdir={base},upperdir={host.upper},workdir={host.work}"
        run(["mount", "-t", "overlay", "-o", layers, host.machine, str(host.root)])
    with host.console.open("ab") as console:
        status = subprocess.run(
            cgroups.enclosed(host, data_disk.mounted(host, nspawn_argv(host))),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            check=False,
        ).returncode
    if status != 0:
        raise CommandError(
            last_words(host), node=host.name, command="systemd-nspawn", status=status
        )


def nspawn_argv(host: LabHost) -> list[str]:
    """Return the command line of the container. The container is found by it later."""
    return [
        "systemd-nspawn",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        f"--directory={host.root}",
        f"--machine={host.machine}",
        f"--hostname={host.name}",
        f"--network-namespace-path={NAMESPACES / host.machine}",
        # Debian's default for a booted machine. A broker with many clients needs it.
        "--rlimit=RLIMIT_NOFILE=1024:524288",
        # iptables and tc need both.
        "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
        *data_disk.nspawn_options(host),
    ]


def supervisor(host: LabHost) -> int | None:
    """Return the process id of a host's systemd-nspawn; None if the host is off."""
    return next((pid for pid in _processes() if _is_supervisor(pid, host)), None)


def cut(host: LabHost) -> None:
    """Kill every process of a host at once, like a power cut. Its files stay."""
    _kill_all(host)
    _clear(host)


def cut_unsynced(host: LabHost) -> None:
    """Kill every process of a host at once; its RabbitMQ loses what it had not synced."""
    pid = supervisor(host)
    if pid is None:
        raise RunError("it is off", node=host.name, remedy=f"run `{host.lab.command('up')}`")
    with data_disk.opened(host, pid) as disk:
        _kill_all(host)
        shut_down(disk)
    _clear(host)


def _kill_all(host: LabHost, patience: float = 15) -> None:
    root, network = _identity(host.root), _identity(NAMESPACES / host.machine)

    def belongs(pid: int) -> bool:
        return (
            _runs(pid, host)
            or (root is not None and _identity(Path(f"/proc/{pid}/root")) == root)
            or (network is not None and _identity(Path(f"/proc/{pid}/ns/net")) == network)
        )

    deadline = time.monotonic() + patience
    while left := [pid for pid in _processes() if belongs(pid)]:
        if time.monotonic() > deadline:
            raise RunError(
                f"process {left[0]} survives SIGKILL", node=host.name, remedy="restart this machine"
            )
        for pid in left:
            _kill(pid, belongs)
        time.sleep(0.02)


def _clear(host: LabHost) -> None:
    """Remove what a host has left whose processes were killed."""
    cgroups.remove(host)
    _forget(host, _identity(host.root))
    data_disk.wait_until_unmounted(host)


def answers_ssh(host: LabHost, timeout: float = 1) -> bool:
    """Return whether the host's sshd answers."""
    try:
        with socket.create_connection((host.address, 22), timeout=timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def wait_until_ready(hosts: list[LabHost], patience: float = BOOT_PATIENCE) -> None:
    """Wait until every host's sshd answers; raise an error with the console of a failed host."""
    started = last_said = time.monotonic()
    waiting = list(hosts)
    while waiting := [host for host in waiting if not answers_ssh(host)]:
        now = time.monotonic()
        for host in waiting:
            if now - started > patience:
                raise _not_ready(host, f"no answer from sshd {patience:.0f} s after power-on")
            if now - started > 3 and supervisor(host) is None:
                raise _not_ready(host, "it went off while it booted")
        steps.report("waiting for hosts to boot", len(hosts) - len(waiting), len(hosts))
        if now - last_said > 5:
            last_said = now
            logger.info(
                f"waiting for {', '.join(h.name for h in waiting)} to boot ... "
                f"{now - started:.0f} s",
                extra=steps.MOVING,
            )
        time.sleep(0.1)


def last_words(host: LabHost) -> str:
    """Return the last line on a host's console."""
    return (
        last_line(host.console.read_text(errors="replace"))
        if host.console.exists()
        else "its console is empty"
    )


def _not_ready(host: LabHost, what: str) -> RunError:
    return RunError(
        f"{what}; its console ({host.console}) ends with: {last_words(host)}",
        node=host.name,
        remedy=f"run `{host.lab.command('down')}` and try again",
    )


def _processes() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208 - half the cost


def _is_supervisor(pid: int, host: LabHost) -> bool:
    return _runs(pid, host) and Path(os.fsdecode(_argv(pid)[0])).name == "systemd-nspawn"


def _runs(pid: int, host: LabHost) -> bool:
    """Return whether a process is a host's systemd-nspawn, or is about to become it."""
    ours = {f"--directory={host.root}".encode(), f"--machine={host.machine}".encode()}
    return ours <= set(_argv(pid))


def _argv(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _forget(host: LabHost, root: tuple[int, int] | None) -> None:
    # systemd-nspawn removes these when it ends by itself. Newer versions have the sockets' folder.
    traces = Path("/run/systemd/nspawn")
    if root:
        (traces / "locks" / f"inode-{root[0]}:{root[1]}").unlink(missing_ok=True)
    for folder in (traces / "propagate" / host.machine, traces / "unix-export" / host.machine):
        remove_tree(folder)


def _kill(pid: int, belongs: Callable[[int], bool]) -> None:
    # The descriptor refers to this very process, so a reused process id is never killed.
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if belongs(pid):
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(process)
