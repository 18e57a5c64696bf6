"""The base image of a suite: a small Linux with RabbitMQ's packages downloaded, not installed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jepsenvm import steps
from jepsenvm.errors import RunError, UsageError
from jepsenvm.machines.lab import locks
from jepsenvm.machines.lab.command import last_line
from jepsenvm.machines.lab.mounts import remove_tree
from jepsenvm.machines.lab.registry import lab_names
from jepsenvm.machines.lab.suites import distribution_of, mirror_for
from jepsenvm.machines.lab.topology import CACHE, USER, USER_ID

logger = logging.getLogger(__name__)

RECIPE_VERSION = 1

PACKAGES = (
    "systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,iptables,iproute2,sudo,"
    "ca-certificates,procps,stress-ng"
)

# Ansible installs these on each host from the host's apt cache.
DOWNLOADED = ("rabbitmq-server",)

# Units that only cost time in a container, and timers that would hold apt's lock.
MASKED = (
    "apt-daily.service apt-daily.timer apt-daily-upgrade.service apt-daily-upgrade.timer "
    "dpkg-db-backup.timer "
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer motd-news.timer getty.target "
    "console-getty.service "
    "systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket "
    "systemd-resolved.service"
)

# Shell lines that mmdebstrap runs. $1 is the new root.
HOOKS = (
    f'chroot "$1" useradd --create-home --shell /bin/bash --uid {USER_ID} --user-group {USER}',
    f'echo "{USER} ALL=(ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/{USER}"',
    f'chmod 0440 "$1/etc/sudoers.d/{USER}"',
    f'chroot "$1" systemctl mask {MASKED}',
    # While a host boots, only root could log in, although sshd already answers.
    'ln -s /dev/null "$1/etc/tmpfiles.d/systemd-nologin.conf"',
    # Each host gets its own key.
    'rm -f "$1"/etc/ssh/ssh_host_*',
    r"""printf 'UseDNS no\nPasswordAuthentication no\nMaxStartups 200\nMaxSessions 100\n' """
    """> "$1/etc/ssh/sshd_config.d/jepsenvm.conf\"""",
    'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get clean',
    'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get install --yes --download-only '
    + " ".join(DOWNLOADED),
)

CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""Runs a command in namespaces that end with this process."""

PATIENCE = 15 * 60

KEYRINGS = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}

UNTRUSTED = (
    "NO_PUBKEY",
    "EXPKEYSIG",
    "KEYEXPIRED",
    "REVKEYSIG",
    "GPG error",
    "is not signed",
    "signatures were invalid",
)


def base_path(suite: str) -> Path:
    """Return the folder of the base of a suite, built by this recipe."""
    recipe = json.dumps([RECIPE_VERSION, PACKAGES, HOOKS])
    return CACHE / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


@contextmanager
def ensured_base(suite: str) -> Iterator[Path]:
    """Yield the folder of a suite's base; build it first if it is missing.

    No other process builds or removes a base of the suite until the context is left. After that,
    the base stays while a lab exists.
    """
    with locks.building(suite):
        base = base_path(suite)
        if not base.is_dir():
            _build(suite, base)
            _remove_old(suite, base)
        yield base


def _remove_old(suite: str, base: Path) -> None:
    """Remove a suite's other bases, unless there is a lab, whose hosts may run on one of them."""
    for old in CACHE.glob(f"{suite}-*") if not lab_names() else ():
        if old != base:
            remove_tree(old)


def discard_half_built() -> None:
    """Remove what killed builds have left in the cache. A build in progress goes on."""
    for half in CACHE.glob("building-*"):
        with locks.building_if_free(half.name.split("-")[1]) as is_free:
            if is_free:
                remove_tree(half)


def build_argv(suite: str, root: Path, mirror: str | None) -> list[str]:
    """Return the command that builds a base, in namespaces that end with this process."""
    argv = [
        *CONTAINED,
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={PACKAGES}",
    ]
    # The Release file of an old suite has expired, but its signature is still valid.
    argv += ['--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=force-unsafe-io"]
    argv += [f"--customize-hook={hook}" for hook in HOOKS]
    argv += ["--skip=cleanup/apt/lists,cleanup/apt/cache", suite, str(root)]
    return [*argv, mirror] if mirror else argv


def _build(suite: str, base: Path) -> None:
    for killed in CACHE.glob(f"building-{suite}-*"):
        remove_tree(killed)
    half = CACHE / f"building-{base.name}"
    half.mkdir()
    log = CACHE / f"{suite}.build.log"
    argv = build_argv(suite, half / "root", mirror_for(suite))
    try:
        with log.open("wb") as output:
            status = _watch(argv, output.fileno(), f"building the {suite} base")
        if status != 0:
            raise build_error(suite, log.read_text(errors="replace"), log, status)
        # mmdebstrap makes the folder readable by root only. A host's users must be able to read it.
        (half / "root").chmod(0o755)
        (half / "root").rename(base)
    finally:
        remove_tree(half)


def _watch(argv: list[str], output: int, what: str) -> int:
    started = time.monotonic()
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
    ) as build:
        try:
            logger.info(f"{what} ...")
            steps.report(what)
            while (spent := time.monotonic() - started) < PATIENCE:
                try:
                    return build.wait(timeout=5)
                except subprocess.TimeoutExpired:
                    logger.info(f"{what} ... {spent + 5:.0f} s", extra=steps.MOVING)
        finally:
            build.kill()
    raise RunError(
        f"{what} has not ended after {PATIENCE} s", remedy="is the package mirror reachable?"
    )


def build_error(suite: str, output: str, log: Path, status: int) -> RunError | UsageError:
    """Return in one line why a build failed, from its output."""
    if any(sign in output for sign in UNTRUSTED):
        return UsageError(
            f"this machine's keyring cannot verify the packages of {suite} (see {log})",
            remedy=f"install a newer {KEYRINGS[distribution_of(suite)]}, or choose an older suite",
        )
    # mmdebstrap's last error only says that apt failed. apt's first error says why.
    errors = [line for line in output.splitlines() if line.startswith("E:")]
    reason = errors[0] if errors else last_line(output)
    return RunError(
        f"building the {suite} base failed: {reason}",
        command="mmdebstrap",
        status=status,
        remedy=f"see {log}; is the package mirror reachable?",
    )
