"""The progress of a playbook, from ansible-runner's events: log lines, the recap, and one error."""

from __future__ import annotations

import logging
import os
import re
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from jepsenvm.errors import JepsenvmError, RunError, UsageError, last_line
from jepsenvm.machines.inventory import natural

logger = logging.getLogger(__name__)

REMEDIES: Final = (
    (r"Permission denied \(", "check ansible_user and ansible_ssh_private_key_file"),
    (
        r"Host key verification failed|IDENTIFICATION HAS CHANGED",
        "check the host's key and jepsenvm_known_hosts",
    ),
    (
        r"timed out|No route to host|Connection refused|Could not resolve",
        "check that it is up, and its address",
    ),
    (
        r"sudo|privilege|become",
        "let the user sudo without a password, or set ansible_become_password",
    ),
    (
        r"python\S*: (No such file|.*not found)|interpreter",
        "install python3, or set ansible_python_interpreter",
    ),
    (r"No space left", "free some disk space there"),
    (
        r"[Ff]ailed to fetch|No package matching|apt",
        "check the host's apt sources and rabbitmq_apt_update",
    ),
)
"""Patterns in messages of Ansible, ssh and sudo, with remedies. The first match counts."""

PREAMBLES: Final = (
    "Task failed: ",
    "Action failed: ",
    "Failed to connect to the host via ssh: ",
    r"Data could not be sent to remote host \S+ Make sure this host can be reached over ssh: ",
)
"""Patterns of words that Ansible puts in front of the message of another program."""


class Counts(NamedTuple):
    """The numbers of tasks on one node by outcome; ``ok`` includes ``changed``, as in Ansible."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0


@dataclass(frozen=True)
class Recap:
    """The outcome of a playbook: counts per node, and the values reported by ``set_stats``."""

    nodes: dict[str, Counts]
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """The number of changes on all nodes together."""
        return sum(counts.changed for counts in self.nodes.values())


class TaskFailure(NamedTuple):
    """One task that failed on one node."""

    node: str
    task: str
    message: str

    @property
    def cause(self) -> tuple[str, str]:
        """A key that is equal for the same failure on several nodes.

        ssh names the address in its message, so the remedy is compared instead.
        """
        return self.task, _remedy(self.message) or self.message


@dataclass
class PlaybookProgress:
    """Handles the events of one playbook."""

    title: str
    write: Callable[[str], None]
    """Takes Ansible's output."""
    recap: Recap = field(default_factory=lambda: Recap({}))
    failures: list[TaskFailure] = field(default_factory=list)
    pid: int | None = None
    """The process id of Ansible."""
    _task: str = ""
    _outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _changed: bool = False
    _errors: list[str] = field(default_factory=list)

    def handle(self, event: Mapping[str, Any]) -> bool:
        """Handle one event; return False, so that ansible-runner keeps no file of it."""
        kind, data = event["event"], event.get("event_data", {})
        self.pid = event.get("pid", self.pid)
        if event.get("stdout"):
            self.write(event["stdout"].replace("\r", ""))
            self._errors += re.findall(r"(?:ERROR!|\[ERROR\]:|error:) *(.*)", event["stdout"])
        if kind in {"playbook_on_task_start", "playbook_on_handler_task_start"}:
            self.end_task()
            self._task = " : ".join(filter(None, (data.get("role"), data.get("task"))))
        elif kind == "runner_on_ok":
            self._handle_ok(data["res"])
        elif kind in {"runner_on_failed", "runner_on_unreachable"}:
            self._handle_failure(kind, data)
        elif kind == "playbook_on_stats":
            self.recap = recap(data)
        return False

    def end_task(self) -> None:
        """Log the outcome of the current task, if a node ran it."""
        counts = ", ".join(f"{count} {name}" for name, count in self._outcomes.items() if count)
        if counts and "Validating arguments" not in self._task:
            logger.info(f"{self.title}: {self._task} ({counts})")
        self._outcomes.clear()

    def error(self, status: int) -> JepsenvmError:
        """Return the error of a failed playbook: the nodes, the task, the reason and the remedy."""
        error_type = RunError if self._changed else UsageError
        if not self.failures:
            reason = self._errors[0] if self._errors else "Ansible ended without a reason"
            return error_type(reason, command=f"ansible-playbook: {self.title}", status=status)
        causes: dict[tuple[str, str], list[TaskFailure]] = defaultdict(list)
        for failure in self.failures:
            causes[failure.cause].append(failure)
        (first, *same), *others = causes.values()
        # One remedy is enough. In messages of the playbooks, it follows a semicolon.
        also = "".join(
            f", and {_nodes(failures)}: {failures[0].message.split(';')[0]}" for failures in others
        )
        return error_type(
            f"{first.message} (task {first.task!r}{also})",
            node=_nodes([first, *same]),
            remedy=_remedy(first.message),
        )

    def terminate(self) -> None:
        """Ask Ansible to end itself and its workers."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)

    def _handle_ok(self, result: Mapping[str, Any]) -> None:
        self._outcomes["ok"] += 1
        self._outcomes["changed"] += bool(result.get("changed"))
        # A task that hides its output hides whether it changed something. Assume that it did.
        self._changed |= bool(result.get("changed", "censored" in result))

    def _handle_failure(self, kind: str, data: Mapping[str, Any]) -> None:
        if data.get("ignore_errors"):
            return
        self._outcomes["failed" if kind == "runner_on_failed" else "unreachable"] += 1
        self._changed |= bool(data["res"].get("changed"))
        self.failures.append(TaskFailure(data["host"], data["task"], message(data["res"])))


def recap(stats: Mapping[str, Any]) -> Recap:
    """Return the recap in Ansible's closing statistics."""
    kinds = ("ok", "changed", "failures", "dark")
    nodes = sorted(stats.get("processed", {}), key=natural)
    counts = {node: Counts(*(stats.get(kind, {}).get(node, 0) for kind in kinds)) for node in nodes}
    return Recap(counts, stats.get("artifact_data", {}))


def message(result: Mapping[str, Any]) -> str:
    """Return why a task failed, in the words of the program that failed.

    A task with ``no_log`` gives nothing away.
    """
    if result.get("_ansible_no_log") or "censored" in result:
        return "failed, and its output is kept secret"
    failed_items = [
        item
        for item in result.get("results", ())
        if isinstance(item, Mapping) and item.get("failed")
    ]
    if failed_items:
        return message(failed_items[0])
    text = str(result.get("msg", ""))
    if not text or text.startswith(("non-zero return code", "MODULE FAILURE")):
        outputs = (result.get(key) for key in ("stderr", "module_stderr", "module_stdout"))
        text = str(next(filter(None, outputs), text))
    reason = re.sub(rf"^({'|'.join(PREAMBLES)})+", "", last_line(text))
    return reason or "failed without a reason"


def _remedy(text: str) -> str | None:
    if ";" in text:  # a message of the playbooks, which has its own remedy
        return None
    return next((remedy for pattern, remedy in REMEDIES if re.search(pattern, text)), None)


def _nodes(failures: Iterable[TaskFailure]) -> str:
    return ", ".join(sorted({failure.node for failure in failures}, key=natural))
