"""`jepsenvm scenario`: the library of scenarios, and their runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click
import yaml
from rich.console import Console
from rich.table import Table

from jepsenvm.checkers.verdict import worst
from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.cli.json_option import as_json, print_json
from jepsenvm.cli.json_shapes import (
    FileShape,
    ScenarioRunShape,
    ScenarioRunsShape,
    run_shape,
)
from jepsenvm.cli.run_progress import RunProgress
from jepsenvm.errors import UsageError, printable_line
from jepsenvm.experiment.run_analysis import presentation_of
from jepsenvm.experiment.store import LOG, REPORT, Store, create
from jepsenvm.report.terminal import verdict_lines
from jepsenvm.scenarios import library
from jepsenvm.scenarios.from_run import scenario_text
from jepsenvm.scenarios.record import Record
from jepsenvm.scenarios.running import SEEDS, ScenarioRun, plans, run_scenario, summary
from jepsenvm.scenarios.scenario import MAX_REPEAT
from jepsenvm.scenarios.suitability import require_nodes
from jepsenvm.workloads.registry import WORKLOADS

logger = logging.getLogger(__name__)


@click.group("scenario")
def group() -> None:
    """Run experiments of papers, posts and issues.

    Each verdict is compared with the expected one for the version of RabbitMQ.
    """


@group.command("list")
@as_json
def list_(*, as_json: bool) -> None:
    """Show the scenarios of the library, with the versions that they apply to."""
    scenarios = library.scenarios()
    if as_json:
        click.echo(json.dumps([scenario.as_data() for scenario in scenarios], indent=2))
        return
    table = Table("scenario", "RabbitMQ", "what it is")
    table.columns[0].no_wrap = True
    for scenario in scenarios:
        table.add_row(scenario.name, scenario.about.versions, scenario.about.title)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


@group.command("show")
@click.argument("name")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """Show the story of a scenario, its sources, the expected verdicts and its plan.

    NAME is a scenario of `jepsenvm scenario list`, or a file whose name ends with .yml.
    """
    scenario = library.find(name)
    if as_json:
        click.echo(json.dumps(scenario.as_data(), indent=2))
        return
    for line in scenario.lines():
        click.echo(printable_line(line))
    click.echo(yaml.safe_dump(dict(scenario.document), sort_keys=False), nl=False)


@group.command("run")
@click.argument("name")
@options.inventory
@options.existing
@options.patience
@click.option(
    "--repeat",
    type=click.IntRange(1, MAX_REPEAT),
    metavar="N",
    help="Number of runs, each with the next seed.  [default: as the scenario says]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, SEEDS),
    metavar="N",
    help="Seed of the first run.  [default: as the scenario says]",
)
@options.store
@options.no_deploy
@as_json
@click.pass_context
def run(  # noqa: PLR0913, PLR0917 - one parameter per option of the command
    context: click.Context,
    /,
    name: str,
    inventory_path: Path | None,
    patience: float | None,
    repeat: int | None,
    seed: int | None,
    store_root: Path,
    no_deploy: bool,
    existing: bool,
    as_json: bool,
) -> None:
    """Run a scenario, and compare its verdict with the expected one for this RabbitMQ.

    NAME is a scenario of `jepsenvm scenario list`, or a file whose name ends with .yml. The exit
    status is that of the verdict, of the worst one if there are several runs: 0 for valid, 1 for
    invalid and 2 for unknown, whatever is expected.
    """
    scenario = library.find(name)
    count = repeat or scenario.about.repeat
    progress = RunProgress(stderr=as_json)
    with progress.shown():
        inventory = inventory_for(
            inventory_path, bring_up=True, existing=existing, patience=patience
        )
        require_nodes(scenario, inventory)
        runs: list[ScenarioRun] = []
        shapes: list[ScenarioRunShape] = []
        for number, plan in enumerate(plans(scenario, count, seed), start=1):
            store = create(store_root, plan)
            with progress.kept_in(store.path / LOG):
                finished = run_scenario(
                    scenario,
                    plan,
                    Record(scenario.name, number, count),
                    inventory,
                    store,
                    progress.watch,
                    may_deploy=not no_deploy,
                )
                presentation = presentation_of(WORKLOADS[plan.workload])
                for line in (*verdict_lines(finished.results, presentation), *finished.lines()):
                    logger.info(line)
                logger.info(f"stored in {store.path}, report: {store.path / REPORT}")
            runs.append(finished)
            shapes.append(_shape(finished, store))
        if count > 1:
            logger.info(summary(runs))
    verdict = worst(*(finished.results.verdict for finished in runs))
    if as_json:
        print_json(ScenarioRunsShape(verdict=str(verdict), runs=shapes))
    context.exit(verdict.exit_status)


def _shape(finished: ScenarioRun, store: Store) -> ScenarioRunShape:
    expectation = finished.expectation
    return ScenarioRunShape(
        **dict(run_shape(store, finished.results)),
        scenario=finished.scenario.name,
        rabbitmq=finished.rabbitmq,
        expected=expectation.describe() if expectation else None,
        comparison=str(finished.comparison),
    )


@group.command("new")
@click.argument("name")
@click.option(
    "--from",
    "run_path",
    required=True,
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Folder of the run.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="FOLDER",
    help="Folder of the new file.  [default: the current folder]",
)
@as_json
def new(name: str, run_path: Path, output: Path, *, as_json: bool) -> None:
    """Write a scenario with the plan and the faults of a run, also those by hand.

    The file is NAME.yml. It is never overwritten. It expects nothing: complete its story and the
    expected verdicts.
    """
    text = scenario_text(name, run_path)
    path = output / f"{name}.yml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path}: exists already", remedy="choose another name") from None
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}", remedy="choose another --output"
        ) from None
    if as_json:
        print_json(FileShape(file=str(path)))
    else:
        click.echo(f"written: {path}")
