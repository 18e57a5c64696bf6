"""Stress: stress-ng takes CPU time or memory from RabbitMQ, in a systemd unit of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from jepsenvm.machines.action import Action, shell
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import UNMEASURED, Evidence, Hosts
from jepsenvm.nemesis.node_fault import NodeFault
from jepsenvm.nemesis.request import NemesisSpec

_UNIT: Final = "jepsenvm-stress"

_WORKERS: Final = "workers"
_PERCENT: Final = "memory-percent"
_MBYTE: Final = "memory-mbyte"

_MOST_PERCENT: Final = 90
"""The most that stress-ng may take. A host without free memory kills other processes as well."""

_LEAST_CPU_SHARE: Final = 0.05
"""The least CPU time of a stressed CPU, in seconds per second. Other processes may want all."""


class Stress(NodeFault):
    """Run stress-ng.

    It is in no mix, because not every host has stress-ng.
    """

    kind = "stress"
    stops_load = "never"
    settles_s = 20.0
    sweep = f"""list='systemctl list-units --all --plain --no-legend'
for unit in $($list '{_UNIT}-*.service' | cut -d' ' -f1); do
  systemctl stop "$unit"
  echo "stopped $unit"
done"""

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return the nemeses that stress the CPU and the memory."""
        return {
            "stress-cpu": NemesisSpec(
                about="keeps `workers` processes of stress-ng busy",
                draw=partial(cls.on_victims, way="cpu"),
                takes="nodes",
                settings={_WORKERS: 1},
                bounds={_WORKERS: (1, 1024)},
            ),
            "stress-memory": NemesisSpec(
                about="lets stress-ng hold `memory-mbyte`, or `memory-percent` of the available"
                " memory if that is 0",
                draw=partial(cls.on_victims, way="memory"),
                takes="nodes",
                settings={_PERCENT: 10, _MBYTE: 0},
                bounds={_PERCENT: (1, _MOST_PERCENT), _MBYTE: (0, 1_000_000)},
            ),
        }

    def inject_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Start the unit. The out-of-memory killer prefers its processes to RabbitMQ's."""
        start = (
            f"systemd-run --quiet --collect --unit={self._unit(fault_id)}"
            " --property=OOMScoreAdjust=1000 stress-ng --quiet --timeout 0"
        )
        if self._way == "cpu":
            return [shell(f"{start} --cpu {self._setting(_WORKERS):.0f}")]
        # The worker fills the memory once and then sleeps, so that it takes no CPU time.
        keep = f"{start} --vm 1 --vm-keep --vm-populate --vm-hang 0 --vm-bytes"
        return [shell(f"{keep} ${{wanted}}k", ahead=self._measure_memory())]

    def heal_node(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Stop the unit, if it runs."""
        return [shell(f"systemctl stop {self._unit(fault_id)} 2>/dev/null || true")]

    def probes(self) -> tuple[str, ...]:
        """Return the probe of the processes of stress-ng."""
        return ("stress",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which stress-ng takes too little, or ran before the fault."""
        for node in self.nodes:
            earlier, now = before["stress"].get(node), during["stress"].get(node)
            if earlier is None or now is None:
                yield f"the processes of stress-ng on {node} were {UNMEASURED}"
            elif earlier[self._way]["processes"]:
                yield f"stress-ng ran on {node} before the fault"
            elif not now[self._way]["processes"]:
                yield f"stress-ng does not run on {node}"
            else:
                yield from self._too_little(node, earlier, now[self._way])

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each node on which stress-ng still runs."""
        for node in self.nodes:
            now = after["stress"].get(node)
            if now is None:
                yield f"the processes of stress-ng on {node} were {UNMEASURED}"
            elif now[self._way]["processes"]:
                yield f"stress-ng still runs on {node}"

    def requirements(self) -> tuple[str, ...]:
        """Return systemd-run and stress-ng."""
        return ("systemd-run", "stress-ng")

    def _measure_memory(self) -> str:
        """Return the script that sets the wanted kilobytes, or fails if that leaves too little."""
        percent, mbyte = self._setting(_PERCENT), self._setting(_MBYTE)
        wanted = (
            f"{mbyte * 1e6 / 1024:.0f}"
            if mbyte
            else f"$((available * {percent * 100:.0f} / 10000))"
        )
        return f"""available=$(awk '/^MemAvailable:/ {{ print $2 }}' /proc/meminfo)
wanted={wanted}
[ $wanted -le $((available * {_MOST_PERCENT} / 100)) ] || {{
  echo "$wanted kB are more than {_MOST_PERCENT}% of the $available kB of memory available" >&2
  exit 1
}}"""

    def _too_little(
        self, node: str, earlier: Mapping[str, Any], now: Mapping[str, Any]
    ) -> Iterator[str]:
        if self._way == "cpu":
            if now["cpu-share"] < _LEAST_CPU_SHARE:
                yield f"stress-ng on {node} takes {now['cpu-share']:.2f} s of CPU time per second"
            return
        share = earlier["available-mbyte"] * self._setting(_PERCENT) / 100
        wanted = self._setting(_MBYTE) or share
        if now["resident-mbyte"] < wanted / 2:
            yield (
                f"stress-ng on {node} holds {now['resident-mbyte']:.0f} MB of memory"
                f" ({wanted:.0f} expected)"
            )

    def _unit(self, fault_id: str) -> str:
        return f"{_UNIT}-{self._way}-{fault_id}"

    def _setting(self, key: str) -> float:
        return float(self.settings[key])

    @property
    def _way(self) -> str:
        return str(self.settings["way"])
