"""The faults that nodes have on record. Their texts come from the nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.nemesis.status import in_force
from tests.unit.fakes import FakeFleet

NOTE = {
    "number": 100_123,
    "since": 5.0,
    "fault": {"name": "loss", "text": "n1", "kind": "loss"},
    "before": {},
}


def test_the_notes_of_a_node() -> None:
    fleet = FakeFleet("n1", "n2")
    fleet.outputs["n1"] = f"{json.dumps(NOTE)}\n\n"
    assert in_force(fleet) == {"n1": [NOTE], "n2": []}


@pytest.mark.parametrize(
    "note",
    [
        {**NOTE, "number": "1; touch /tmp/x"},
        {**NOTE, "number": True},
        {**NOTE, "number": -1},
        {**NOTE, "since": "now"},
        {**NOTE, "fault": {"name": 1, "text": "x"}},
        {**NOTE, "fault": None},
        {},
        [],
        5,
    ],
)
def test_a_damaged_note_is_an_error_of_its_node(note: Any) -> None:
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = json.dumps(note)
    answer = in_force(fleet)["n1"]
    assert isinstance(answer, RunError)
    assert "n1: its record of a fault is damaged" in str(answer)


@pytest.mark.parametrize("text", ["{", "\x00", "[" * 100_000, "9" * 5000])
def test_a_note_that_is_no_json_is_one_too(text: str) -> None:
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = text
    assert isinstance(in_force(fleet)["n1"], RunError)
