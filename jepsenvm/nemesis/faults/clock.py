"""Clock: a node's wall clock is bumped once, or strobes to and fro; not where hosts share a kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.machines.action import STATE_DIR, Action, shell
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind

_MOVED: Final = f"{STATE_DIR}/clock"
_UNIT: Final = "jepsenvm-strobe"
_SYNCHRONISERS: Final = "systemd-timesyncd chrony chronyd ntp ntpsec openntpd"
"""The services that would put a clock right while a fault moves it."""

# The monotonic clock goes on: what the wall clock was ahead of it is all that must be kept to put it back.
_KEEP: Final = f"""mkdir -p {STATE_DIR}
for unit in {_SYNCHRONISERS}; do
  if systemctl is-active --quiet $unit; then systemctl stop $unit && echo $unit >> {_MOVED}-sync; fi
done
[ -e {_MOVED} ] || python3 -c 'import time; print(time.time() - time.monotonic())' > {_MOVED}"""

_RESET: Final = f"""systemctl stop {_UNIT} 2>/dev/null || true
python3 -c 'import sys, time; time.clock_settime(time.CLOCK_REALTIME, float(sys.argv[1]) + time.monotonic())' \
"$(cat {_MOVED})"
rm -f {_MOVED}
if [ -e {_MOVED}-sync ]; then
  while read -r unit; do systemctl start "$unit"; done < {_MOVED}-sync
  rm -f {_MOVED}-sync
fi"""


def inject(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Bump the clock by ``seconds``, or bump it to and fro every ``every-ms``."""
    if node not in fault.nodes:
        return []
    seconds = float(fault.settings["seconds"])
    bump = "time.clock_settime(time.CLOCK_REALTIME, time.time() + {})"
    if fault.settings["way"] == "bump":
        return [shell(f"python3 -c 'import time; {bump.format(seconds)}'", ahead=_KEEP)]
    pause = f"time.sleep({float(fault.settings['every-ms']) / 1000})"
    loop = f"import time\nwhile True:\n {bump.format(seconds)}; {pause}\n {bump.format(-seconds)}; {pause}"
    return [shell(f"systemd-run --quiet --collect --unit={_UNIT} python3 -c '{loop}'", ahead=_KEEP)]


def heal(fault: Fault, _: str, node: str, __: Hosts) -> Sequence[Action]:
    """Put the clock back, and let it be synchronised again."""
    return [shell(f"if [ -e {_MOVED} ]; then\n{_RESET}\nfi")] if node in fault.nodes else []


def doubts(fault: Fault, before: Evidence, during: Evidence, _: ConcurrentFaults) -> Iterator[str]:
    """Yield the nodes whose clock differs from ours no more than before; a strobing one is seen at either end."""
    for node in fault.nodes:
        moved = _moved(before, during, node)
        if moved is None:
            yield f"{node}'s clock could not be read"
        elif moved < abs(float(fault.settings["seconds"])) / 2:
            yield f"{node}'s clock has not moved"


def leftovers(
    fault: Fault, before: Evidence, after: Evidence, _: ConcurrentFaults
) -> Iterator[str]:
    """Yield the nodes whose clock is a second or more from where it was."""
    for node in fault.nodes:
        moved = _moved(before, after, node)
        if moved is None or moved > 1:
            yield f"{node}'s clock is not back"


def _moved(before: Evidence, now: Evidence, node: str) -> float | None:
    """Return how many seconds a node's clock has moved against ours, at most; several readings were taken."""
    earlier, later = before["clocks"].get(node), now["clocks"].get(node)
    return max(abs(one - earlier[0]) for one in later) if earlier and later else None


SWEEP: Final = f"""if [ -e {_MOVED} ]; then
{_RESET}
echo "put the clock back"
fi"""

KIND = Kind(
    inject,
    heal,
    lambda _: ("clocks",),
    doubts,
    leftovers,
    sweep=SWEEP,
    needs=lambda _: ("own-clock",),
    settles_s=5.0,
)
