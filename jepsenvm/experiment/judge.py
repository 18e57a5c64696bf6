"""The verdict of a run or of another program's history, from the files on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from jepsenvm.errors import UsageError
from jepsenvm.experiment.analysis import Analysis
from jepsenvm.experiment.foreign_analysis import FOREIGN_WORKLOADS, judge_foreign
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.readers import open_history
from jepsenvm.history.table import History

JEPSEN_HISTORY: Final = "history.edn"
"""The history in a store directory of Jepsen."""


def judge(
    path: Path,
    workload: str | None = None,
    *,
    initial: str | None = None,
    read: Callable[[Path], History] = open_history,
) -> Analysis:
    """Check a run's directory, a history file, or a store directory of Jepsen.

    ``workload`` names the checker for a history of another program. A history that a run recorded
    is judged with everything that it records about the run, wherever it is. ``initial`` is the
    value in EDN with which registers begin. ``read`` opens the history. Raises UsageError if there
    is nothing to check at the path, the workload is unknown, or it has no initial value.
    """
    if initial is not None and workload != "register":
        raise UsageError(
            "--initial: only a register has an initial value", remedy="use --workload register"
        )
    try:
        is_folder = path.is_dir()
        path.lstat()
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
        raise UsageError(
            f"{path}: {'no such run or history' if missing else problem.strerror}",
            remedy="give a path that exists" if missing else None,
        ) from None
    if is_folder:
        return _judge_folder(path, workload, initial, read)
    if path.name == HISTORY and (path.parent / PLAN).exists():
        return _judge_run(path.parent, read)
    return _judge_history(path, read(path), workload, initial)


def _judge_folder(
    path: Path, workload: str | None, initial: str | None, read: Callable[[Path], History]
) -> Analysis:
    if (path / HISTORY).exists() and not (path / PLAN).exists():
        return _judge_history(path, read(path / HISTORY), workload, initial)
    if (path / HISTORY).exists() or (path / PLAN).exists():
        return _judge_run(path, read)
    jepsen = path / JEPSEN_HISTORY
    if jepsen.exists():
        return _judge_history(jepsen, read(jepsen), workload, initial)
    raise UsageError(
        f"{path}: there is no run and no history here",
        remedy=f"give a folder with {HISTORY} or {JEPSEN_HISTORY}, or a history file",
    )


def _judge_run(path: Path, read: Callable[[Path], History]) -> Analysis:
    # The plan, the faults and the AMQP client take long to import. Only runs need them.
    from jepsenvm.experiment.run_analysis import judge_stored  # noqa: PLC0415

    return judge_stored(path, read)


def _judge_history(
    path: Path, history: History, workload: str | None, initial: str | None
) -> Analysis:
    """Check a history that is not in the folder of its run."""
    if not history.own and (workload is None or workload in FOREIGN_WORKLOADS):
        return judge_foreign(path, history, workload, initial)
    from jepsenvm.experiment.run_analysis import judge_recorded  # noqa: PLC0415 - as above

    return judge_recorded(path, history, workload, initial)
