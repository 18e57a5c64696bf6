"""Scenarios on a real cluster: the version is known before anything is changed, and is recorded."""

from __future__ import annotations

from pathlib import Path

import yaml

from jepsenvm.machines.inventory import Inventory
from jepsenvm.scenarios.comparison import Comparison
from jepsenvm.scenarios.record import Record
from tests.lab.conftest import jepsenvm, made_whole

QUICK = {
    "scenario": {
        "title": "A few messages without a fault",
        "story": "Nothing happens.",
        "source": ["the tests of jepsenvm"],
        "versions": ">=3.8",
        "expected": [{"versions": ">=3.8", "verdict": "valid"}],
        "outcomes": {"valid": "All is well.", "invalid": "Messages are lost."},
    },
    "name": "quick",
    "queue-type": "quorum",
    "net-ticktime": 8,
    "nemesis": "none",
    "rate": 100,
    "time-limit": 5,
    "seed": 1,
}


def test_a_scenario_for_other_versions_is_refused_before_a_deployment(
    cluster: Inventory, tmp_path: Path
) -> None:
    words = ["scenario", "run", "rabbitmq-ci-02", "--store", str(tmp_path / "store")]
    refused = jepsenvm(*words, expect=254)
    assert "applies to RabbitMQ >=4.0" in refused.stderr
    assert "deploying" not in refused.stdout + refused.stderr
    assert not list(tmp_path.rglob("plan.yml"))


def test_a_scenario_is_compared_and_recorded(cluster: Inventory, tmp_path: Path) -> None:
    made_whole(cluster)
    file = tmp_path / "quick.yml"
    file.write_text(yaml.safe_dump(QUICK), encoding="utf-8")
    done = jepsenvm("scenario", "run", str(file), "--store", str(tmp_path / "store"), expect=0)
    assert "valid, as expected (valid)" in done.stdout
    (folder,) = (tmp_path / "store" / "quick").iterdir()
    record = Record.read(folder)
    assert record is not None
    assert record.rabbitmq is not None
    assert record.comparison is Comparison.AS_EXPECTED
    words = ["scenario", "new", "again", "--from", str(folder), "--output", str(tmp_path)]
    jepsenvm(*words, expect=0)
    assert yaml.safe_load((tmp_path / "again.yml").read_text())["rate"] == 100
