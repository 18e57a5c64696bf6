"""Plays the playbooks with ansible-runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import ansible_runner

from jepsenvm.errors import UsageError, printable, shown
from jepsenvm.machines.ansible_progress import PlaybookProgress, Recap
from jepsenvm.machines.inventory import Inventory
from jepsenvm.private_files import private

FORKS: Final = 10
CONNECT_TIMEOUT_S: Final = 10

INTERRUPT_GRACE_S: Final = 10
"""Seconds that Ansible gets to end its workers after a signal, before it is killed."""

TITLES: Final[Mapping[str, str]] = {"site.yml": "deploy"}
"""The titles of playbooks in log lines, where they differ from the file names."""


def play(
    playbook: str, inventory: Inventory, extra: Mapping[str, object], log: Path | None = None
) -> Recap:
    """Play a playbook, such as ``site.yml``, on all nodes; append Ansible's output to ``log``.

    ``extra`` are extra variables. Raise UsageError if it failed before it changed anything,
    otherwise RunError. On SIGINT, SIGTERM or SIGHUP, Ansible and its workers end first; then
    the signal takes effect.
    """
    require_not_existing(inventory)
    variables = {
        # Ansible would play on the group of the playbooks otherwise.
        "jepsenvm_nodes": [node.name for node in inventory.nodes],
        "jepsenvm_secrets_dir": str(inventory.secrets_dir),
        "jepsenvm_patience": inventory.patience,
        **extra,
    }
    _require_no_templates(variables)
    with _log(log) as write:
        progress = PlaybookProgress(TITLES.get(playbook, Path(playbook).stem), write)
        # A signal that is passed on may end this process. These contexts are closed before that.
        with (
            _interruptible(progress) as must_kill,
            tempfile.TemporaryDirectory(prefix="jepsenvm-") as scratch,
            _control_sockets(Path(scratch, "cp")) as sockets,
        ):
            run = ansible_runner.run(
                private_data_dir=scratch,
                # Relative key files in an inventory are relative to the current folder.
                project_dir=str(Path.cwd()),
                playbook=str(playbooks() / playbook),
                inventory=str(inventory.path),
                extravars=variables,
                envvars=_environment(sockets, inventory.patience),
                settings={"pexpect_timeout": 1},  # seconds until it notices an interrupt
                event_handler=progress.handle,
                cancel_callback=must_kill,
                quiet=True,
            )
        progress.end_task()
    if run.rc != 0:
        raise progress.error(run.rc)
    return progress.recap


def require_not_existing(inventory: Inventory) -> None:
    """Raise UsageError for a cluster that jepsenvm did not deploy."""
    if inventory.existing:
        raise UsageError(
            f"{inventory.path}: jepsenvm_existing is set, so nothing is installed or removed there",
            remedy="name another inventory, or remove that line",
        )


def playbooks() -> Path:
    """Return the folder of the playbooks: in the package of a wheel, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "playbooks"
    return installed if installed.is_dir() else package.parent / "playbooks"


def _require_no_templates(variables: Mapping[str, object]) -> None:
    """Raise UsageError for a variable that Ansible would evaluate on this machine."""
    for name, value in variables.items():
        if any(mark in str(value) for mark in ("{{", "{%", "{#")):
            raise UsageError(
                f"{name} is {shown(value)}, which Ansible would take for a template",
                remedy="use a value without {{, {% and {#",
            )


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
        # The ansible-playbook installed with this Python, whatever else the machine has.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


@contextmanager
def _control_sockets(folder: Path) -> Iterator[Path]:
    """Close Ansible's SSH connections at the end; it would keep them open for another minute."""
    folder.mkdir()
    try:
        yield folder
    finally:
        for socket in folder.iterdir():
            command = ["ssh", "-O", "exit", "-o", f"ControlPath={socket}", "any"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


@contextmanager
def _log(file: Path | None) -> Iterator[Callable[[str], None]]:
    if file is None:
        yield lambda _text: None
        return
    try:
        stream = open(file, "a", encoding="utf-8", opener=private)  # noqa: SIM115 - Path.open has no opener; closed below
    except OSError as error:
        raise UsageError(
            f"cannot write to {file}: {error.strerror}", remedy="name another log file"
        ) from error
    with stream:

        def write(text: str) -> None:
            stream.write(printable(text) + "\n")
            stream.flush()

        yield write


@contextmanager
def _interruptible(progress: PlaybookProgress) -> Iterator[Callable[[], bool]]:
    """Let Ansible end its workers on SIGINT, SIGTERM and SIGHUP; then let the signal take effect.

    The workers outlive an Ansible that is killed, and continue to change hosts. Yield a function
    that says whether Ansible had its time to end them.
    """
    caught: list[int] = []
    since = 0.0

    def catch(number: int, _frame: object) -> None:
        nonlocal since
        if not caught:
            since = monotonic()
            progress.terminate()
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # only the main thread can handle signals
        return
    # A signal that is ignored stays ignored: nohup does that with SIGHUP.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, catch) for number in numbers}
    try:
        yield lambda: bool(caught) and monotonic() - since > INTERRUPT_GRACE_S
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])
