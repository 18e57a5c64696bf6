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


SCENARIO: Final = "scenario"
"""The key that makes a plan file a scenario (``jepsenvm.scenarios``). The plan lacks it."""


def read_plan(path: Path) -> Plan:
    """Return the plan in a file; raise UsageError with every problem of it in one line."""
    return resolve_plan(read_document(path), str(path))


def parse_plan(text: str, source: str) -> Plan:
    """Return the plan in a YAML text; ``source`` is its name for error messages."""
    return resolve_plan(read(text, source), source)


def plan_of_new_run(path: Path | None, overrides: Mapping[str, object]) -> Plan:
    """Return the plan of a new run. The overrides take precedence over the file.

    The file may be a scenario. The seed is drawn if neither has one. Raises UsageError with every
    problem of the plan in one line.
    """
    document = plan_part(read_document(path)) if path is not None else {}
    drawn = {} if "seed" in document else {"seed": secrets.randbelow(2**31)}
    source = str(path) if path is not None else "command line"
    plan = resolve_plan({**drawn, **document, **overrides}, source)
    if plan.name in RESERVED_NAMES:
        raise UsageError(
            f"{source}: name is {plan.name}, which the store uses for its newest run",
            remedy="choose another name",
        )
    return plan


def plan_part(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return the plan of a plan file or a scenario."""
    return {key: value for key, value in document.items() if key != SCENARIO}


def resolve_plan(document: Mapping[str, object], source: str) -> Plan:
    """Return the plan of a document; ``source`` is its name for error messages."""
    return resolve(document, source, WORKLOADS, NEMESES)


def parse_overrides(words: Sequence[str]) -> dict[str, object]:
    """Return the keys and values of ``--set KEY=VALUE`` options, parsed as in a plan file."""
    overrides: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {shorten(word)}: must be KEY=VALUE")
        overrides.update(read(f"{key}: {value}", f"--set {shorten(word)}"))
    return overrides


def read_document(path: Path) -> Mapping[str, object]:
    """Return the keys and values of a plan file, without validation.

    Raises UsageError if the file cannot be read, or is no YAML mapping that a plan could be.
    """
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
