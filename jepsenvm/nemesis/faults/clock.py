"""Clock: a node's wall clock moves once, or back and forth.

Hosts that share a kernel share its clock, so this fault needs virtual machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from jepsenvm.machines.action import STATE_DIR, Action, shell
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage

_MOVED: Final = f"{STATE_DIR}/clock"
_STOPPED: Final = f"{_MOVED}-sync"
"""The file that lists the time services that the fault stopped."""
_UNIT: Final = "jepsenvm-strobe"
_TIME_SERVICES: Final = "systemd-timesyncd chrony chronyd ntp ntpsec openntpd"
"""The services that would correct the clock during a fault."""

# No fault moves the monotonic clock, so the saved difference restores the wall clock.
_SAVE: Final = f"""mkdir -p {STATE_DIR}
for unit in {_TIME_SERVICES}; do
  if systemctl is-active --quiet $unit; then
    systemctl stop $unit && echo $unit >> {_STOPPED}
  fi
done
[ -e {_MOVED} ] || python3 -c 'import time; print(time.time() - time.monotonic())' > {_MOVED}"""

_RESTORE: Final = f"""systemctl stop {_UNIT} 2>/dev/null || true
python3 -c 'import sys, time
time.clock_settime(time.CLOCK_REALTIME, float(sys.argv[1]) + time.monotonic())' "$(cat {_MOVED})"
rm -f {_MOVED}
if [ -e {_STOPPED} ]; then
  while read -r unit; do systemctl start "$unit"; done < {_STOPPED}
  rm -f {_STOPPED}
fi"""


class Clock(NodeFault):
    """Move the wall clock by `seconds`: once (way `bump`), or back and forth (way `strobe`)."""

    kind = "clock"
    stops_load = "never"
    settles_s = 5.0
    sweep = f"""if [ -e {_MOVED} ]; then
{_RESTORE}
echo "restored the clock"
fi"""

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that bump and strobe the clock."""
        return {
            "clock-bump": NemesisSpec(
                about="moves the clock by `seconds`; by a random 1 to 300 s forwards or backwards"
                " if 0",
                draw=cls.bump,
                takes="nodes",
                settings={"seconds": 0},
            ),
            "clock-strobe": NemesisSpec(
                about="moves the clock by `seconds` and back, one move every `every-ms`",
                draw=partial(cls.on_victims, way="strobe"),
                takes="nodes",
                settings={"seconds": 5, "every-ms": 200},
            ),
        }

    @classmethod
    def bump(cls, request: FaultRequest) -> tuple[Stage, ...]:
        """Draw a bump by the given seconds, or by 1 to 300 s in a random direction."""
        seconds = request.settings["seconds"] or (
            request.random.choice((-1, 1)) * request.random.randint(1, 300)
        )
        return cls.on_victims(replace(request, settings={"seconds": seconds}), way="bump")

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Stop the time services and save the clock, then move it."""
        move = "time.clock_settime(time.CLOCK_REALTIME, time.time() + {})"
        if self.settings["way"] == "bump":
            return [shell(f"python3 -c 'import time; {move.format(self._seconds)}'", ahead=_SAVE)]
        pause = f"time.sleep({float(self.settings['every-ms']) / 1000})"
        loop = (
            "import time\nwhile True:\n"
            f" {move.format(self._seconds)}; {pause}\n"
            f" {move.format(-self._seconds)}; {pause}"
        )
        run = f"systemd-run --quiet --collect --unit={_UNIT} python3 -c '{loop}'"
        return [shell(run, ahead=_SAVE)]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Restore the clock and start the time services."""
        return [shell(f"if [ -e {_MOVED} ]; then\n{_RESTORE}\nfi")]

    def probes(self) -> tuple[str, ...]:
        """Return the probe that reads the clocks."""
        return ("clocks",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node whose clock moved by less than half of `seconds`."""
        for node in self.nodes:
            moved_s = _moved_s(before, during, node)
            if moved_s is None:
                yield f"the clock of {node} could not be read"
            elif moved_s < abs(self._seconds) / 2:
                yield f"the clock of {node} has not moved"

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node whose clock is more than a second off its time before the fault."""
        for node in self.nodes:
            moved_s = _moved_s(before, after, node)
            if moved_s is None:
                yield f"the clock of {node} could not be read"
            elif moved_s > 1:
                yield f"the clock of {node} is still {moved_s:.1f} s off"

    def requirements(self) -> tuple[str, ...]:
        """Return a clock that no other host shares."""
        return ("own-clock",)

    @property
    def _seconds(self) -> float:
        return float(self.settings["seconds"])


def _moved_s(before: Evidence, now: Evidence, node: str) -> float | None:
    """Return the largest move of a node's clock against the controller's, in seconds.

    Each probe reads the clock several times, so that it catches a strobing clock at both ends.
    """
    earlier: Sequence[float] | None = before["clocks"].get(node)
    readings: Sequence[float] | None = now["clocks"].get(node)
    if not earlier or not readings:
        return None
    return max(abs(reading - earlier[0]) for reading in readings)
