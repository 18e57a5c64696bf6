"""recovery: a cluster that did not recover is unknown; a restarted node is only named."""

from __future__ import annotations

from typing import Any

import pytest

from jepsenvm.checkers.recovery import recovery
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.table import from_ops
from tests.unit.builders import recovery_record


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        ({}, Verdict.VALID),
        ({"restarted": ["n2"]}, Verdict.VALID),
        ({"troubles": {"n2": "AMQP is not open"}}, Verdict.UNKNOWN),
    ],
)
def test_the_verdict_of_a_recovery(data: dict[str, Any], verdict: Verdict) -> None:
    assert recovery(from_ops([recovery_record(**data)])).verdict is verdict


def test_a_run_without_a_recovery_is_unknown() -> None:
    assert recovery(from_ops([])).verdict is Verdict.UNKNOWN
