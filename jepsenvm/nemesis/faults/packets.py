"""Packets: those that a node sends to others are delayed, doubled, reordered, corrupted, or held to a rate (tc)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jepsenvm.machines.action import STATE_DIR, Action
from jepsenvm.nemesis.faults.loss import MOST_HEARD_PERCENT, lost_share
from jepsenvm.nemesis.faults.partition import addresses
from jepsenvm.nemesis.instance import Fault
from jepsenvm.nemesis.kind import ConcurrentFaults, Evidence, Hosts, Kind

RATE: Final = "rate-kbit"


def inject(fault: Fault, number: str, node: str, hosts: Hosts) -> Sequence[Action]:
    """Shape what goes out to those in the node's grudge, together with what other faults ask of the same links."""
    peers = addresses(fault.grudge, node, hosts)
    return (
        [
            Action(
                (number, json.dumps({"peers": peers, **fault.settings})), program="traffic_control"
            )
        ]
        if peers
        else []
    )


def heal(fault: Fault, number: str, node: str, _: Hosts) -> Sequence[Action]:
    """Shape it no more for this fault."""
    return [Action((number, "null"), program="traffic_control")] if fault.grudge.get(node) else []


def looks(fault: Fault) -> tuple[str, ...]:
    """A rate shows in a burst of large datagrams, all else in small ones."""
    return ("burst",) if RATE in fault.settings else ("datagrams",)


def doubts(
    fault: Fault, before: Evidence, during: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield what was asked for and cannot be seen in the datagrams."""
    asked = {key: float(value) for key, value in fault.settings.items()}
    known = around | ConcurrentFaults.of(before)
    if known.hides(fault):
        return
    earlier, now = (_measured(fault, sights, known) for sights in (before, during))
    if earlier is None or now is None:
        yield "no datagrams could be counted on its links alone"
        return
    if RATE in asked and now["kbit"] > min(1.5 * asked[RATE], 0.9 * earlier["kbit"]):
        yield (
            f"datagrams come through at {now['kbit']:.0f} kbit/s, {earlier['kbit']:.0f} before; "
            f"asked for were {asked[RATE]:.0f}"
        )
    if asked.get("delay-ms") and now["ms"] - earlier["ms"] < asked["delay-ms"] / 2:
        more = now["ms"] - earlier["ms"]
        yield f"round trips take {more:.0f} ms more than before, asked for were {asked['delay-ms']:.0f}"
    for key, seen in (
        ("duplicate-percent", "copies"),
        ("reorder-percent", "late"),
        ("corrupt-percent", "lost"),
    ):
        if asked.get(key) and now[seen] <= max(earlier[seen], asked[key] / 500):
            yield f"{now[seen]:.1%} of the datagrams were {seen}, {asked[key]:.0f}% was asked for"


def leftovers(
    fault: Fault, before: Evidence, after: Evidence, around: ConcurrentFaults
) -> Iterator[str]:
    """Yield what can still be seen of it."""
    earlier, now = (_measured(fault, sights, around) for sights in (before, after))
    if earlier is None or now is None:
        yield "no datagrams could be counted on its links alone"
        return
    if RATE in fault.settings and now["kbit"] < earlier["kbit"] / 2:
        yield f"datagrams still come through at only {now['kbit']:.0f} kbit/s"
    if (
        "delay-ms" in fault.settings
        and now["ms"] - earlier["ms"] > float(fault.settings["delay-ms"]) / 2
    ):
        yield f"round trips still take {now['ms']:.0f} ms"


def _measured(
    fault: Fault, sights: Evidence, around: ConcurrentFaults
) -> Mapping[str, float] | None:
    """Return what the datagrams on the links of a fault show: shares of all, milliseconds, and kbit/s a link.

    None where no link can be told from what other faults do, or none came through that could be measured.
    """
    answers: Mapping[str, Any] = sights[looks(fault)[0]]
    links = [
        (
            answers[node]["heard"].get(source, {}),
            answers[node]["echo"].get(source, {}),
            answers[node]["sent"],
        )
        for node, sources in fault.grudge.items()
        for source in sources
        if answers.get(node) and not around.explains(source, node)
    ]
    if not any(one.get("count") for one, _, _ in links):
        return None
    sent = sum(count for _, _, count in links)
    trips = sorted(echo["median-ms"] for _, echo, _ in links if echo.get("median-ms") is not None)
    rates = sorted(
        8 * one["bytes"] / one["seconds"] / 1000 for one, _, _ in links if one.get("seconds")
    )
    return {
        "copies": sum(one.get("copies", 0) for one, _, _ in links) / sent,
        "late": sum(one.get("late", 0) for one, _, _ in links) / sent,
        "lost": lost_share(answers, fault.grudge, around) or 0.0,
        "ms": trips[len(trips) // 2] if trips else 0.0,
        "kbit": rates[len(rates) // 2] if rates else 0.0,
    }


def needs(fault: Fault) -> tuple[str, ...]:
    """A rate alone needs no netem."""
    return ("shaping",) if set(fault.settings) == {RATE} else ("shaping", "netem")


SWEEP: Final = rf"""rm -rf {STATE_DIR}/packets {STATE_DIR}/packets.lock
for link in $(tc qdisc show 2>/dev/null | sed -n 's/^qdisc htb 7e57: dev \([^ ]*\) root.*/\1/p'); do
  leaf="s/^qdisc \([a-z]*\) [^ ]* parent 7e57:[^ ]* \(.*\)/removed from tc: $link: \1 \2/p"
  shaped=$(tc qdisc show dev "$link" | sed -n "$leaf")
  tc qdisc del dev "$link" root && printf '%s\n' "${{shaped:-removed from tc: $link: htb 7e57:}}"
done"""


def silences(fault: Fault) -> bool:
    """Return whether a probe that waits for a second may find no answer at all."""
    asked = {key: float(value) for key, value in fault.settings.items()}
    late = asked.get("delay-ms", 0) + asked.get("jitter-ms", 0)
    return (
        late >= 400
        or asked.get("corrupt-percent", 0) > MOST_HEARD_PERCENT
        or asked.get(RATE, 64) < 64
    )


KIND = Kind(inject, heal, looks, doubts, leftovers, sweep=SWEEP, needs=needs, silences=silences)
