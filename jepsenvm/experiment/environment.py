"""The environment of a run, as its folder keeps it: versions, and the offsets of the clocks."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jepsenvm.experiment.prepare import Prepared
from jepsenvm.experiment.store import ENVIRONMENT, Store

logger = logging.getLogger(__name__)


def write_environment(store: Store, prepared: Prepared) -> None:
    """Write what only the running cluster can tell, or log why it cannot be written.

    A report without these facts is still a report, so this never ends a run.
    """
    content = {
        "jepsenvm": version("jepsenvm"),
        "python": platform.python_version(),
        "controller": platform.platform(),
        "nodes": {
            node: {
                "rabbitmq": prepared.versions.get(node),
                "clock-offset-seconds": round(known.clock_offset, 4),
            }
            for node, known in prepared.cluster.facts.items()
        },
    }
    try:
        store.write(ENVIRONMENT, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        logger.info(f"{store.path / ENVIRONMENT} could not be written: {error.strerror}")


def read_environment(folder: Path) -> Mapping[str, Any] | None:
    """Return what ``write_environment`` wrote; None if there is no such file, or it is damaged."""
    try:
        content = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
