"""versions: which node ran which version from when to when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.checkers.versions import versions
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.units import SECOND
from tests.unit.builders import history

OLD = {"running": "3.10.8", "package": "3.10.8-1"}
NEW = {"running": "3.10.9", "package": "3.10.9-1"}


def record(
    seconds: float, f: str, phase: str, number: int, node: str, proof: Mapping[str, Any]
) -> Op:
    fault = {"kind": "upgrade", "name": "upgrade", "text": node, "nodes": [node], "grudge": {}}
    data = {"phase": phase, "window": number, "fault": fault, "proof": proof, "fired": {}}
    return Op("info", f, process=NEMESIS, time=int(seconds * SECOND), data=data)


def upgrade(
    number: int, node: str, began: float, before: Any, during: Any, *, seen: float = 0
) -> list[Op]:
    proof = {"before": {"versions": before}, "during": {"versions": during}}
    return [
        record(began, "start", "inject", number, node, {}),
        record(seen or began + 20, "start", "in-force", number, node, proof),
    ]


def test_a_run_without_upgrades_says_nothing() -> None:
    result = versions(history())
    assert (result.verdict, result.reasons, result.figures) == (Verdict.VALID, (), {"nodes": {}})


def test_each_node_has_its_versions_with_their_times() -> None:
    first = upgrade(1, "n2", 10, {"n1": OLD, "n2": OLD}, {"n1": OLD, "n2": NEW})
    second = upgrade(2, "n1", 50, {"n1": OLD, "n2": NEW}, {"n1": NEW, "n2": NEW})
    result = versions(history(first, second))
    old, new = "3.10.8 (3.10.8-1)", "3.10.9 (3.10.9-1)"
    assert result.figures["nodes"] == {
        "n1": [
            {"version": old, "from": 0.0, "until": 50.0},
            {"version": new, "from": 70.0, "until": None},
        ],
        "n2": [
            {"version": old, "from": 0.0, "until": 10.0},
            {"version": new, "from": 30.0, "until": None},
        ],
    }
    assert result.reasons == (
        f"n2 ran {old} until 10.000 s, and {new} from 30.000 s on",
        f"n1 ran {old} until 50.000 s, and {new} from 70.000 s on",
    )


def test_mixed_versions_at_the_end_are_named() -> None:
    result = versions(history(upgrade(1, "n2", 10, {"n1": OLD, "n2": OLD}, {"n1": OLD, "n2": NEW})))
    assert result.verdict is Verdict.VALID
    assert "the run ended with mixed versions: n1 3.10.8 (3.10.8-1), n2 3.10.9" in result.reasons[1]


@pytest.mark.parametrize("during", [{"n2": None}, {}, None, 7, "x", {"n2": {}}, {"n2": 3}])
def test_a_version_that_was_not_measured_is_not_guessed(during: Any) -> None:
    result = versions(history(upgrade(1, "n2", 10, {"n2": OLD}, during)))
    assert result.reasons[0] == "n2 ran 3.10.8 (3.10.8-1) until 10.000 s, and then unknown"
    assert result.figures["nodes"]["n2"][-1]["version"] is None


@pytest.mark.parametrize("before", [None, 7, {"n2": None}])
def test_a_version_before_that_was_not_measured_is_not_guessed(before: Any) -> None:
    result = versions(history(upgrade(1, "n2", 10, before, {"n2": NEW})))
    assert "n2 ran an unknown version until" in result.reasons[0]


def test_an_upgrade_that_only_began_has_no_new_version() -> None:
    result = versions(history([record(10, "start", "inject", 1, "n2", {})]))
    assert result.figures["nodes"]["n2"] == [
        {"version": None, "from": 0.0, "until": 10.0},
        {"version": None, "from": None, "until": None},
    ]


def test_other_faults_are_no_upgrades() -> None:
    (begun, seen) = upgrade(1, "n2", 10, {"n2": OLD}, {"n2": NEW})
    for op in (begun, seen):
        assert isinstance(op.data, dict)
        op.data["fault"]["kind"] = "restart"
    assert versions(history([begun, seen])).figures == {"nodes": {}}
