"""The shell scripts of a rolling upgrade: what one node does to upgrade itself, and to finish it.

A transient unit of systemd runs the upgrade, so that a node finishes it even if its controller or
the SSH connection is gone. What the node keeps for that is in a folder that outlives a reboot.
"""

from __future__ import annotations

import shlex
from typing import Final

from jepsenvm.rabbitmq.names import SERVICE, UPGRADE_DIR

UNIT: Final = "jepsenvm-upgrade"

_WAIT_S: Final = 110
"""Seconds that healing waits for an upgrade that still runs; the healing is repeated after that."""

_POLICY: Final = "/usr/sbin/policy-rc.d"
"""The program with which a Debian host forbids packages to start or restart services."""

PHASES: Final = ("drain", "stop", "install", "start", "done")
"""The phases of an upgrade, in order. The file ``phase`` has the present one."""

_PHASE: Final = f"""phase() {{
  printf '%s\\n' "$1" > {UPGRADE_DIR}/phase.new
  mv {UPGRADE_DIR}/phase.new {UPGRADE_DIR}/phase
  sync {UPGRADE_DIR}/phase {UPGRADE_DIR}
}}"""


def apt_install(package: str) -> str:
    """Return the command that installs a package: a path, or ``rabbitmq-server=VERSION``.

    The configuration files of the host are kept, and no other package is removed.
    """
    options = (
        "--yes --quiet --no-install-recommends --no-remove --option=Dpkg::Options::=--force-confdef"
        " --option=Dpkg::Options::=--force-confold --option=DPkg::Lock::Timeout=60"
    )
    return f"apt-get {options} install {shlex.quote(package)}"


def upgrade() -> str:
    """Return the script of the unit. A node that cannot be drained is upgraded nevertheless."""
    return f"""{_PHASE}
phase drain
if timeout 60 rabbitmq-upgrade --quiet drain > {UPGRADE_DIR}/drain.log 2>&1; then
  : > {UPGRADE_DIR}/drained
fi
phase stop
timeout 90 systemctl stop {SERVICE} || systemctl kill --signal=SIGKILL {SERVICE}
systemctl reset-failed {SERVICE} 2>/dev/null
. {UPGRADE_DIR}/install.sh"""


def install(package: str, removed_settings: tuple[str, ...] = ()) -> str:
    """Return the script that installs a package and starts RabbitMQ, whatever apt says.

    ``removed_settings`` are settings of jepsenvm's own configuration with which the new version
    would not start. If the installation fails, the file ``error`` says why.
    """
    removals = "".join(
        f"  sed -i '/^{setting} *=/d' /etc/rabbitmq/rabbitmq.conf\n" for setting in removed_settings
    )
    settings = f"if [ -e /etc/rabbitmq/.jepsenvm ]; then\n{removals}fi\n" if removals else ""
    return f"""{_PHASE}
phase install
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
if [ "${{AGAIN:-}}" ]; then
  timeout 60 dpkg --configure -a > {UPGRADE_DIR}/apt.log 2>&1
fi
if [ ! -e {_POLICY} ]; then
  printf '#!/bin/sh\\n# jepsenvm\\nexit 101\\n' > {_POLICY}
  chmod 0755 {_POLICY}
fi
rm -f {UPGRADE_DIR}/error
if timeout 180 {apt_install(package)} >> {UPGRADE_DIR}/apt.log 2>&1; then
  [ ! -e {UPGRADE_DIR}/record.json ] || cp {UPGRADE_DIR}/record.json {_RECORD}
{settings}else
  {{ grep '^E: ' {UPGRADE_DIR}/apt.log || echo 'apt-get failed'; }} \\
    | tail -n 1 > {UPGRADE_DIR}/error
  timeout 60 dpkg --configure -a >> {UPGRADE_DIR}/apt.log 2>&1
fi
{_ALLOW_SERVICES}
phase start
systemctl daemon-reload
systemctl start --no-block {SERVICE}
phase done"""


def begin(package: str, removed_settings: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return two scripts: the first prepares the upgrade of a node, the second begins it.

    The package must be staged before. Raise nothing: the first script fails without a package.
    """
    ahead = f"""if [ ! -e {UPGRADE_DIR}/staged ]; then
  echo "error: no package was staged on this node" >&2
  exit 1
fi
cat > {UPGRADE_DIR}/upgrade.sh <<'UPGRADE'
{upgrade()}
UPGRADE
cat > {UPGRADE_DIR}/install.sh <<'INSTALL'
{install(package, removed_settings)}
INSTALL"""
    return ahead, f"printf 'drain\\n' > {UPGRADE_DIR}/phase\n{_run('upgrade.sh')}"


def finish(report: str = "") -> str:
    """Return the script that finishes an upgrade from any state, and removes what it kept.

    An upgrade that still runs is waited for. An installation that was cut short, such as by a power
    cut, is repeated. RabbitMQ runs afterwards, with whatever version is installed. ``report`` is a
    line that is printed if there was an upgrade.
    """
    said = f'\n  echo "{report}"' if report else ""
    return f"""ended() {{
  for attempt in $(seq {_WAIT_S}); do
    systemctl is-active --quiet {UNIT} || return 0
    sleep 1
  done
  echo "error: the upgrade of this node still runs" >&2
  return 1
}}
if [ -e {UPGRADE_DIR}/phase ]; then
  ended
  if [ "$(cat {UPGRADE_DIR}/phase)" = install ]; then
    {_run("install.sh", again=True)}
    ended
  fi
  if [ "$(cat {UPGRADE_DIR}/phase)" = drain ] && systemctl is-active --quiet {SERVICE}; then
    timeout 90 rabbitmq-upgrade --quiet revive
  fi
  {_ALLOW_SERVICES}
  systemctl start --no-block {SERVICE}{said}
fi
{discard()}"""


def discard() -> str:
    """Return the script that removes a staged package, and everything else of an upgrade."""
    return f"rm -rf {UPGRADE_DIR}\nrmdir {_FOLDER} 2>/dev/null || true"


def _run(script: str, *, again: bool = False) -> str:
    environment = " --setenv=AGAIN=yes" if again else ""
    return (
        f"systemd-run --quiet --collect --unit={UNIT} --description='jepsenvm upgrades RabbitMQ'"
        f"{environment} /bin/sh {UPGRADE_DIR}/{script}"
    )


_FOLDER: Final = UPGRADE_DIR.rpartition("/")[0]

_RECORD: Final = f"{_FOLDER}/rabbitmq.json"
"""The deployment's record of what is installed, which the next deployment compares."""

_ALLOW_SERVICES: Final = f"if grep -qs '^# jepsenvm$' {_POLICY}; then rm -f {_POLICY}; fi"
