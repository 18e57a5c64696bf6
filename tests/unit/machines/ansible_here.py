"""The modules and filters of the playbooks' roles, without a host."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from jepsenvm.machines.ansible import playbooks
from jepsenvm.machines.ansible_vars import parse_results, program


def role_folder(role: str) -> Path:
    """Return the folder of a role."""
    return playbooks() / "roles" / role


def imported(file: Path) -> ModuleType:
    """Return a file of a role as a module of Python."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module_here(
    role: str,
    name: str,
    arguments: Mapping[str, Any],
    *words: str,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Let Ansible run a module of a role on this machine; return its result."""
    done = subprocess.run(
        [
            *(program("ansible"), "-i", "localhost,", "localhost", "-c", "local"),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
            *("-m", name, "-a", json.dumps(arguments), *words),
        ],
        env=os.environ
        | {
            "ANSIBLE_LIBRARY": str(role_folder(role) / "library"),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_STDOUT_CALLBACK": "minimal",
        }
        | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return parse_results(done.stdout)["localhost"]
