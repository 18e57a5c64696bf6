"""The steps of rolling upgrades that RabbitMQ supports, and the feature flags that they need."""

from __future__ import annotations

import pytest

from jepsenvm.rabbitmq.feature_flags import FeatureFlag
from jepsenvm.rabbitmq.upgrades import (
    STEPS,
    flag_problem,
    is_same,
    step_between,
    supported_targets,
    upstream,
)


@pytest.mark.parametrize(
    ("running", "target"),
    [
        ("3.7.18", "3.8.0"),
        ("3.8.9", "3.9.29"),
        ("3.9.29", "3.10.8"),
        ("3.10.8", "3.10.9"),
        ("3.10.8", "3.10.8-1.1+deb12u2"),
        ("3.10.8", "1:3.11.28-1"),
        ("3.11.18", "3.12.0"),
        ("3.12.14", "3.13.7"),
        ("3.13.7", "4.0.5"),
        ("4.0.5", "4.1.3"),
        ("4.0.5", "4.2.0"),
        ("4.1.3", "4.2.0"),
        ("4.2.0", "4.3.6"),
    ],
)
def test_a_supported_step(running: str, target: str) -> None:
    assert step_between(running, target) is not None


@pytest.mark.parametrize(
    ("running", "target"),
    [
        ("3.7.17", "3.8.0"),
        ("3.8.9", "3.10.8"),
        ("3.10.8", "3.12.0"),
        ("3.11.17", "3.12.0"),
        ("3.12.14", "4.0.5"),
        ("3.13.7", "4.1.3"),
        ("4.0.5", "4.3.6"),
        ("4.1.3", "4.3.6"),
        ("4.3.6", "4.4.0"),
        ("3.10.8", "3.9.29"),
        ("3.10.8", "3.10.7"),
        ("4.0.5", "3.13.7"),
    ],
)
def test_an_unsupported_step(running: str, target: str) -> None:
    assert step_between(running, target) is None


def test_each_step_leads_to_a_newer_series() -> None:
    assert all(step.source < step.target for step in STEPS)
    assert len({(step.source, step.target) for step in STEPS}) == len(STEPS)


def test_the_supported_targets_are_named() -> None:
    assert supported_targets("4.0.5") == "a newer 4.0.x or 4.1.x or 4.2.x"
    assert supported_targets("3.11.17") == "a newer 3.11.x; 3.12.x from 3.11.18 on"


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("3.10.8-1.1+deb12u1", "3.10.8"),
        ("1:3.10.8-1", "3.10.8"),
        ("3.10.9-1+jepsenvm1", "3.10.9"),
        ("4.2.0~rc.1-1", "4.2.0"),
    ],
)
def test_the_upstream_version_of_a_package(package: str, version: str) -> None:
    assert upstream(package) == version


def test_versions_are_compared_as_numbers() -> None:
    assert is_same("3.10.9", "3.10.9-1")
    assert not is_same("3.10.9", "3.10.90-1")
    assert not is_same("3.10.8", "3.10.9-1")


STABLE_ON = FeatureFlag("enabled", "stable")
STABLE_OFF = FeatureFlag("disabled", "stable")
EXPERIMENTAL_OFF = FeatureFlag("disabled", "experimental")


def problem(running: str, target: str, *later: str, **flags: FeatureFlag) -> str | None:
    step = step_between(running, target)
    assert step is not None
    return flag_problem(step, flags, later)


def test_a_step_that_needs_stable_flags() -> None:
    off = {"stream_queue": STABLE_OFF, "user_limits": STABLE_OFF, "quorum_queue": STABLE_ON}
    says = "the feature flag stream_queue and 1 more must be enabled before the upgrade"
    assert problem("3.10.8", "3.11.0", **off) == says
    assert problem("3.10.8", "3.11.0", "stream_queue", "user_limits", **off) is None
    assert problem("3.10.8", "3.11.0", other=EXPERIMENTAL_OFF) is None
    assert problem("3.10.8", "3.10.9", **off) is None
    assert problem("3.9.0", "3.10.0", **off) is None


def test_khepri_must_be_off_before_4_0_and_on_before_4_3() -> None:
    on = {"khepri_db": FeatureFlag("enabled", "experimental")}
    off = {"khepri_db": EXPERIMENTAL_OFF}
    assert "khepri_db is enabled, with which" in str(problem("3.13.7", "4.0.5", **on))
    assert problem("3.13.7", "4.0.5", **off) is None
    assert "khepri_db must be enabled" in str(problem("4.2.0", "4.3.0", **off))
    assert problem("4.2.0", "4.3.0", **on) is None
    assert problem("4.2.0", "4.3.0", "khepri_db", **off) is None
