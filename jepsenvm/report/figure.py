"""What all plots share: the file of a figure, and texts that matplotlib draws as they are."""

from __future__ import annotations

import io
from typing import Final

from matplotlib.figure import Figure

from jepsenvm.errors import printable_line

DOTS_PER_INCH: Final = 150
"""Of a PNG."""


def image(figure: Figure, format_: str) -> bytes:
    """Return a plot as a file of this format: ``svg`` or ``png``."""
    out = io.BytesIO()
    metadata = {"Date": None} if format_ == "svg" else {}
    figure.savefig(out, format=format_, dpi=DOTS_PER_INCH, metadata=metadata)
    return out.getvalue()


def plain(text: str) -> str:
    """Return a text that matplotlib draws as it is: no formula, and never left out of a legend."""
    drawn = printable_line(text).replace("$", r"\$")
    return f" {drawn}" if drawn.startswith("_") else drawn
