"""Actions: processes that a host starts before a fault's instant and that act at that instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STATE_DIR: Final = "/run/jepsenvm"
"""Where a host keeps what healing needs to know. A reboot removes it together with the faults."""


@dataclass(frozen=True)
class Action:
    """A process that a host starts early. It acts once its standard input has ended."""

    argv: tuple[str, ...]
    stdin: str = ""
    program: str | None = None
    """A program of ``machines.remote``; python3 runs it with ``argv`` as its arguments.

    None if ``argv`` is the command itself.
    """


def shell(script: str, *, ahead: str = "") -> Action:
    """Return the action that runs a shell script; a command that fails ends the script.

    ``ahead`` is a script that runs before the instant, as preparation.
    """
    # Neither script may read the standard input. A slow rabbitmqctl would consume the script that
    # arrives there. The shell itself reads it: a further process would not act as promptly.
    prepared = f"{ahead}\n" if ahead else ""
    return Action(("/bin/sh", "-ec", f"exec 3<&0 </dev/null\n{prepared}. /dev/fd/3"), script)
