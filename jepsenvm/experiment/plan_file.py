"""Reads a plan from its file and from the options that override it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError, shorten
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import read, resolve
from jepsenvm.workloads.registry import WORKLOADS

RESERVED_NAMES: Final = ("latest",)
"""Names of runs that the store cannot have. A stored run of an older version may have one."""


def read_plan(path: Path) -> Plan:
    """Return the plan in a file; raise UsageError with every problem of it in one line."""
    return resolve(_read(path), str(path), WORKLOADS, NEMESES)


def plan_of_new_run(path: Path | None, overrides: Mapping[str, object]) -> Plan:
    """Return the plan of a new run. The overrides take precedence over the file.

    The seed is drawn if neither has one. Raises UsageError with every problem of the plan in one
    line.
    """
    document = _read(path) if path is not None else {}
    drawn = {} if "seed" in document else {"seed": secrets.randbelow(2**31)}
    source = str(path) if path is not None else "command line"
    plan = resolve({**drawn, **document, **overrides}, source, WORKLOADS, NEMESES)
    if plan.name in RESERVED_NAMES:
        raise UsageError(
            f"{source}: name is {plan.name}, which the store uses for its newest run",
            remedy="choose another name",
        )
    return plan


def parse_overrides(words: Sequence[str]) -> dict[str, object]:
    """Return the keys and values of ``--set KEY=VALUE`` options, parsed as in a plan file."""
    overrides: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {shorten(word)}: must be KEY=VALUE")
        overrides.update(read(f"{key}: {value}", f"--set {shorten(word)}"))
    return overrides


def _read(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not readable as UTF-8 text") from None
    return read(text, str(path))
