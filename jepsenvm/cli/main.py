"""The entry point: every command, and the one place where errors become a line and an exit status."""

from __future__ import annotations

import sys
import traceback

import click

from jepsenvm.cli import check, deploy, doctor, export, fault, heal, hello, lab, remove, run
from jepsenvm.cli.progress import PlainHandler, shown
from jepsenvm.errors import JepsenvmError

USAGE_STATUS = 254
CRASH_STATUS = 255


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--traceback", "wants_traceback", is_flag=True, help="Show where an error came from.")
@click.version_option(package_name="jepsenvm")
@click.pass_context
def cli(context: click.Context, wants_traceback: bool) -> None:
    """Tell whether a RabbitMQ cluster loses messages that it confirmed, when networks and machines fail.

    Exit status: 0 valid, 1 invalid, 2 unknown, 254 bad usage or configuration, 255 crashed.
    """
    context.obj = wants_traceback
    context.with_resource(shown(PlainHandler()))


cli.add_command(lab.group)
cli.add_command(deploy.command)
cli.add_command(remove.command)
cli.add_command(hello.command)
cli.add_command(run.command)
cli.add_command(check.command)
cli.add_command(export.command)
cli.add_command(heal.command)
cli.add_command(fault.group)
cli.add_command(doctor.command)


def main() -> None:
    """Run the command line and exit with its status."""
    wants_traceback = "--traceback" in sys.argv
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        status = USAGE_STATUS
    except (click.Abort, KeyboardInterrupt):
        click.echo("jepsenvm: interrupted", err=True)
        status = CRASH_STATUS
    except JepsenvmError as problem:
        _show(str(problem), wants_traceback)
        status = problem.exit_status
    except Exception as crash:
        _show(
            f"crashed: {type(crash).__name__}: {crash}; run with --traceback and report it",
            wants_traceback,
        )
        status = CRASH_STATUS
    sys.exit(status if isinstance(status, int) else 0)


def _show(line: str, wants_traceback: bool) -> None:
    if wants_traceback:
        traceback.print_exc()
    click.echo(f"jepsenvm: {line}", err=True)
