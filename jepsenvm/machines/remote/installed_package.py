"""The package from which RabbitMQ of this host was installed."""

from __future__ import annotations

import subprocess


def installed_package() -> str:
    """Return the version of the installed package; an empty text without one."""
    words = ("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}")
    try:
        answer = subprocess.run(
            (*words, "rabbitmq-server"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=True,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ""
    status, _, version = answer.strip().partition(" ")
    return version if status == "installed" else ""
