"""Rolling upgrades: which steps RabbitMQ supports, and the feature flags that each step needs.

The sources are RabbitMQ's upgrade guide (https://www.rabbitmq.com/docs/upgrade, section "RabbitMQ
Version Upgradability") for the series up to 4.0, and the release notes of 4.1.0, 4.2.0 and 4.3.0
(sections "Upgrading to" and "Mixed version cluster compatibility") for later series. A step is
listed only if nodes of both series can run in one cluster. Without that, no rolling upgrade is
possible, even if an upgrade of the whole cluster is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from jepsenvm.rabbitmq.feature_flags import ENABLED, FeatureFlag, disabled_stable
from jepsenvm.rabbitmq.versions import release, release_text

GUIDE: Final = "https://www.rabbitmq.com/docs/upgrade"

KHEPRI: Final = "khepri_db"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A rolling upgrade from one release series to another."""

    source: tuple[int, int]
    target: tuple[int, int]
    from_patch: int = 0
    """The first patch release of the source series from which the step is supported."""
    stable_flags: bool = False
    """Whether every stable feature flag must be enabled before the step."""
    flags: frozenset[str] = frozenset()
    """Other feature flags that must be enabled before the step."""
    without: frozenset[str] = frozenset()
    """Feature flags with which the step is not possible."""


STEPS: Final[tuple[Step, ...]] = (
    Step(source=(3, 7), target=(3, 8), from_patch=18),
    Step(source=(3, 8), target=(3, 9)),
    Step(source=(3, 9), target=(3, 10)),
    Step(source=(3, 10), target=(3, 11), stable_flags=True),
    Step(source=(3, 11), target=(3, 12), from_patch=18, stable_flags=True),
    Step(source=(3, 12), target=(3, 13)),
    Step(source=(3, 13), target=(4, 0), stable_flags=True, without=frozenset({KHEPRI})),
    Step(source=(4, 0), target=(4, 1)),
    Step(source=(4, 0), target=(4, 2)),
    Step(source=(4, 1), target=(4, 2)),
    Step(source=(4, 2), target=(4, 3), stable_flags=True, flags=frozenset({KHEPRI})),
)


def upstream(version: str) -> str:
    """Return RabbitMQ's own version in the version of a package: 3.10.8 for 3.10.8-1.1+deb12u1."""
    return re.split(r"[-+~]", re.sub(r"^\d+:", "", version), maxsplit=1)[0]


def numbers(version: str) -> tuple[int, ...]:
    """Return the three numbers of a version: (3, 10, 8) for 3.10.8."""
    return tuple(int(part) for part in re.findall(r"\d+", upstream(version))[:3])


def is_same(version: str, package: str) -> bool:
    """Return whether a version that a node reports is that of a package."""
    return numbers(version) == numbers(package)


def step_between(running: str, target: str) -> Step | None:
    """Return the rolling upgrade from one version to another; None if it is not supported.

    Versions of one series need no feature flags. An older version is no upgrade.
    """
    source, aim = release(running), release(upstream(target))
    if source == aim:
        same = Step(source=(source[0], source[1]), target=(aim[0], aim[1]))
        return same if numbers(target) >= numbers(running) else None
    for step in STEPS:
        if (step.source, step.target) == (source, aim):
            return step if numbers(running)[2:] >= (step.from_patch,) else None
    return None


def supported_targets(running: str) -> str:
    """Return as text what a version can be upgraded to by a rolling upgrade."""
    series = [step for step in STEPS if step.source == release(running)]
    ready = [step for step in series if numbers(running)[2:] >= (step.from_patch,)]
    targets = [release_text(release(running)), *(release_text(step.target) for step in ready)]
    text = f"a newer {' or '.join(f'{target}.x' for target in targets)}"
    late = [
        f"{release_text(step.target)}.x from {release_text(step.source)}.{step.from_patch} on"
        for step in series
        if step not in ready
    ]
    return "; ".join([text, *late])


def flag_problem(
    step: Step, flags: Mapping[str, FeatureFlag], enabled_later: Collection[str] = ()
) -> str | None:
    """Return why the feature flags of a cluster do not allow a step; None if they do.

    ``enabled_later`` are flags that will be enabled before the step.
    """
    on = {name for name, flag in flags.items() if flag.state == ENABLED} | set(enabled_later)
    needed = set(step.flags)
    if step.stable_flags:
        needed |= disabled_stable(flags)
    missing = sorted(needed - on)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"the feature flag {missing[0]}{more} must be enabled before the upgrade"
    present = sorted(step.without & on)
    if present:
        return f"the feature flag {present[0]} is enabled, with which that upgrade is not possible"
    return None
