"""The suites that lab hosts can run, and the mirror of their packages."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.machines.lab.command import run

SUITES = {
    "bullseye": "debian",
    "bookworm": "debian",
    "trixie": "debian",
    "forky": "debian",
    "sid": "debian",
    "jammy": "ubuntu",
    "noble": "ubuntu",
}

TARGET_FORMAT = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"


@dataclass(frozen=True)
class Source:
    """A package source of this machine's apt. The origin is empty until apt has its index."""

    uri: str
    release: str
    component: str
    origin: str


def distribution_of(suite: str) -> str:
    """Return the distribution of a suite; raise UsageError with the known suites."""
    if suite not in SUITES:
        raise UsageError(f"unknown suite {suite!r}", remedy=f"use one of {', '.join(SUITES)}")
    return SUITES[suite]


def mirror_for(suite: str) -> str | None:
    """Return the mirror for building a suite; None leaves the choice to mmdebstrap."""
    try:
        machine = platform.freedesktop_os_release()
        targets = run(
            ["apt-get", "indextargets", "--format", TARGET_FORMAT, "Created-By: Packages"]
        )
    except (OSError, JepsenvmError):
        return None
    if machine.get("ID") != distribution_of(suite):
        return None
    return choose_mirror(parse_sources(targets), machine.get("VERSION_CODENAME", ""))


def parse_sources(targets: str) -> list[Source]:
    """Return the sources in the output of `apt-get indextargets`."""
    rows = [line.strip().split("|") for line in targets.splitlines()]
    return [Source(row[0].rstrip("/"), *row[1:]) for row in rows if len(row) == 4]


def choose_mirror(sources: list[Source], codename: str) -> str | None:
    """Return this machine's mirror of its own distribution, not one of a third party.

    Third parties name their suites after the distribution's too, but only the distribution itself
    publishes `<codename>-updates` next to it, and its index says its origin.
    """
    mains = [s for s in sources if s.release == codename and s.component == "main"]
    updated = {s.uri for s in sources if s.release == f"{codename}-updates"}
    own = [s for s in mains if s.origin in {"Debian", "Ubuntu"}] or [
        s for s in mains if s.uri in updated
    ]
    return own[0].uri if own else None
