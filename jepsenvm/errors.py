"""Every error that jepsenvm raises on purpose: one line that names what, where and the way out."""

from __future__ import annotations


class JepsenvmError(Exception):
    """An error whose text is the one line that a user reads.

    ``node``, ``command`` and ``status`` say where it happened, ``remedy`` what to do about it.
    ``exit_status`` is what the command line exits with.
    """

    exit_status = 255

    def __init__(
        self,
        message: str,
        *,
        node: str | None = None,
        command: str | None = None,
        status: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.node = node
        self.command = command
        self.status = status
        self.remedy = remedy

    def __str__(self) -> str:
        where = f"{self.node}: " if self.node else ""
        ran = (
            f" (`{self.command}` exited {self.status})"
            if self.command and self.status is not None
            else ""
        )
        way_out = f"; {self.remedy}" if self.remedy else ""
        return " ".join(f"{where}{self.message}{ran}{way_out}".split())


class UsageError(JepsenvmError):
    """Bad usage, bad configuration or a host that is not fit: nothing was changed (exit status 254)."""

    exit_status = 254


class RunError(JepsenvmError):
    """Something broke midway, after a change was made and then healed (exit status 255)."""


class CommandError(RunError):
    """A command on a node, or on this machine, exited with another status than 0."""


class UnreachableError(RunError):
    """A node did not answer over SSH within its deadline."""
