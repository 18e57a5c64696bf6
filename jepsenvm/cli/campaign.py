"""`jepsenvm campaign`: runs a matrix of experiments, plans it, reports it and compares two."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any

import click

from jepsenvm.campaign import comparison, markdown
from jepsenvm.campaign.ci_matrix import ci_matrix
from jepsenvm.campaign.controller import Controller, Limits
from jepsenvm.campaign.estimate import Estimate, duration_text
from jepsenvm.campaign.folder import REPORT, Folder
from jepsenvm.campaign.junit import junit
from jepsenvm.campaign.launcher import end_left_processes
from jepsenvm.campaign.machines_check import require_possible
from jepsenvm.campaign.merge import merged
from jepsenvm.campaign.page import page
from jepsenvm.campaign.planned import Expansion, PlannedRun, describe
from jepsenvm.campaign.reading import expanded, read_campaign
from jepsenvm.campaign.remote_machines import NewRunner
from jepsenvm.campaign.runner import ProcessRunner, Runner
from jepsenvm.campaign.spec import CampaignFile, Machines
from jepsenvm.campaign.summary import Summary, summarized
from jepsenvm.cli.campaign_progress import CampaignProgress
from jepsenvm.cli.campaign_workers import dask_workers, worker
from jepsenvm.cli.durations import duration
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import campaign_shape, difference_shape
from jepsenvm.errors import UsageError, printable_line, shorten

file_argument = click.argument("file", metavar="FILE.yml", type=click.Path(path_type=Path))


def outputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for files that CI systems read."""
    kind = click.Path(path_type=Path, dir_okay=False)
    to_junit = click.option(
        "--junit", "junit_file", type=kind, metavar="FILE", help="Write JUnit's XML to this file."
    )
    to_summary = click.option(
        "--summary",
        "summary_file",
        type=kind,
        metavar="FILE.md",
        help="Append the report as Markdown to this file, such as $GITHUB_STEP_SUMMARY.",
    )
    return to_junit(to_summary(command))


@click.group("campaign")
def group() -> None:
    """Run a matrix of experiments, and report the verdicts.

    FILE.yml is described in docs/campaigns.md.
    """


group.add_command(worker)


@group.command()
@file_argument
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the campaign.  [default: campaigns/NAME]",
)
@click.option(
    "-i",
    "--inventory",
    "inventories",
    multiple=True,
    metavar="INVENTORY",
    help="Inventory instead of the file's machines. May be repeated.",
)
@click.option(
    "--lab",
    "labs",
    multiple=True,
    metavar="NAME",
    help="Lab instead of the file's machines; `default` is that of `jepsenvm lab up`. May be "
    "repeated.",
)
@click.option(
    "--budget",
    metavar="TIME",
    callback=duration,
    help="Time for this command, such as 5h. A run that would not end in time does not begin.",
)
@click.option(
    "--cluster", "cluster_key", metavar="NAME", help="Only the runs of one cluster of `plan`."
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask scheduler whose workers have the machines, such as tcp://127.0.0.1:8786. Start them "
    "with `jepsenvm campaign worker`.",
)
@outputs
@as_json
@click.pass_context
def run(  # noqa: PLR0913 - one parameter per option
    context: click.Context,
    /,
    file: Path,
    *,
    directory: Path | None,
    inventories: Sequence[str],
    labs: Sequence[str],
    budget: float | None,
    cluster_key: str | None,
    scheduler: str | None,
    junit_file: Path | None,
    summary_file: Path | None,
    as_json: bool,
) -> None:
    """Run the experiments of a campaign, or those that are left of it.

    Each cluster runs one experiment at a time. The same command continues an interrupted campaign:
    finished runs stay, runs that were in progress are repeated. The exit status is 1 if an outcome
    is worse than expected, 2 if one is unknown or missing, and 0 otherwise.
    """
    campaign = _with_machines(read_campaign(file), inventories, labs)
    everything = expanded(campaign, file)
    expansion = _of_cluster(everything, cluster_key, file)
    new_runner: NewRunner = ProcessRunner
    if scheduler is not None:
        if inventories or labs:
            raise UsageError("--scheduler has the machines of its workers", remedy="drop -i, --lab")
        machines, new_runner = context.with_resource(dask_workers(scheduler, campaign.name))
        campaign = campaign.model_copy(update={"machines": machines})
    require_possible(expansion.runs, campaign.machines, campaign.versions, str(file))
    folder = Folder(directory or Path("campaigns") / campaign.name)
    seconds = budget if budget is not None else campaign.budget
    with folder.locked():
        folder.begin(campaign.name, everything)
        progress = CampaignProgress(len(expansion.runs), stderr=as_json)
        with progress.shown():
            end_left_processes(folder.path, progress.note)
            runner = new_runner(folder, campaign.versions)
            _execute(campaign, expansion, folder, seconds, progress, runner)
        summary = summarized(campaign.name, expansion, folder.records(expansion.runs))
        report_file = folder.write(REPORT, page(summary))
    _write_outputs(summary, folder.path, junit_file, summary_file)
    progress.note(summary.headline)
    progress.note(f"report: {report_file}")
    if as_json:
        print_json(campaign_shape(summary, report_file))
    context.exit(summary.exit_status)


@group.command()
@file_argument
@click.option(
    "--format",
    "as_format",
    type=click.Choice(["text", "github"]),
    default="text",
    show_default=True,
    help="`github`: a matrix of GitHub Actions in JSON, one job for each cluster.",
)
@as_json
def plan(file: Path, *, as_format: str, as_json: bool) -> None:
    """Print the runs of a campaign without running them."""
    campaign = read_campaign(file)
    expansion = expanded(campaign, file)
    if as_json:
        data = {
            "runs": [run.as_data() for run in expansion.runs],
            "left-out": [{**vars(one)} for one in expansion.left_out],
            "excluded": expansion.excluded,
        }
        click.echo(json.dumps(data, indent=1))
    elif as_format == "github":
        click.echo(json.dumps(ci_matrix(expansion.runs, campaign.versions)))
    else:
        _print_plan(campaign, expansion)


@group.command()
@click.argument(
    "directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--format",
    "as_format",
    type=click.Choice(["html", "markdown"]),
    default="html",
    show_default=True,
    help="Format of the report.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the report.  [default: DIR/report.html; Markdown is printed]",
)
@outputs
@as_json
@click.pass_context
def report(
    context: click.Context,
    /,
    directories: Sequence[Path],
    *,
    as_format: str,
    output: Path | None,
    junit_file: Path | None,
    summary_file: Path | None,
    as_json: bool,
) -> None:
    """Report the outcomes of a campaign, whose jobs may have several folders.

    The exit status is 1 if an outcome is worse than expected, 2 if one is unknown or missing, and 0
    otherwise.
    """
    if as_format == "html" and output is None:
        output = directories[0] / REPORT
    folders = [Folder(directory) for directory in directories]
    # The paths of the runs are relative to this folder.
    base = output.parent if output is not None else directories[0]
    summary = merged(folders, base)
    text = page(summary) if as_format == "html" else markdown.report(summary)
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if as_json:
        print_json(campaign_shape(summary, output))
    elif output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"{printable_line(summary.headline)}\nreport: {output}")
    _write_outputs(summary, base, junit_file, summary_file)
    context.exit(summary.exit_status)


@group.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="[B]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--versions",
    nargs=2,
    metavar="V W",
    help="Compare this version in A with that version in B, or in A without B.",
)
@as_json
@click.pass_context
def diff(
    context: click.Context,
    /,
    before: Path,
    after: Path | None,
    *,
    versions: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """Compare the outcomes of two campaigns, such as of two dates, or of two versions.

    A and B are the folders of campaigns. The exit status is 1 if an outcome became worse, 2 if one
    cannot be compared, and 0 otherwise.
    """
    if after is None and versions is None:
        raise UsageError("there is nothing to compare", remedy="give a second folder or --versions")
    old, new = merged([Folder(before)]), merged([Folder(after or before)])
    found = comparison.differences(old, new, versions or None)
    if not found:
        raise UsageError("no combination of settings is in both", remedy="check --versions")
    names = versions or (str(before), str(after))
    if as_json:
        print_json(list(map(difference_shape, found)))
    else:
        click.echo(markdown.difference_report(found, *names), nl=False)
    context.exit(comparison.exit_status(found))


def _execute(
    campaign: CampaignFile,
    expansion: Expansion,
    folder: Folder,
    budget: float | None,
    progress: CampaignProgress,
    runner: Runner,
) -> None:
    deadline = None if budget is None else time.time() + budget
    controller = Controller(
        folder,
        expansion.runs,
        campaign.versions,
        runner,
        progress,
        limits=Limits(campaign.retries, deadline),
    )
    dirty = controller.recover()
    workers = controller.workers(campaign.machines, dirty)
    progress.begin(controller.records, controller.remaining(len(workers)), campaign.retries)
    controller.execute(workers)
    if controller.stopped_by_budget:
        progress.note("the budget is used up: the same command runs the rest")


def _with_machines(
    campaign: CampaignFile, inventories: Sequence[str], labs: Sequence[str]
) -> CampaignFile:
    """Return the campaign with the machines of the options instead of its own, if there are any."""
    given = [{"inventory": path} for path in inventories] + [{"lab": name} for name in labs]
    if not given:
        return campaign
    try:
        machines = tuple(Machines.model_validate(one) for one in given)
    except ValueError:
        raise UsageError(f"--lab: {shorten(labs)}: not the name of a lab") from None
    if len(set(machines)) < len(machines):
        raise UsageError("the same machines are given twice", remedy="give each once")
    known = {one.name: one for one in campaign.machines}
    return campaign.model_copy(
        update={"machines": tuple(known.get(one.name, one) for one in machines)}
    )


def _of_cluster(expansion: Expansion, key: str | None, file: Path) -> Expansion:
    if key is None:
        return expansion
    runs = tuple(run for run in expansion.runs if run.cluster.key == key)
    if not runs:
        known = ", ".join(sorted({run.cluster.key for run in expansion.runs}))
        raise UsageError(
            f"--cluster {shorten(key)}: {file} has no runs on it",
            remedy=f"use one of {shorten(known, 300)}",
        )
    return Expansion(runs, expansion.left_out, expansion.excluded)


def _print_plan(campaign: CampaignFile, expansion: Expansion) -> None:
    for number, one in enumerate(expansion.runs, start=1):
        click.echo(f"{number:5}  {printable_line(one.title)}, expected {one.expected}")
    for left_out in expansion.left_out:
        click.echo(f"left out: {printable_line(describe(left_out.settings))}: {left_out.reason}")
    if expansion.excluded:
        click.echo(f"excluded: {expansion.excluded} combinations")
    click.echo(_size(expansion.runs, len(campaign.machines)))


def _size(runs: Sequence[PlannedRun], machines: int) -> str:
    clusters = len({run.cluster for run in runs})
    seconds = Estimate().of_runs(runs, machines)
    return (
        f"{len(runs)} runs on {clusters} clusters, about {duration_text(seconds)} with "
        f"{machines} at a time"
    )


def _write_outputs(
    summary: Summary, base: Path, junit_file: Path | None, summary_file: Path | None
) -> None:
    """Write the files for CI; ``base`` is the folder to which the paths of runs are relative."""
    if junit_file is not None:
        text = junit(summary, relpath(base, junit_file.parent))
        junit_file.write_text(text, encoding="utf-8")
    if summary_file is not None:
        text = markdown.report(summary, relpath(base, summary_file.parent))
        with summary_file.open("a", encoding="utf-8") as file:
            file.write(text)
