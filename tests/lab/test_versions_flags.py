"""Feature flags and consumer timeouts on the version where Khepri is an option."""

from __future__ import annotations

from pathlib import Path

from tests.lab.conftest import jepsenvm, on, results
from tests.lab.suites import KHEPRI_IS_AN_OPTION, TIMED_OUT, deployed, plan_file


def test_a_channel_that_the_consumer_timeout_closed_is_replaced(tmp_path: Path) -> None:
    with deployed(KHEPRI_IS_AN_OPTION):
        jepsenvm("run", *TIMED_OUT, "--store", str(tmp_path), expect=0, timeout=600)
    found = results((tmp_path / "latest").resolve())["checkers"]
    assert found["new-subscriptions"]["consumer-timeout-count"] > 0
    assert found["total-queue"]["verdict"] == "valid"


def test_a_feature_flag_is_enabled_before_the_load(tmp_path: Path) -> None:
    words = ["--set", "feature-flags=[khepri_db]", "--time-limit", "60", "--store", str(tmp_path)]
    with deployed(KHEPRI_IS_AN_OPTION):
        refused = jepsenvm("run", *words, "--no-deploy", expect=254)
        assert "khepri_db is disabled; run without --no-deploy" in refused.stderr
        enabled = jepsenvm("run", *words, expect=0, timeout=600)
        assert "enabling the feature flag khepri_db" in enabled.stdout + enabled.stderr
        again = jepsenvm("run", *words, "--nemesis", "none", expect=0, timeout=600)
        assert "enabling" not in again.stdout + again.stderr


def test_a_feature_flag_is_enabled_under_load(tmp_path: Path) -> None:
    item = {"at": 20, "for": 30, "fault": "feature-flag", "flag": "khepri_db"}
    plan = plan_file(tmp_path, {"time-limit": 60, "schedule": [item]})
    with deployed(KHEPRI_IS_AN_OPTION):
        jepsenvm("run", plan, "--store", str(tmp_path), expect=0, timeout=600)
        assert "khepri_db\tenabled" in on("n2", "rabbitmqctl -q list_feature_flags name state")
        again = jepsenvm("run", plan, "--store", str(tmp_path), expect=254)
        assert "khepri_db is enabled, not disabled" in again.stderr
