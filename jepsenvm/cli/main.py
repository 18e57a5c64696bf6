"""The entry point: the list of commands, and the mapping of errors to exit statuses."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from jepsenvm.cli.lazy import LazyCommand, LazyGroup
from jepsenvm.cli.progress import PlainHandler, shown
from jepsenvm.cli.streams import ignore_closed_streams
from jepsenvm.errors import JepsenvmError, printable, printable_line, shorten
from jepsenvm.experiment.interrupt import raise_on_signals

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""The errors of a full disk."""

USAGE_STATUS: Final = 254
CRASH_STATUS: Final = 255

COMMANDS: Final[Mapping[str, LazyCommand]] = {
    "campaign": LazyCommand(
        "jepsenvm.cli.campaign",
        "group",
        "Run a matrix of experiments, and report the verdicts.",
    ),
    "check": LazyCommand(
        "jepsenvm.cli.check",
        "command",
        "Check a stored run or a history file, and exit with its verdict.",
    ),
    "deploy": LazyCommand(
        "jepsenvm.cli.deploy",
        "command",
        "Install RabbitMQ on every node, form a cluster and verify it.",
    ),
    "doctor": LazyCommand(
        "jepsenvm.cli.doctor",
        "command",
        "Check what this machine and the hosts support, with remedies.",
    ),
    "explain": LazyCommand(
        "jepsenvm.cli.explain",
        "command",
        "Show the life of a message, and why it counts as it does.",
    ),
    "export": LazyCommand(
        "jepsenvm.cli.export",
        "command",
        "Write a history in another format.",
    ),
    "fault": LazyCommand(
        "jepsenvm.cli.fault",
        "group",
        "Inject faults by hand; `jepsenvm heal` heals them.",
    ),
    "heal": LazyCommand(
        "jepsenvm.cli.heal",
        "command",
        "Remove every fault that jepsenvm injected, from every node.",
    ),
    "hello": LazyCommand(
        "jepsenvm.cli.hello",
        "command",
        "Publish one confirmed message through each node and read it back.",
    ),
    "lab": LazyCommand(
        "jepsenvm.cli.lab",
        "group",
        "Manage Linux hosts on this machine, which need no hypervisor.",
    ),
    "plot": LazyCommand(
        "jepsenvm.cli.plot",
        "command",
        "Write plots of a stored run for tickets and READMEs.",
    ),
    "remove": LazyCommand(
        "jepsenvm.cli.remove",
        "command",
        "Remove everything that jepsenvm installed, from every node.",
    ),
    "report": LazyCommand(
        "jepsenvm.cli.report",
        "command",
        "Write the report of a stored run again.",
    ),
    "resume": LazyCommand(
        "jepsenvm.cli.resume",
        "command",
        "Resume a run whose controller was killed, and exit with its verdict.",
    ),
    "run": LazyCommand(
        "jepsenvm.cli.run",
        "command",
        "Run an experiment and exit with its verdict.",
    ),
    "scenario": LazyCommand(
        "jepsenvm.cli.scenario",
        "group",
        "Run experiments of papers, posts and issues.",
    ),
    "serve": LazyCommand(
        "jepsenvm.cli.serve",
        "command",
        "Browse the store: search, compare, download and follow runs.",
    ),
    "shrink": LazyCommand(
        "jepsenvm.cli.shrink",
        "command",
        "Search for a smaller plan that still fails in the same way.",
    ),
}
"""The help repeats the first sentence of the command's docstring. A test compares them."""


class _Jepsenvm(LazyGroup):
    def main(  # type: ignore[override]  # it always exits, whatever standalone_mode is
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command line and exit with its status."""
        words = list(sys.argv[1:] if args is None else args)
        with_traceback = "--traceback" in words
        extra["standalone_mode"] = False
        try:
            status = super().main(words, prog_name, **extra)
        except click.ClickException as error:
            _print_click_error(error)
            status = USAGE_STATUS
        except (click.Abort, KeyboardInterrupt):
            click.echo("jepsenvm: interrupted", err=True)
            status = CRASH_STATUS
        except JepsenvmError as error:
            _print_error(str(error), with_traceback=with_traceback)
            status = error.exit_status
        except OSError as error:
            reason = f"{error.strerror or type(error).__name__}"
            file = f"{error.filename}: " if error.filename is not None else ""
            remedy = "; free some disk space" if error.errno in FULL else ""
            _print_error(f"{file}{reason}{remedy}", with_traceback=with_traceback)
            status = CRASH_STATUS
        except Exception as crash:
            text = f"crashed: {type(crash).__name__}: {shorten(crash, 300)}"
            _print_error(
                f"{text}; run with --traceback and report it", with_traceback=with_traceback
            )
            status = CRASH_STATUS
        status = status if isinstance(status, int) else 0
        _flush(reported=status >= USAGE_STATUS)
        sys.exit(status)


@click.group(
    cls=_Jepsenvm,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--traceback", "with_traceback", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="jepsenvm")
@click.pass_context
def cli(context: click.Context, with_traceback: bool) -> None:
    """Check whether a RabbitMQ cluster loses confirmed messages when networks and machines fail.

    Exit status: 0 valid, 1 invalid, 2 unknown, 254 bad usage or configuration, 255 crashed.
    """
    context.obj = with_traceback
    context.with_resource(shown(PlainHandler()))


def main() -> NoReturn:
    """Run the command line with the arguments of this process."""
    ignore_closed_streams()
    raise_on_signals()
    cli.main()


def _flush(*, reported: bool) -> None:
    """Write what is still buffered. If that fails, the exit status still is the command's.

    ``reported`` says that the command has printed an error already.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would write it again at its exit, fail again and change the exit status.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the exit
        if not reported:
            _print_error(f"cannot write the output: {error.strerror}", with_traceback=False)


def _print_click_error(error: click.ClickException) -> None:
    # A group without a command prints its help. Click 8.2 and later raise an error for that.
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "jepsenvm"
    text = shorten(error.format_message(), 1000).rstrip(".")
    _print_error(f"{text}; see `{path} --help`", with_traceback=False)


def _print_error(line: str, *, with_traceback: bool) -> None:
    with contextlib.suppress(OSError):  # such as a full disk; the exit status still tells
        if with_traceback:
            click.echo(printable(traceback.format_exc()), err=True, nl=False)
        click.echo(f"jepsenvm: {printable_line(line)}", err=True)
