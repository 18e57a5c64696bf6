"""Results as JSON: other programs' messages are any values of EDN."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from jepsenvm.checkers.json_data import json_data
from jepsenvm.history import edn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{<<: {a: 1}}", {"<<:": {"a:": 1}}),
        ("{1.5 2, [1 2] 3, nil 4, :k 5}", {"1.5": 2, "[1 2]": 3, "nil": 4, ":k": 5}),
        ("#{2 1}", "#{1 2}"),
        ("[##NaN ##Inf 1.5 true nil :k]", ["##NaN", "##Inf", 1.5, True, None, ":k"]),
        ('#inst "2026-11-29"', '#inst "2026-11-29T00:00:00+00:00"'),
        ("#error {:cause 1}", "#error {:cause 1}"),
    ],
)
def test_any_message_can_be_written(text: str, expected: object) -> None:
    data = json_data({"lost": [edn.read(text)]})
    assert json.loads(json.dumps(data, allow_nan=False)) == {"lost": [expected]}


def test_ratios_and_tuples() -> None:
    assert json_data((Fraction(1, 2), 1 << 70)) == ["1/2", 1 << 70]
