"""The dead man's timer: each node heals itself when its controller has gone silent."""

from __future__ import annotations

import shlex
from typing import Final

UNIT: Final = "jepsenvm-heal"


def arm(seconds: float, heal: str) -> str:
    """Return the script that arms (or renews) a timer which runs the healing script after so many seconds.

    The new timer is armed before the old ones are stopped, so that there is no moment without one.
    """
    return f"""new={UNIT}-$(date +%s%N)
systemd-run --quiet --collect --unit="$new" --on-active={seconds:.0f}s \
--timer-property=AccuracySec=1s /bin/sh -c {shlex.quote(heal)}
{_stop_others('"$new.timer"')}"""


def disarm() -> str:
    """Return the script that stops every timer of ours."""
    return _stop_others("none")


def _stop_others(kept: str) -> str:
    return f"""for timer in $(systemctl list-units --all --plain --no-legend '{UNIT}-*.timer' | cut -d' ' -f1); do
  [ "$timer" = {kept} ] || systemctl stop "$timer"
done"""
