"""Runs one measurement of a benchmark in a process of its own.

Peak memory never falls, and a measurement must not pay for what another one left in the memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def measured(module: str, *words: str) -> dict[str, Any]:
    """Return the JSON object in the last line that ``python -m MODULE --measure WORDS`` prints.

    If it fails, its error is on stderr, and this process exits with its status.
    """
    command = [sys.executable, "-m", module, "--measure", *words]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return dict(json.loads(done.stdout.splitlines()[-1]))
