"""Wilson's score interval for a proportion."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95


class Interval(NamedTuple):
    """The bounds of a proportion, from 0 to 1."""

    low: float
    high: float


def wilson(count: int, total: int) -> Interval | None:
    """Return the 95 % interval of a proportion, of which ``count`` of ``total`` were observed.

    None without any observation. Unlike the normal approximation, it is right for few observations
    and for 0 of them. The formula is Wilson's (Probable inference, the law of succession, and
    statistical inference, Journal of the American Statistical Association 22, 1927, p. 209-212), as
    recommended by Brown, Cai and DasGupta (Interval estimation for a binomial proportion,
    Statistical Science 16, 2001, p. 101-133).

    Raises ValueError unless 0 <= count <= total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no proportion")
    if total == 0:
        return None
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = count / total
    centre = share + z * z / (2 * total)
    spread = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # Rounding would leave a bound of 0 or 1 slightly off.
    low = 0.0 if count == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if count == total else min(1.0, (centre + spread) / scale)
    return Interval(low, high)
