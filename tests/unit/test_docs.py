"""The documentation: its generated tables are up to date, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.workloads.registry import WORKLOADS
from tests.generated_docs import DOCS, TABLES, generated

TOP = DOCS.parent
PAGES = sorted([*DOCS.glob("*.md"), *TOP.glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generated(text) == text, "run script/docs"


def test_every_table_is_in_the_documentation() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in TABLES if f"<!-- generated: {name} -->" in text} == set(TABLES)


def test_every_nemesis_and_workload_is_documented() -> None:
    nemeses = (DOCS / "nemeses.md").read_text(encoding="utf-8")
    assert [name for name in NEMESES if f"`{name}`" not in nemeses] == []
    plan = (DOCS / "plan.md").read_text(encoding="utf-8")
    assert [name for name in WORKLOADS if f"| `{name}` |" not in plan] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_example_of_a_fault_is_a_fault() -> None:
    code = (DOCS / "adding-a-fault.md").read_text(encoding="utf-8").split("```python\n")[1]
    names: dict[str, Any] = {"__name__": "example"}
    exec(code.split("```")[0], names)  # noqa: S102 - our own documentation
    kind: type[Fault] = names["PortMapperPause"]
    (stage,) = kind.nemeses()["port-mapper-pause"].draw(FaultRequest(("n1", "n2"), Random(1)))
    (node,) = stage.fault.nodes
    assert [action.stdin for action in stage.fault.inject("1", node, {})] == ["pkill -STOP -x epmd"]
    whole, stopped = ({"port-mapper": {node: answer}} for answer in ("answers", "silent"))
    assert list(stage.fault.verify_active(whole, stopped, ConcurrentFaults())) == []
    assert list(stage.fault.verify_active(whole, whole, ConcurrentFaults())) != []
    assert list(stage.fault.verify_healed(whole, whole, ConcurrentFaults())) == []
