"""The proxy's misdeeds, and what a checker must find after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["drop", "duplicate", "invent", "reorder", "corrupt", "falsely-confirm"]
KINDS: Final[tuple[Kind, ...]] = (
    "drop",
    "duplicate",
    "invent",
    "reorder",
    "corrupt",
    "falsely-confirm",
)

INVENTED: Final = 900_000_001
"""The value of an invented message. The publishers of a test never get that far.

It is no value that the consumers of workload redelivery reject again and again.
"""


@dataclass(frozen=True)
class Misdeed:
    """What the proxy did to one message."""

    kind: Kind
    value: int | None
    """The value of the message that it concerns; None if it has none."""
    became: bytes = b""
    """The body of a corrupted message."""


def integer(body: bytes) -> int | None:
    """Return the integer in a body; None if there is none."""
    try:
        return int(body)
    except ValueError:
        return None


def expected_figures(misdeed: Misdeed | None, attempted: Iterable[int]) -> dict[str, int]:
    """Return how many values must be lost, duplicated and unexpected, by arithmetic on multisets.

    Every value was confirmed. ``attempted`` are the values of the publishers.
    """
    sent: Counter[int | None] = Counter(attempted)
    received = Counter(sent)
    match misdeed:
        case Misdeed("drop" | "falsely-confirm", value):
            received[value] -= 1
        case Misdeed("duplicate", value):
            received[value] += 1
        case Misdeed("invent"):
            received[INVENTED] += 1
        case Misdeed("corrupt", value, became):
            received[value] -= 1
            received[integer(became)] += 1
    unexpected = sum(count for value, count in received.items() if value not in sent)
    return {
        "lost": (sent - received).total(),
        "duplicated": (received - sent).total() - unexpected,
        "unexpected": unexpected,
    }
