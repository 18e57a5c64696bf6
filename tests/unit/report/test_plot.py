"""The static plots."""

from __future__ import annotations

import pytest

from jepsenvm.history.op import Op
from jepsenvm.history.table import from_ops
from jepsenvm.report.figure import image
from jepsenvm.report.plot import latencies, losses, rates, violation
from tests.unit.report.test_report import SCRIPT, SECOND, lossy


def test_plots_that_would_say_nothing_are_none() -> None:
    assert rates(lossy(), "enqueue", "confirmed") is not None
    assert rates(lossy(), "no-such", "confirmed") is None
    assert losses(lossy()) is not None
    assert latencies(lossy(), "enqueue", "took") is None
    assert violation(None) is None
    history = from_ops([Op("invoke", "enqueue", 1), Op("ok", "enqueue", 1), Op("ok", "dequeue", 1)])
    assert losses(history) is None


@pytest.mark.parametrize("name", [SCRIPT, "$x^$ {", "_hidden", "a$b", "\x1b[2J\x00", "\udcff"])
def test_a_hostile_name_stays_a_text(name: str) -> None:
    history = from_ops(
        [Op("invoke", "enqueue", 1, 1, 1, name), Op("ok", "enqueue", 1, 1, SECOND, name)]
    )
    ops = [{"from": 0, "to": 1, "process": 1, "node": name, "f": name, "type": "ok"}]
    for plot in (
        rates(history, "enqueue", "t"),
        latencies(history, "enqueue", "t"),
        violation(ops),
    ):
        assert plot is not None
        text = image(plot, "svg").decode()
        assert text.startswith("<?xml")
        assert "<img" not in text
        assert "<script" not in text
