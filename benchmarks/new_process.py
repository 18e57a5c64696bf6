"""Runs one measurement of a benchmark in a process of its own: peak memory never falls."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def measured(module: str, *words: str) -> dict[str, Any]:
    """Return the JSON object that ``python -m MODULE --measure WORDS`` prints."""
    command = [sys.executable, "-m", module, "--measure", *words]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output))
