"""Plays our playbooks with ansible-runner: a line of progress for each task, one clear line on failure."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import ansible_runner

from jepsenvm.errors import JepsenvmError, RunError, UsageError
from jepsenvm.machines.inventory import Inventory, natural

logger = logging.getLogger(__name__)

FORKS = 10
CONNECT_TIMEOUT_S = 10
NAMES = {"site.yml": "deploy"}  # what users call a playbook, where that is not its file's name
INTERRUPT_GRACE_S = 10  # how long Ansible gets to end its workers before it is killed

# What Ansible, ssh and sudo say, and what to do about it. The first match wins.
REMEDIES = (
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

PREAMBLES = (
    "Task failed: ",
    "Action failed: ",
    "Failed to connect to the host via ssh: ",
    r"Data could not be sent to remote host \S+ Make sure this host can be reached over ssh: ",
)


class Counts(NamedTuple):
    """How many tasks came out how on one node; `ok` includes `changed`, as in Ansible's recap."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0


@dataclass(frozen=True)
class Recap:
    """What a playbook did on each node, and the values that it reports by `set_stats`."""

    nodes: dict[str, Counts]
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """Changes on all nodes together: 0 when everything was as it should be."""
        return sum(counts.changed for counts in self.nodes.values())


class TaskFailure(NamedTuple):
    """One task that failed on one node."""

    node: str
    task: str
    message: str

    @property
    def kind(self) -> tuple[str, str]:
        """What makes it the same trouble as another's: ssh names the address in its message, so the remedy."""
        return self.task, _remedy(self.message) or self.message


def play(
    playbook: str,
    inventory: Inventory,
    extra: Mapping[str, object],
    log: Path | None = None,
) -> Recap:
    """Play ``playbook`` (such as ``site.yml``) on all nodes; what it printed goes to ``log``.

    Raises `Refused` when it failed before it had changed anything, else `Failed`. SIGINT and SIGTERM
    end Ansible and its workers first, and take their usual course then.
    """
    if inventory.existing:
        raise UsageError(
            f"{inventory.path}: the cluster is not ours (jepsenvm_existing), so nothing is installed or removed there",
            remedy="name another inventory, or take that line out of it",
        )
    with _log(log) as write:
        story = PlaybookProgress(NAMES.get(playbook, Path(playbook).stem), write)
        # The handed-on signal may end this process: everything else is cleaned up by then.
        with (
            _interruptible(story) as interrupted,
            tempfile.TemporaryDirectory(prefix="jepsenvm-") as scratch,
            _control_sockets(Path(scratch, "cp")) as sockets,
        ):
            run = ansible_runner.run(
                private_data_dir=scratch,
                project_dir=str(
                    Path.cwd()
                ),  # relative key files in an inventory are relative to it
                playbook=str(playbooks() / playbook),
                inventory=str(inventory.path),
                extravars={
                    "jepsenvm_secrets_dir": str(inventory.secrets_dir),
                    "jepsenvm_patience": inventory.patience,
                    **extra,
                },
                envvars=_environment(sockets, inventory.patience),
                settings={"pexpect_timeout": 1},  # seconds until it notices an interrupt
                event_handler=story.hear,
                cancel_callback=interrupted,
                quiet=True,
            )
        story.end_task()
    if run.rc != 0:
        raise story.error(run.rc)
    return story.recap


def playbooks() -> Path:
    """Our playbooks: inside the package when it was installed from a wheel, else at the checkout's top."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "playbooks"
    return installed if installed.is_dir() else package.parent / "playbooks"


def _environment(sockets: Path, patience: float) -> dict[str, str]:
    return {
        "ANSIBLE_FORKS": str(FORKS),
        "ANSIBLE_HOST_KEY_CHECKING": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
        "ANSIBLE_ROLES_PATH": str(playbooks() / "roles"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "ANSIBLE_TIMEOUT": str(round(CONNECT_TIMEOUT_S * max(1.0, patience))),
        # The ansible-playbook beside our own Python, whatever else this machine has.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


@contextmanager
def _control_sockets(folder: Path) -> Iterator[Path]:
    """Ansible's SSH connections, which it would keep open for a minute more, end with the run."""
    folder.mkdir()
    try:
        yield folder
    finally:
        for socket in folder.iterdir():
            ask = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "any"]
            subprocess.run(ask, capture_output=True, check=False)


@contextmanager
def _log(file: Path | None) -> Iterator[Callable[[str], None]]:
    if file is None:
        yield lambda _text: None
        return
    try:
        stream = file.open("a", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write to {file}: {error.strerror}", remedy="name another log file"
        ) from error
    with stream:

        def write(text: str) -> None:
            stream.write(text + "\n")
            stream.flush()

        yield write


@contextmanager
def _interruptible(story: PlaybookProgress) -> Iterator[Callable[[], bool]]:
    """Let Ansible end its workers on SIGINT and SIGTERM: they outlive a killed Ansible, and go on changing hosts."""
    caught: list[int] = []
    since = 0.0

    def catch(number: int, _frame: object) -> None:
        nonlocal since
        if not caught:
            since = monotonic()
            story.terminate()
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught) and monotonic() - since > INTERRUPT_GRACE_S
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


@dataclass
class PlaybookProgress:
    """What ansible-runner tells of a run, task by task: said aloud, counted, and remembered if it failed."""

    name: str
    write: Callable[[str], None]
    recap: Recap = field(default_factory=lambda: Recap({}))
    troubles: list[TaskFailure] = field(default_factory=list)
    pid: int | None = None
    _task: str = ""
    _tally: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _changed: bool = False
    _errors: list[str] = field(default_factory=list)

    def hear(self, event: Mapping[str, Any]) -> bool:
        """Take one event; False tells ansible-runner to keep no file of it."""
        kind, data = event["event"], event.get("event_data", {})
        self.pid = event.get("pid", self.pid)
        if event.get("stdout"):
            self.write(event["stdout"].replace("\r", ""))
            self._errors += re.findall(r"(?:ERROR!|\[ERROR\]:|error:) *(.*)", event["stdout"])
        if kind in {"playbook_on_task_start", "playbook_on_handler_task_start"}:
            self.end_task()
            self._task = " : ".join(filter(None, (data.get("role"), data.get("task"))))
        elif kind == "runner_on_ok":
            self._tally["ok"] += 1
            self._tally["changed"] += bool(data["res"].get("changed"))
            # A task that hides its output hides this too: it is taken to have changed something.
            self._changed |= bool(data["res"].get("changed", "censored" in data["res"]))
        elif kind in {"runner_on_failed", "runner_on_unreachable"} and not data.get(
            "ignore_errors"
        ):
            self._tally["failed" if kind == "runner_on_failed" else "unreachable"] += 1
            self._changed |= bool(data["res"].get("changed"))
            self.troubles.append(TaskFailure(data["host"], data["task"], message(data["res"])))
        elif kind == "playbook_on_stats":
            self.recap = recap(data)
        return False

    def end_task(self) -> None:
        """Say how the task went that is now over, if any node had to do it and it was a step of ours."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._tally.items() if count)
        if counts and "Validating arguments" not in self._task:
            logger.info(f"{self.name}: {self._task} ({counts})")
        self._tally.clear()

    def error(self, status: int) -> JepsenvmError:
        """The one line for a run that failed: which nodes, at which task, why, and the way out."""
        kind = RunError if self._changed else UsageError
        if not self.troubles:
            said = self._errors[0] if self._errors else "Ansible ended without saying why"
            return kind(said, command=f"ansible-playbook: {self.name}", status=status)
        kinds: dict[tuple[str, str], list[TaskFailure]] = defaultdict(list)
        for trouble in self.troubles:
            kinds[trouble.kind].append(trouble)
        (first, *alike), *others = kinds.values()
        # One remedy is enough: what our own asserts say after a semicolon is theirs.
        also = "".join(
            f", and {_names(those)}: {those[0].message.split(';')[0]}" for those in others
        )
        return kind(
            f"{first.message} (task {first.task!r}{also})",
            node=_names([first, *alike]),
            remedy=_remedy(first.message),
        )

    def terminate(self) -> None:
        """Ask Ansible to end, and to end its workers."""
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)


def recap(stats: Mapping[str, Any]) -> Recap:
    """The recap in Ansible's closing statistics."""
    kinds = ("ok", "changed", "failures", "dark")
    nodes = sorted(stats.get("processed", {}), key=natural)
    counts = {node: Counts(*(stats.get(kind, {}).get(node, 0) for kind in kinds)) for node in nodes}
    return Recap(counts, stats.get("artifact_data", {}))


def message(result: Mapping[str, Any]) -> str:
    """Why a task failed, in the words of the program that failed; nothing of a task that hides its output."""
    if result.get("_ansible_no_log") or "censored" in result:
        return "failed, and its output is kept secret"
    failed_items = [
        item
        for item in result.get("results", ())
        if isinstance(item, Mapping) and item.get("failed")
    ]
    if failed_items:
        return message(failed_items[0])
    said = str(result.get("msg", ""))
    if not said or said.startswith(("non-zero return code", "MODULE FAILURE")):
        said = str(
            result.get("stderr")
            or result.get("module_stderr")
            or result.get("module_stdout")
            or said
        )
    return _last_line(said) or "failed without saying why"


def _last_line(text: str) -> str:
    """ssh and apt say at the end what counts; Ansible puts its own words before theirs."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    return re.sub(rf"^({'|'.join(PREAMBLES)})+", "", line)


def _remedy(said: str) -> str | None:
    if ";" in said:  # our own asserts name their remedy themselves
        return None
    return next((remedy for pattern, remedy in REMEDIES if re.search(pattern, said)), None)


def _names(troubles: Iterable[TaskFailure]) -> str:
    return ", ".join(sorted({trouble.node for trouble in troubles}, key=natural))
