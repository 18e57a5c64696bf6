"""The settings with which Ansible reaches each host: variables, environment and ansible.cfg.

Ansible resolves them (``machines.ansible_options``), so that its names, their aliases and their
precedence hold here too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import MALFORMED, UsageError, last_line, shorten

TIMEOUT_S: Final = 60

_PROGRAM: Final = Path(__file__).with_name("ansible_options.py")

Program = subprocess.Popen[str]

Hostvars = Mapping[str, Mapping[str, Any]]
"""host -> variable -> value."""


@dataclass(frozen=True)
class Setting:
    """The value of one of Ansible's options for a host."""

    value: Any
    source: str
    """The variable, the environment variable or the file that sets it, for error messages."""
    is_default: bool


Settings = Mapping[str, Setting]
"""Ansible's name of an option -> its value. Older versions of Ansible lack some options."""


@contextmanager
def settings_program() -> Iterator[Program]:
    """Start the program that resolves Ansible's options, and end it at the end of the context.

    It imports Ansible first, so start it before the variables of the hosts are known.
    """
    # Without -P, `import ansible` would find the module of this name beside the program.
    command = [sys.executable, "-P", str(_PROGRAM)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", errors="replace"
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def ansible_settings(program: Program, path: Path, hostvars: Hostvars) -> dict[str, Settings]:
    """Return the settings of each host; raise UsageError if Ansible cannot read one.

    ``program`` is from ``settings_program``, and answers once. ``path`` is the inventory, for error
    messages. ``hostvars`` are the resolved variables.
    """
    # Other variables may have any values. Ansible's options are set by variables of this prefix.
    variables = {
        host: {name: value for name, value in values.items() if name.startswith("ansible_")}
        for host, values in hostvars.items()
    }
    try:
        stdout, stderr = program.communicate(json.dumps(variables), timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{path}: Ansible did not read its settings within {TIMEOUT_S} s",
            remedy="check ansible.cfg and the environment variables ANSIBLE_*",
        ) from None
    if program.returncode != 0:
        raise UsageError(
            f"{path}: Ansible cannot read its settings: "
            f"{shorten(last_line(stderr, 'no reason given'), 300)}",
            remedy="check ansible.cfg and the environment variables ANSIBLE_*",
        )
    try:
        answer = json.loads(stdout)
        return {
            host: {
                option: _setting(path, host, option, *entry)
                for option, entry in answer[host].items()
            }
            for host in hostvars
        }
    except MALFORMED as problem:
        raise UsageError(
            f"{path}: Ansible's answer about its settings is not understood: "
            f"{type(problem).__name__}: {shorten(problem)}",
            remedy="run `ansible-config dump` to see whether Ansible works",
        ) from None


def _setting(path: Path, host: str, option: str, value: Any, source: str) -> Setting:
    if source == "error":
        raise UsageError(
            f"{path}: Ansible cannot read its setting {option}: {shorten(value, 200)}",
            node=host,
            remedy="check ansible.cfg and the environment variables ANSIBLE_*",
        )
    kind, _, name = source.partition(": ")
    text = name if kind in {"var", "env"} else f"{option} in {source}"
    return Setting(value, text, is_default=source == "default")
