"""Two runs side by side: which settings and figures differ, and by how much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jepsenvm.serve.place import Place
from jepsenvm.serve.run_comparison import Compared, compare_figures, compare_settings
from jepsenvm.serve.run_facts import RunFacts


def run(**known: Any) -> RunFacts:
    return RunFacts(Place(("store", "a", "b"), Path("store/a/b")), 0.0, **known)


def figures(**values: Any) -> RunFacts:
    return run(results={"checkers": {"total-queue": values}})


def test_every_key_of_both_plans_is_compared() -> None:
    found = compare_settings(
        run(versions=("3.10.8", "4.0.5"), plan={"window": 1, "rate": 5.0}),
        run(plan={"window": 1, "nemesis": ["kill", "pause"]}),
    )
    assert found == [
        Compared("RabbitMQ", "3.10.8 and 4.0.5", "-"),
        Compared("window", "1", "1"),
        Compared("rate", "5.0", "-"),
        Compared("nemesis", "-", '["kill", "pause"]'),
    ]
    assert [row.differs for row in found] == [True, False, True, True]


@pytest.mark.parametrize(
    ("before", "after", "row"),
    [
        (5, 12, ("5", "12", "+7")),
        (1_000_000, 1, ("1,000,000", "1", "-999,999")),
        (0.5, 0.25, ("0.5", "0.25", "-0.25")),
        (3, 3, ("3", "3", "")),
        (True, False, ("true", "false", "")),
        (None, 4, ("null", "4", "")),
        ("valid", "invalid", ("valid", "invalid", "")),
        (10**400, 0.5, (f"{10**400:,}", "0.5", "")),
        ("\x1b[31m", "x" * 300, ("\\x1b[31m", f"{'x' * 197}...", "")),
    ],
)
def test_numbers_have_a_difference(before: Any, after: Any, row: tuple[str, str, str]) -> None:
    (found,) = compare_figures(figures(count=before), figures(count=after))
    assert (found.before, found.after, found.change) == row
    assert found.name == "total-queue: count"


def test_lists_and_figures_of_another_shape_are_left_out() -> None:
    assert compare_figures(figures(lost=[1, 2], windows={"a": 1}), run()) == []
    assert compare_figures(run(results={"checkers": []}), run(results={"checkers": {"a": 1}})) == []
