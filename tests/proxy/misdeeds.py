"""The proxy's misdeeds, and what a checker must find after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from jepsenvm.plan.message_sizes import LEAST_BYTES

Kind = Literal[
    "drop",
    "duplicate",
    "invent",
    "reorder",
    "corrupt",
    "falsely-confirm",
    "truncate",
    "concatenate",
]
KINDS: Final[tuple[Kind, ...]] = (
    "drop",
    "duplicate",
    "invent",
    "reorder",
    "corrupt",
    "falsely-confirm",
)

OTHER_LENGTHS: Final[tuple[Kind, ...]] = ("truncate", "concatenate")
"""They change the length of a body. Only a body with a checksum shows that for sure."""
CHANGES: Final[tuple[Kind, ...]] = ("corrupt", *OTHER_LENGTHS)
"""They change a body on its way to the broker."""

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
    overtaken: int = 0
    """The number of deliveries that the last of two exchanged deliveries overtook."""


def is_checked(body: bytes) -> bool:
    """Return whether a body has a header with a checksum; otherwise it is a bare integer."""
    return len(body) >= LEAST_BYTES


def integer(body: bytes) -> int | None:
    """Return the value of a bare integer, or in the header of a body; None if there is none."""
    try:
        value = int(body[7:23] if is_checked(body) else body)
    except ValueError:
        return None
    # jepsenvm sends no other digits: `001` is not 1.
    return value if is_checked(body) or body == str(value).encode() else None


def expected_figures(
    misdeed: Misdeed | None, attempted: Iterable[int], *, checked: bool
) -> dict[str, int]:
    """Return how many messages of each kind must be found, by arithmetic on multisets.

    Every value was confirmed. ``attempted`` are the values of the publishers. ``checked`` says
    that bodies have a checksum.
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
        case Misdeed("corrupt" | "truncate" | "concatenate", value, became):
            received[value] -= 1
            received[integer(became)] += not checked
    unexpected = sum(count for value, count in received.items() if value not in sent)
    return {
        "lost": (sent - received).total(),
        "duplicated": (received - sent).total() - unexpected,
        "unexpected": unexpected,
        "corrupted": int(checked and misdeed is not None and misdeed.kind in CHANGES),
    }
