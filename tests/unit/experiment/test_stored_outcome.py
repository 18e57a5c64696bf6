"""A run that another process stored: its folder, its version and its outcome."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jepsenvm.experiment import prepare
from jepsenvm.experiment.store import create
from jepsenvm.experiment.stored_outcome import newest_run, stored_outcome
from jepsenvm.machines.inventory import Inventory
from jepsenvm.plan.plan import Plan
from tests.unit.fakes import NODES, node


@pytest.mark.parametrize("tls", [False, True])
def test_the_log_of_a_run_says_the_version_and_the_number_of_nodes(
    tmp_path: Path, tls: bool
) -> None:
    inventory = Inventory(tmp_path, "cloud", tuple(map(node, NODES)), tmp_path, {})
    inventory = replace(inventory, broker_ca=tmp_path if tls else None)
    line = prepare._summary(Plan(), "4.0.5", inventory)
    store = create(tmp_path / "store", Plan(seed=1))
    (store.path / "jepsenvm.log").write_text(f"2026-01-01T00:00:00.000Z {line}\n")
    found = stored_outcome(store.path, "queue")
    assert (found.version, found.nodes, found.outcome) == ("4.0.5", len(NODES), None)


def test_the_newest_run_counts(tmp_path: Path) -> None:
    assert newest_run(tmp_path) is None
    create(tmp_path, Plan(seed=1))
    second = create(tmp_path, Plan(seed=1))
    second.begin()  # makes the link `latest`
    assert newest_run(tmp_path) == second.path


@pytest.mark.parametrize(
    "results",
    [
        "",
        "[]",
        "{}",
        json.dumps({"verdict": "fine", "reasons": [], "checkers": {}}),
        json.dumps({"verdict": "valid", "reasons": [], "checkers": []}),
        json.dumps({"verdict": "valid", "reasons": 3, "checkers": {}}),
        json.dumps({"verdict": "valid", "reasons": [], "checkers": {"stats": 1}}),
    ],
)
def test_damaged_results_are_no_outcome(tmp_path: Path, results: str) -> None:
    store = create(tmp_path, Plan(seed=1))
    store.write("results.json", results)
    assert stored_outcome(store.path, "queue").outcome is None
