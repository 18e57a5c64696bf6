"""A filter for the files and folders that a deployment writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Return the filters by name."""
        return {"rabbitmq_differing": differing}


def differing(
    wanted: Sequence[Mapping[str, Any]], found: Mapping[str, Mapping[str, str]]
) -> list[Mapping[str, Any]]:
    """Return the paths that are not as they shall be, as arguments of the module rabbitmq_paths.

    ``found`` is the state of the host's paths, from the module rabbitmq_inspection. A path that
    was not inspected counts as different.
    """
    return [one for one in wanted if not _is_as_wanted(one, found.get(one["path"], {}))]


def _is_as_wanted(wanted: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    state = wanted.get("state", "file")
    if found.get("state") != state:
        return False
    if state == "absent":
        return True
    if any(wanted[key] != found[key] for key in ("owner", "group", "mode")):
        return False
    return state != "file" or _sha256(wanted["content"]) == found["sha256"]


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
