"""Packets: tc delays, duplicates, reorders, corrupts or rate-limits packets that a node sends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from jepsenvm.machines.action import STATE_DIR, Action
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.datagram_evidence import TOLERATED_LOSS_PERCENT, lost_share
from jepsenvm.nemesis.fault import Evidence, Fault, Hosts
from jepsenvm.nemesis.request import NemesisSpec

_RATE: Final = "rate-kbit"

_SILENT_DELAY_MS: Final = 400
_SILENT_RATE_KBIT: Final = 64
"""A probe that waits one second may get no answer from this delay on, or below this rate."""


class _Measurement(NamedTuple):
    """Measurements of the datagrams on the links of a fault."""

    duplicated: float
    late: float
    lost: float
    """Shares of all datagrams."""
    round_trip_ms: float | None
    kbit_s: float | None
    """Medians over the links; None if no link was measured."""


class Packets(Fault):
    """Shape the packets that a node sends to the nodes in its grudge."""

    kind = "packets"
    compares = True
    stops_load = "never"
    sweep = rf"""rm -rf {STATE_DIR}/packets {STATE_DIR}/packets.lock
links=$(tc qdisc show 2>/dev/null | sed -n 's/^qdisc htb 7e57: dev \([^ ]*\) root.*/\1/p')
for link in $links; do
  leaf="s/^qdisc \([a-z]*\) [^ ]* parent 7e57:[^ ]* \(.*\)/removed from tc: $link: \1 \2/p"
  shaped=$(tc qdisc show dev "$link" | sed -n "$leaf")
  tc qdisc del dev "$link" root && printf '%s\n' "${{shaped:-removed from tc: $link: htb 7e57:}}"
done"""

    @classmethod
    def nemeses(cls) -> Mapping[str, NemesisSpec]:
        """Return one nemesis for each way to shape packets."""
        return {
            "delay": NemesisSpec(
                about="delays packets between a node and all others",
                draw=cls.on_links,
                takes="nodes",
                settings={"delay-ms": 200, "jitter-ms": 50},
            ),
            "duplicate": NemesisSpec(
                about="duplicates packets between a node and all others",
                draw=cls.on_links,
                takes="nodes",
                settings={"duplicate-percent": 10},
            ),
            "reorder": NemesisSpec(
                about="reorders packets between a node and all others: some overtake delayed ones",
                draw=cls.on_links,
                takes="nodes",
                settings={"reorder-percent": 25, "delay-ms": 20},
            ),
            "corrupt": NemesisSpec(
                about="flips a bit in packets between a node and all others",
                draw=cls.on_links,
                takes="nodes",
                settings={"corrupt-percent": 5},
            ),
            "rate": NemesisSpec(
                about="limits the rate of the links between a node and all others",
                draw=cls.on_links,
                takes="nodes",
                settings={_RATE: 1000},
            ),
        }

    def inject(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Shape the packets. The program on the node merges faults on the same links."""
        peers = self.peer_addresses(node, hosts)
        if not peers:
            return []
        order = json.dumps({"peers": peers, **self.settings})
        return [Action((fault_id, order), program="traffic_control")]

    def heal(self, fault_id: str, node: str, hosts: Hosts) -> Sequence[Action]:
        """Remove the fault's share of the shaping."""
        if not self.grudge.get(node):
            return []
        return [Action((fault_id, "null"), program="traffic_control")]

    def probes(self) -> tuple[str, ...]:
        """Return a burst of large datagrams for a rate, and small datagrams for anything else."""
        return ("burst",) if _RATE in self.settings else ("datagrams",)

    def verify_active(
        self, before: Evidence, during: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each setting that has no effect on the datagrams."""
        others = concurrent | ConcurrentFaults.of(before)
        if self.hidden_by(others):
            return
        earlier, now = self._measure(before, others), self._measure(during, others)
        if earlier is None or now is None:
            yield "no datagrams could be counted on links without other faults"
            return
        rate, delay = self._setting(_RATE), self._setting("delay-ms")
        if rate:
            if earlier.kbit_s is None or now.kbit_s is None:
                yield "the rate of the datagrams could not be measured"
            elif now.kbit_s > min(1.5 * rate, 0.9 * earlier.kbit_s):
                yield (
                    f"datagrams pass at {now.kbit_s:.0f} kbit/s"
                    f" ({earlier.kbit_s:.0f} before the fault, {rate:.0f} expected)"
                )
        if delay:
            added = _difference(now.round_trip_ms, earlier.round_trip_ms)
            if added is None:
                yield "no round trip could be measured"
            elif added < delay / 2:
                yield (
                    f"round trips take {added:.0f} ms longer than before ({delay:.0f} ms expected)"
                )
        yield from self._verify_shares(earlier, now)

    def verify_healed(
        self, before: Evidence, after: Evidence, concurrent: ConcurrentFaults
    ) -> Iterator[str]:
        """Yield each setting that still has an effect on the datagrams."""
        others = concurrent | ConcurrentFaults.of(before)
        earlier, now = self._measure(before, others), self._measure(after, concurrent)
        if earlier is None or now is None:
            yield "no datagrams could be counted on links without other faults"
            return
        delay = self._setting("delay-ms")
        if _RATE in self.settings:
            if earlier.kbit_s is None or now.kbit_s is None:
                yield "the rate of the datagrams could not be measured"
            elif now.kbit_s < earlier.kbit_s / 2:
                yield f"datagrams still pass at only {now.kbit_s:.0f} kbit/s"
        if delay:
            added = _difference(now.round_trip_ms, earlier.round_trip_ms)
            if added is None:
                yield "no round trip could be measured"
            elif added > delay / 2:
                yield f"round trips still take {now.round_trip_ms:.0f} ms"
        for key, effect, share_before, share_now in _shares(earlier, now):
            # Less than in force, and more than the few that a busy network has by itself.
            percent = self._setting(key)
            if percent and share_now > max(2 * share_before, percent / 250):
                yield f"{share_now:.1%} of the datagrams were still {effect}"

    def requirements(self) -> tuple[str, ...]:
        """Return traffic shaping, and netem for anything but a rate."""
        return ("shaping",) if set(self.settings) == {_RATE} else ("shaping", "netem")

    def silences_links(self) -> bool:
        """Return whether a reachability probe, which waits one second, may get no answer."""
        return (
            self._setting("delay-ms") + self._setting("jitter-ms") >= _SILENT_DELAY_MS
            or self._setting("corrupt-percent") > TOLERATED_LOSS_PERCENT
            or self._setting(_RATE, _SILENT_RATE_KBIT) < _SILENT_RATE_KBIT
        )

    def _setting(self, key: str, default: float = 0.0) -> float:
        return float(self.settings.get(key, default))

    def _verify_shares(self, earlier: _Measurement, now: _Measurement) -> Iterator[str]:
        """Yield each share of datagrams that did not rise, or is below a fifth of its setting."""
        for key, effect, share_before, share_now in _shares(earlier, now):
            percent = self._setting(key)
            if percent and share_now <= max(share_before, percent / 500):
                yield f"{share_now:.1%} of the datagrams were {effect} ({percent:.0f}% expected)"

    def _measure(self, evidence: Evidence, concurrent: ConcurrentFaults) -> _Measurement | None:
        """Return the measurements of the links without other faults; None if there are none."""
        answers: Mapping[str, Any] = evidence[self.probes()[0]]
        links = [
            (node, source)
            for node, sources in self.grudge.items()
            for source in sources
            if answers.get(node) and not concurrent.explains(source, node)
        ]
        arrivals = [answers[node]["heard"].get(source, {}) for node, source in links]
        if not any(arrival.get("count") for arrival in arrivals):
            return None
        echoes = [answers[node]["echo"].get(source, {}) for node, source in links]
        sent = sum(answers[node]["sent"] for node, _ in links)
        return _Measurement(
            duplicated=sum(arrival.get("copies", 0) for arrival in arrivals) / sent,
            late=sum(arrival.get("late", 0) for arrival in arrivals) / sent,
            lost=lost_share(answers, self.grudge, concurrent) or 0.0,
            round_trip_ms=_median(
                echo["median-ms"] for echo in echoes if echo.get("median-ms") is not None
            ),
            kbit_s=_median(
                8 * arrival["bytes"] / arrival["seconds"] / 1000
                for arrival in arrivals
                if arrival.get("seconds")
            ),
        )


def _shares(earlier: _Measurement, now: _Measurement) -> Sequence[tuple[str, str, float, float]]:
    """Return the setting, the effect, and the share before and now of all that is counted."""
    return (
        ("duplicate-percent", "duplicated", earlier.duplicated, now.duplicated),
        ("reorder-percent", "late", earlier.late, now.late),
        ("corrupt-percent", "lost", earlier.lost, now.lost),
    )


def _median(values: Iterator[float]) -> float | None:
    """Return the upper median; None for no values."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else None


def _difference(now: float | None, earlier: float | None) -> float | None:
    return None if now is None or earlier is None else now - earlier
