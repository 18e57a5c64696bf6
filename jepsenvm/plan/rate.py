"""Publishing rates that change over time: steps, ramps and bursts as a list of pieces."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, Tag

from jepsenvm.plan.durations import ONE_OR_LIST, Seconds, Unit
from jepsenvm.plan.field_types import MODEL_CONFIG, not_empty

MIN_RATE: Final = 0.001
"""The lowest rate: a message in 17 minutes."""


def _not_too_low(rate: float) -> float:
    if 0 < rate < MIN_RATE:
        raise ValueError(f"must be 0 or at least {MIN_RATE:g}")
    return rate


MessagesPerSecond = Annotated[
    float,
    Field(ge=0, le=1e9, allow_inf_nan=False),
    AfterValidator(_not_too_low),
    Unit("messages per second"),
]


class RatePiece(BaseModel):
    """A stretch of time in which the rate is constant, or changes steadily."""

    model_config = MODEL_CONFIG

    lasts: Annotated[Seconds, Field(alias="for")] = Field(description="How long the piece lasts.")
    begins: Annotated[MessagesPerSecond, Field(alias="from")] = Field(
        description="The rate at its beginning; with 0, nothing is published."
    )
    ends: Annotated[MessagesPerSecond | None, Field(alias="to")] = Field(
        default=None, description="The rate at its end. By default the rate does not change."
    )

    @property
    def slope(self) -> float:
        """The change of the rate per second."""
        return 0.0 if self.ends is None else (self.ends - self.begins) / self.lasts

    def messages(self, seconds: float) -> float:
        """Return the number of messages that are due in the first ``seconds`` of the piece."""
        return seconds * (self.begins + self.slope * seconds / 2)

    def seconds(self, messages: float) -> float:
        """Return the time after which this number of messages is due; at most ``lasts``."""
        root = sqrt(max(0.0, self.begins**2 + 2 * self.slope * messages))
        # The sum is 0 for no messages, and for fewer than floating-point numbers can tell from 0.
        return min(self.lasts, 2 * messages / (self.begins + root)) if self.begins + root else 0.0


class RateCurve:
    """The pieces of a rate, which repeat. Times are in seconds since the load began."""

    def __init__(self, pieces: Sequence[RatePiece]) -> None:
        self._pieces = pieces
        self._lasts = sum(piece.lasts for piece in pieces)
        self._messages = sum(piece.messages(piece.lasts) for piece in pieces)

    def messages(self, time: float) -> float:
        """Return the number of messages that are due until a time."""
        rounds, rest = divmod(time, self._lasts)
        messages = rounds * self._messages
        for piece in self._pieces:
            messages += piece.messages(min(rest, piece.lasts))
            rest = max(0.0, rest - piece.lasts)
        return messages

    def time(self, messages: float) -> float:
        """Return the time at which this number of messages is due."""
        rounds, rest = divmod(messages, self._messages)
        time = rounds * self._lasts
        for piece in self._pieces:
            of_piece = piece.messages(piece.lasts)
            if rest < of_piece:
                return time + piece.seconds(rest)
            rest -= of_piece
            time += piece.lasts
        return time  # rounding left a rest


def _publishing(pieces: tuple[RatePiece, ...]) -> tuple[RatePiece, ...]:
    if not any(piece.begins or piece.ends for piece in pieces):
        raise ValueError("must not be 0 in every piece, or nothing would ever be published")
    return pieces


Rate = Annotated[
    Annotated[MessagesPerSecond, Tag("one")]
    | Annotated[
        tuple[RatePiece, ...],
        AfterValidator(not_empty),
        AfterValidator(_publishing),
        Tag("list"),
    ],
    ONE_OR_LIST,
]
"""Messages per second; or pieces, which repeat until the load ends."""


def rate_curve(rate: float | Sequence[RatePiece]) -> RateCurve | None:
    """Return the curve of a plan's rate; None for no limit."""
    if isinstance(rate, Sequence):
        return RateCurve(rate)
    # The length of the only piece does not matter.
    return RateCurve([RatePiece(lasts=1.0, begins=rate)]) if rate else None
