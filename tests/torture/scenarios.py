"""Four disturbances of a run: a frozen host, a full disk, a second run, a playbook that fails."""

from __future__ import annotations

import errno
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from jepsenvm.history.readers import open_history
from tests.lab.conftest import JEPSENVM, jepsenvm, on, until
from tests.torture.hosts import NODES, frozen, left_by_faults, seconds_until_healed

RUN: Final = (
    *("run", "--nemesis", "partition-random-halves", "--quiet-before", "2", "--seed", "3"),
    *("--fault-duration", "20", "--time-limit", "40", "--net-ticktime", "8"),
)
ENDS_WITHIN_S: Final = 900.0
TMPFS_MB: Final = 260


@contextmanager
def running(store: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a run, and wait until its first fault is in force."""
    controller = subprocess.Popen(
        [JEPSENVM, *RUN, "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert controller.stdout is not None
    try:
        for line in controller.stdout:
            if "in force" in line:
                break
        else:
            raise AssertionError(f"no fault came into force (exit {controller.wait()})")
        yield controller
    finally:
        if controller.poll() is None:
            controller.terminate()
            controller.wait(timeout=ENDS_WITHIN_S)


def frozen_host(store: Path) -> str:
    """Freeze a host while a fault is in force: the others heal, and the run ends."""
    with running(store) as controller:
        with frozen("n5"):
            began = time.monotonic()
            others = [node for node in NODES if node != "n5"]
            assert until(lambda: not left_by_faults(others), 240), left_by_faults(others)
            healed = f"the other hosts were healed after {time.monotonic() - began:.0f} s"
        controller.communicate(timeout=ENDS_WITHIN_S)
        assert controller.returncode in (1, 2, 255), controller.returncode
    jepsenvm("heal", timeout=300)
    assert seconds_until_healed(180) is not None, left_by_faults()
    return f"{healed}; exit {controller.returncode}"


def full_disk(store: Path) -> str:
    """Fill the store's disk while a fault is in force: no valid verdict, and everything heals."""
    store.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(store)]
    subprocess.run(mount, check=True)
    try:
        with running(store) as controller:
            _fill(store / "ballast")
            output, _ = controller.communicate(timeout=ENDS_WITHIN_S)
            assert controller.returncode in (2, 255), (controller.returncode, output)
        assert "Traceback" not in output, output
        run = (store / "latest").resolve()
        assert not _is_complete(run), "a history that could not be written is complete"
        assert seconds_until_healed(180) is not None, left_by_faults()
    finally:
        subprocess.run(["umount", str(store)], check=True)
    return f"exit {controller.returncode}, the history is cut short, everything is healed"


def _is_complete(run: Path) -> bool:
    """Return whether a run's history was closed. An open history would keep its disk mounted."""
    history = open_history(run / "history.arrow")
    list(history)
    return history.complete


def _fill(file: Path) -> None:
    """Write to a file until its disk is full."""
    with file.open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(b"\0" * 65536)
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise


def second_run(store: Path) -> str:
    """Start a second run during the first: it is refused, and the first is not disturbed."""
    with running(store / "first") as controller:
        refused = jepsenvm(*RUN, "--store", str(store / "second"), expect=254).stderr
        output, _ = controller.communicate(timeout=ENDS_WITHIN_S)
    assert controller.returncode == 0, (controller.returncode, output)
    return f"refused: {refused.strip()}"


def failing_playbook(store: Path) -> str:
    """Let Ansible fail on one node: one line names it, and the next deployment succeeds."""
    on("n5", "mount --bind /etc/rabbitmq /etc/rabbitmq; mount -o remount,bind,ro /etc/rabbitmq")
    try:
        failed = jepsenvm("deploy", "--net-ticktime", "9", timeout=1200)
        assert failed.returncode in (254, 255), failed.returncode
        assert "n5" in failed.stderr, failed.stderr
        assert "Traceback" not in failed.stderr, failed.stderr
    finally:
        on("n5", "umount /etc/rabbitmq")
    jepsenvm("deploy", "--net-ticktime", "8", expect=0, timeout=1200)
    return failed.stderr.strip().splitlines()[-1]


SCENARIOS: Final[Mapping[str, Callable[[Path], str]]] = {
    "frozen-host": frozen_host,
    "full-disk": full_disk,
    "second-run": second_run,
    "failing-playbook": failing_playbook,
}


def run_scenarios(names: Sequence[str], store: Path) -> Iterator[tuple[str, str, bool]]:
    """Run scenarios; yield the name, what came of it, and whether that is as it must be."""
    for name in names:
        scenario = SCENARIOS[name]
        folder = Path(tempfile.mkdtemp(dir=store))
        try:
            jepsenvm("deploy", "--net-ticktime", "8", expect=0, timeout=1200)
            yield name, scenario(folder / "store"), True
        # Whatever ended this scenario, the others are still run.
        except Exception as problem:
            yield name, f"{type(problem).__name__}: {problem}", False
