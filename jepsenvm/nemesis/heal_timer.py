"""The healing timer of a node, as shell scripts; systemd runs the healing when it expires."""

from __future__ import annotations

from typing import Final

from jepsenvm.machines.action import STATE_DIR

UNIT: Final = "jepsenvm-heal"

_SCRIPT: Final = f"{STATE_DIR}/heal.sh"


def arm(seconds: float, heal: str) -> str:
    """Return the shell script that arms or renews the timer; ``heal`` is the healing script.

    A healing that fails is retried until it succeeds: a broker may be waiting for another one. The
    new timer starts before the old ones are stopped, so that one is always armed.
    """
    # The healing script is a file, and the unit has a description. By default systemd describes a
    # unit by its command. With a command of several lines it cannot read the unit again after a
    # daemon-reload, and the timer would never fire.
    return f"""mkdir -p {STATE_DIR}
cat > {_SCRIPT}.new <<'HEAL'
{heal} && rm -f {_SCRIPT}
HEAL
mv {_SCRIPT}.new {_SCRIPT}
new={UNIT}-$(date +%s%N)
systemd-run --quiet --collect --unit="$new" --description='jepsenvm heals this node' \
--on-active={seconds:.0f}s --timer-property=AccuracySec=1s \
--property=Restart=on-failure --property=RestartSec=5 /bin/sh {_SCRIPT}
{_stop_all_but('"$new.timer"')}"""


def disarm() -> str:
    """Return the shell script that stops every timer, and a healing that is being retried."""
    return f"""{_stop_all_but("none")}
systemctl stop '{UNIT}-*.service' 2>/dev/null || true
rm -f {_SCRIPT}"""


def _stop_all_but(kept: str) -> str:
    timers = f"systemctl list-units --all --plain --no-legend '{UNIT}-*.timer' | cut -d' ' -f1"
    return f"""for timer in $({timers}); do
  [ "$timer" = {kept} ] || systemctl stop "$timer"
done"""
