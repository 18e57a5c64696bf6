"""What a node lists: queues, exchanges and bindings."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.errors import RunError
from jepsenvm.rabbitmq.topology_listing import Binding, Listing, listing
from tests.unit.fakes import FakeFleet
from tests.unit.rabbitmq.answers import name, told


def test_what_a_node_lists() -> None:
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = told(
        {
            "queues": [name("q"), name("x\ny"), name("\udcff")],
            "exchanges": [name(""), name("e")],
            "bindings": [[name("e"), name("q"), name("1")]],
        }
    )
    assert listing(fleet, "n1") == Listing(
        queues=frozenset({"q", "x\ny", "\udcff"}),
        exchanges=frozenset({"", "e"}),
        bindings=frozenset({Binding("e", "q", "1")}),
    )
    assert len(fleet.scripts) == 1


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"queues": [], "exchanges": [], "bindings": [["YQ=="]]},
        {"queues": ["not Base64"], "exchanges": [], "bindings": []},
        {"queues": 7, "exchanges": [], "bindings": []},
    ],
)
def test_a_list_that_is_not_understood_is_an_error(answer: Any) -> None:
    fleet = FakeFleet("n1")
    fleet.outputs["n1"] = told(answer)
    with pytest.raises(RunError, match="n1: cannot read the queues, exchanges and bindings"):
        listing(fleet, "n1")
