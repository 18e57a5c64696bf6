"""The campaigns of docs/findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.campaign.planned import Expansion
from jepsenvm.campaign.reading import expanded, read_campaign
from jepsenvm.campaign.spec import LAB_SUITES, VERSION
from jepsenvm.scenarios import library
from tests.generated_findings import FINDINGS, OF_SCENARIOS


def expansion(file: Path) -> Expansion:
    return expanded(read_campaign(file), file)


@pytest.mark.parametrize("name", [file.name for file in FINDINGS.glob("*.yml")])
def test_each_campaign_can_run(name: str) -> None:
    assert expansion(FINDINGS / name).runs


def test_every_scenario_is_planned_or_left_out_on_every_version() -> None:
    planned = [expansion(FINDINGS / f"{name}.yml") for name in OF_SCENARIOS]
    settings = [run.settings for each in planned for run in each.runs]
    settings += [one.settings for each in planned for one in each.left_out]
    covered = [(one["scenario"], one[VERSION]) for one in settings]
    assert set(covered) == {(one.name, v) for one in library.scenarios() for v in LAB_SUITES}
    assert len(covered) == len(set(covered)), "no combination is planned twice"
