"""What a run leaves in its folder beside its history: results and report.

A verdict that was reached stays the verdict of the run even if these files cannot be written.
"""

from __future__ import annotations

import logging
from pathlib import Path

from jepsenvm.checkers.verdict import Results
from jepsenvm.experiment.store import REPORT, RESULTS, Store
from jepsenvm.experiment.stored_run import load_run
from jepsenvm.report.html import page

logger = logging.getLogger(__name__)


def write_results(store: Store, results: Results) -> None:
    """Write results.json, or log why it could not be written."""
    try:
        store.write_results(results)
    except OSError as error:
        _log(store.path / RESULTS, error.strerror or str(error))


def write_report(store: Store, results: Results) -> None:
    """Write the report, or log why it could not be made."""
    try:
        store.write(REPORT, page(load_run(store.path, results)))
    except OSError as error:
        _log(store.path / REPORT, error.strerror or str(error))
    except Exception as crash:  # the report shows the verdict and must not change it
        _log(store.path / REPORT, f"{type(crash).__name__}: {crash}")


def _log(file: Path, reason: str) -> None:
    file.with_name(f".{file.name}").unlink(missing_ok=True)
    logger.info(
        f"{file} could not be written: {reason}; the verdict stays, and `jepsenvm check "
        f"{file.parent}` repeats it"
    )
