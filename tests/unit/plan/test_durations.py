"""Durations as a plan file writes them."""

from __future__ import annotations

import pytest

from jepsenvm.plan.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20s", 20),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("2h", 7200),
        ("1h1m1s1ms", 3661.001),
        ("1.5m", 90),
        ("12", 12),
    ],
)
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "s", "1x", "1s1m", "-1s", "1 s s", "ms"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be seconds"):
        parse_duration(text)
