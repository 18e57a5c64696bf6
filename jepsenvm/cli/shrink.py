"""`jepsenvm shrink`: searches for a smaller plan that still fails in the same way."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

import click

from jepsenvm.campaign.folder import Folder
from jepsenvm.campaign.launcher import end_left_processes
from jepsenvm.campaign.runner import ProcessRunner
from jepsenvm.campaign.spec import Machines
from jepsenvm.cli.durations import duration
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import ShrinkShape
from jepsenvm.errors import UsageError, shorten
from jepsenvm.shrink.original import OriginalRun, original_run
from jepsenvm.shrink.search import Answer, smallest
from jepsenvm.shrink.subject import Subject, with_faults
from jepsenvm.shrink.trials import Effort, Trials, folder_of, is_valid, text_of

logger = logging.getLogger(__name__)

SHRUNK = "shrunk.yml"


@click.command("shrink")
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--inventory",
    metavar="INVENTORY",
    help="Inventory of the trials.  [default: that of the run]",
)
@click.option(
    "--lab",
    metavar="NAME",
    help="Lab of the trials, `default` for that of `jepsenvm lab up`. It is made anew, and may get "
    "fewer hosts.",
)
@click.option(
    "--budget",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="Time for the search.",
)
@click.option(
    "--tries",
    type=click.IntRange(1, 20),
    default=2,
    show_default=True,
    help="How often a smaller plan is run before it counts as not failing.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the trials and of shrunk.yml.  [default: shrunk/RUN]",
)
@as_json
@click.pass_context
def command(  # noqa: PLR0913 - one parameter per option
    context: click.Context,
    /,
    run_path: Path,
    *,
    inventory: str | None,
    lab: str | None,
    budget: float,
    tries: int,
    directory: Path | None,
    as_json: bool,
) -> None:
    """Search for a smaller plan that still fails in the same way.

    RUN is the folder of an invalid run. A smaller plan has fewer and shorter faults, fewer nodes
    and less load. It fails in the same way if it is invalid with the same kinds of anomalies. Each
    smaller plan is written to shrunk.yml. The exit status is 2 if the run could not be repeated.
    """
    original = original_run(run_path)
    machines = _machines(original, inventory, lab)
    folder = Folder(folder_of(run_path, directory))
    with folder.locked():
        end_left_processes(folder.path, logger.info)
        trials = Trials(
            original,
            machines,
            folder,
            ProcessRunner(folder, {}),
            logger.info,
            effort=Effort(time.monotonic() + budget, tries),
        )
        start = _reproduced(original, trials)
        if start is None:
            logger.info("the run was not repeated within the budget: it did not fail again")
            if as_json:
                print_json(ShrinkShape(reproduced=False))
            context.exit(2)
        _write(folder, start)
        result = smallest(start, trials, valid=is_valid, found=partial(_write, folder))
    ended = "nothing smaller fails" if result.complete else "the budget is used up"
    logger.info(f"{ended}; {result.trials} smaller plans were tried")
    logger.info(f"the smallest: {result.subject.describe()}")
    logger.info(f"plan: {folder.path / SHRUNK}")
    if as_json:
        print_json(
            ShrinkShape(
                reproduced=True,
                complete=result.complete,
                tried=result.trials,
                smallest=result.subject.describe(),
                plan=str(folder.path / SHRUNK),
            )
        )


def _machines(original: OriginalRun, inventory: str | None, lab: str | None) -> Machines:
    if inventory is not None and lab is not None:
        raise UsageError("--inventory and --lab: give one of them")
    try:
        if lab is not None:
            return Machines(lab=lab, nodes=original.nodes)
        path = inventory or original.inventory
        return Machines(inventory=path, existing=original.existing and inventory is None)
    except ValueError:
        raise UsageError(f"--lab: {shorten(lab)!r} is not the name of a lab") from None


def _reproduced(original: OriginalRun, trials: Trials) -> Subject | None:
    """Return the first form of the run that fails again: with its faults listed, or as drawn."""
    nodes = original.nodes if trials.may_change_size else None
    drawn = Subject(original.document, nodes)
    listed = Subject(with_faults(original.document, original.schedule), nodes)
    for subject in (listed, drawn) if original.schedule else (drawn,):
        if is_valid(subject) and trials(subject) is Answer.FAILS:
            return subject
    return None


def _write(folder: Folder, subject: Subject) -> None:
    plan = {**subject.plan, "name": f"{subject.plan['name']}-shrunk"[-64:].lstrip("._-")}
    size = f"# Needs a cluster of {subject.nodes} nodes.\n" if subject.nodes else ""
    folder.write(SHRUNK, size + text_of(plan))
    logger.info(f"smaller: {subject.describe()}")
