"""Reads a plan from its file and from the options that override it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError, shorten
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import MAX_CHARACTERS, read, resolve
from jepsenvm.workloads.registry import WORKLOADS

MAX_BYTES: Final = 4 * MAX_CHARACTERS
"""Bytes of a plan file, at most."""

RESERVED_NAMES: Final = ("latest",)
"""Names of runs that the store cannot have. A stored run of an older version may have one."""


def read_plan(path: Path) -> Plan:
    """Return the plan in a file; raise UsageError with every problem of it in one line."""
    return resolve(_read(path), str(path), WORKLOADS, NEMESES)


def parse_plan(text: str, source: str) -> Plan:
    """Return the plan in a YAML text; ``source`` is its name for error messages."""
    return resolve(read(text, source), source, WORKLOADS, NEMESES)


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
        # A pipe or a device could block for ever, or never end.
        if not path.is_dir() and path.exists() and not path.is_file():
            raise UsageError(f"{path}: not a file", remedy="name a file with the plan")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise UsageError(
            f"{path}: larger than {MAX_BYTES:,} bytes", remedy="name a file with a plan"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not readable as UTF-8 text") from None
    return read(text, str(path))
