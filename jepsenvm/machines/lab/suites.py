"""The Linux suites that lab hosts can be made of, and the mirror their packages come from."""

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
    """One package source that this machine's apt uses; the origin is empty until apt has fetched its index."""

    uri: str
    release: str
    component: str
    origin: str


def distribution_of(suite: str) -> str:
    """The distribution that a suite belongs to, or UsageError with the suites that are known."""
    if suite not in SUITES:
        raise UsageError(f"unknown suite {suite!r}", remedy=f"use one of {', '.join(SUITES)}")
    return SUITES[suite]


def mirror_for(suite: str) -> str | None:
    """The mirror to build that suite from; None leaves the choice to mmdebstrap."""
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
    """Read the lines that `apt-get indextargets` prints with our format."""
    rows = [line.strip().split("|") for line in targets.splitlines()]
    return [Source(row[0].rstrip("/"), *row[1:]) for row in rows if len(row) == 4]


def choose_mirror(sources: list[Source], codename: str) -> str | None:
    """This machine's mirror of its own distribution, told apart from third parties' sources of the same name.

    Third parties name their suites after the distribution's too, but only the distribution itself
    publishes `<codename>-updates` next to it, and its index says its origin.
    """
    mains = [s for s in sources if s.release == codename and s.component == "main"]
    updated = {s.uri for s in sources if s.release == f"{codename}-updates"}
    own = [s for s in mains if s.origin in {"Debian", "Ubuntu"}] or [
        s for s in mains if s.uri in updated
    ]
    return own[0].uri if own else None
