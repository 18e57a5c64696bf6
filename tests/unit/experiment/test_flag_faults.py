"""Faults that enable feature flags: what is refused before the run."""

from __future__ import annotations

import json

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.flag_faults import require_enableable
from tests.unit.fakes import FakeFleet
from tests.unit.nemesis.builders import fault_of

KHEPRI = fault_of("feature-flag", "n1")
ALL = fault_of("feature-flag", "n1", settings={"flag": "all"})
UPGRADE = fault_of("upgrade", "n1")


def fleet(**flags: str) -> FakeFleet:
    fake = FakeFleet()
    rows = [
        {"name": name, "state": text.split()[0], "stability": text.split()[1]}
        for name, text in flags.items()
    ]
    fake.outputs = {"n1": json.dumps(rows)}
    return fake


def test_a_disabled_flag_may_be_enabled() -> None:
    flags = fleet(khepri_db="disabled experimental", stream_queue="disabled stable")
    require_enableable(flags, [KHEPRI, ALL])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"x": "enabled stable"}, "this RabbitMQ has no feature flag khepri_db; use one of x"),
        ({"khepri_db": "enabled stable"}, "khepri_db is enabled, not disabled"),
        ({"khepri_db": "unavailable stable"}, "khepri_db is unavailable"),
    ],
)
def test_a_flag_that_cannot_be_enabled_is_refused(flags: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        require_enableable(fleet(**flags), [KHEPRI])


def test_nothing_left_to_enable_is_refused() -> None:
    off = fleet(khepri_db="disabled experimental")
    with pytest.raises(UsageError, match="every stable feature flag is enabled already"):
        require_enableable(off, [ALL])
    with pytest.raises(UsageError, match="the plan enables khepri_db twice"):
        require_enableable(off, [KHEPRI, KHEPRI])


def test_a_flag_that_the_set_up_enables_cannot_be_a_fault() -> None:
    off = fleet(khepri_db="disabled experimental")
    with pytest.raises(UsageError, match="the plan enables khepri_db twice"):
        require_enableable(off, [KHEPRI], ["khepri_db"])


def test_after_an_upgrade_the_new_version_decides() -> None:
    require_enableable(fleet(x="enabled stable"), [UPGRADE, KHEPRI, ALL])


def test_other_faults_ask_nothing() -> None:
    fake = fleet()
    require_enableable(fake, [fault_of("kill")])
    assert fake.scripts == []
