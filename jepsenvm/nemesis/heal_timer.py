"""The dead man's timer: each node heals itself when its controller has gone silent."""

from __future__ import annotations

from typing import Final

from jepsenvm.machines.action import STATE_DIR

UNIT: Final = "jepsenvm-heal"

_SCRIPT: Final = f"{STATE_DIR}/heal.sh"


def arm(seconds: float, heal: str) -> str:
    """Return the script that arms (or renews) a timer which runs the healing script after so many seconds.

    What cannot be healed yet, such as a broker that waits for another, is tried again until it can. The new timer is
    armed before the old ones are stopped, so that there is no moment without one.
    """
    # The script in a file and a description of its own: by default the command is the description, and one of several
    # lines makes a unit that systemd cannot read again; after a daemon-reload (ours or anybody's) it would never fire.
    return f"""mkdir -p {STATE_DIR}
cat > {_SCRIPT}.new <<'HEAL'
{heal} && rm -f {_SCRIPT}
HEAL
mv {_SCRIPT}.new {_SCRIPT}
new={UNIT}-$(date +%s%N)
systemd-run --quiet --collect --unit="$new" --description='jepsenvm heals this node' --on-active={seconds:.0f}s \
--timer-property=AccuracySec=1s --property=Restart=on-failure --property=RestartSec=5 /bin/sh {_SCRIPT}
{_stop_others('"$new.timer"')}"""


def disarm() -> str:
    """Return the script that stops every timer of ours, and a healing that is being tried again."""
    return f"{_stop_others('none')}\nsystemctl stop '{UNIT}-*.service' 2>/dev/null || true\nrm -f {_SCRIPT}"


def _stop_others(kept: str) -> str:
    return f"""for timer in $(systemctl list-units --all --plain --no-legend '{UNIT}-*.timer' | cut -d' ' -f1); do
  [ "$timer" = {kept} ] || systemctl stop "$timer"
done"""
