"""Keys of values: equal for what Clojure takes for equal, and for nothing else."""

from __future__ import annotations

import pytest

from jepsenvm.checkers.value_key import value_key
from jepsenvm.history import edn


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1", "1N"),
        ("0.0", "-0.0"),
        ("1e3", "1000.0"),
        ("1.0M", "1.00M"),
        ("1E2M", "100M"),
        ("0M", "0.00M"),
        ("2/4", "1/2"),
        ("4/2", "2"),
        ("(1 2)", "[1 2]"),
        ("#{[1] [2]}", "#{(2) (1)}"),
        ("{:a 1 :b 2}", "{:b 2, :a 1}"),
        ('"A"', '"\\u0041"'),
        ('#inst "2020-01-01T00:00:00Z"', '#inst "2020-01-01T01:00:00+01:00"'),
        ('#inst "2020-01-01"', '#inst "2020-01-01T00:00:00.000-00:00"'),
        (
            '#uuid "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"',
            '#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"',
        ),
    ],
)
def test_equal_values_have_equal_keys(text: str, same: str) -> None:
    assert value_key(edn.read(text)) == value_key(edn.read(same))
    assert value_key(edn.read(f"[{{:k {text}}}]")) == value_key(edn.read(f"[{{:k {same}}}]"))


def test_different_values_have_different_keys() -> None:
    texts = [
        *("1", "1.0", "true", '"1"', "1M", "1.1M", "10M", "1/2", "nil", "false", "0", "0.0"),
        *(":a", '":a"', "a", '"a"', "\\a", ":a/b", ":b"),
        *("[]", "#{}", "{}", "[1]", "#{1}", "[[1]]", "[nil]", "{1 1}", "#x [1]", "#y [1]"),
        *("##NaN", "##Inf", "##-Inf"),
        *('"2020-01-01"', '#inst "2020-01-01"', '#inst "2020-01-01T00:00:01Z"'),
        *("12345678901234567890123456789012345.1M", "12345678901234567890123456789012345.2M"),
    ]
    assert len({value_key(edn.read(text)) for text in texts}) == len(texts)
