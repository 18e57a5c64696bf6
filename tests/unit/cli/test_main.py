"""The command line as a whole: its list of commands, its errors, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from jepsenvm.cli import check, main
from jepsenvm.cli.json_shapes import SHAPES
from jepsenvm.cli.main import COMMANDS, cli
from jepsenvm.errors import CommandError, RunError, UsageError
from tests.unit.cli.conftest import Jepsenvm, assert_one_line, imported_by

HEAVY = ("ansible_runner", "fabric", "matplotlib", "numpy", "pika", "pyarrow", "pydantic", "rich")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_list_has_the_first_sentence_of_each_commands_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert COMMANDS[name].help == command.get_short_help_str(limit=200)


def test_help_lists_every_command(jepsenvm: Jepsenvm) -> None:
    result = jepsenvm("--help")
    assert result.exit_code == 0
    for name, command in COMMANDS.items():
        assert f"  {name}" in result.stdout
        assert command.help in result.stdout


def test_without_a_command_the_help_is_shown(jepsenvm: Jepsenvm) -> None:
    assert "Commands:" in jepsenvm().output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(jepsenvm: Jepsenvm, name: str) -> None:
    result = jepsenvm(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: jepsenvm {name}")
    assert COMMANDS[name].help.split(",", maxsplit=1)[0].split()[0] in result.stdout


def test_the_version_is_shown(jepsenvm: Jepsenvm) -> None:
    assert jepsenvm("--version").stdout.startswith("jepsenvm, version ")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["no-such-command"]])
def test_nothing_heavy_is_imported_unless_a_command_runs(words: list[str]) -> None:
    _, imported = imported_by(*words)
    assert "jepsenvm.cli.main" in imported
    assert not set(HEAVY) & imported
    assert not [name for name in COMMANDS if f"jepsenvm.cli.{name}" in imported]


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["no-such-command"], ["no-such-command", "see `jepsenvm --help`"]),
        (["--no-such-option"], ["--no-such-option"]),
        (["check"], ["PATH", "see `jepsenvm check --help`"]),
        (["run", "--workload", "mystery"], ["--workload", "mystery", "see `jepsenvm run --help`"]),
        (["lab", "up", "--nodes", "many"], ["--nodes", "see `jepsenvm lab up --help`"]),
    ],
)
def test_bad_usage_is_one_line_that_names_the_option(
    jepsenvm: Jepsenvm, words: list[str], texts: list[str]
) -> None:
    assert_one_line(jepsenvm(*words), 254, *texts)


def test_a_long_input_is_not_repeated_in_full(jepsenvm: Jepsenvm) -> None:
    result = jepsenvm("run", "--workload", "x" * 100_000)
    assert_one_line(result, 254)
    assert len(result.stderr) < 2000


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("bad", remedy="do better"), 254, "jepsenvm: bad; do better"),
        (RunError("broken", node="n1"), 255, "jepsenvm: n1: broken"),
        (
            CommandError("no", node="n1", command="false", status=1),
            255,
            "jepsenvm: n1: no (`false` exited 1)",
        ),
        (
            KeyError("oops"),
            255,
            "jepsenvm: crashed: KeyError: 'oops'; run with --traceback and report it",
        ),
        (KeyboardInterrupt(), 255, "jepsenvm: interrupted"),
        (click.Abort(), 255, "jepsenvm: interrupted"),
    ],
)
def test_an_error_is_one_line_and_an_exit_status(
    jepsenvm: Jepsenvm,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    line: str,
) -> None:
    def fail(*_: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(check, "judge", fail)
    result = jepsenvm("check", ".")
    assert result.exit_code == status
    assert result.stderr.strip() == line


def test_a_traceback_is_shown_on_request(
    jepsenvm: Jepsenvm, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **_options: object) -> None:
        raise UsageError("bad")

    monkeypatch.setattr(check, "judge", fail)
    result = jepsenvm("--traceback", "check", ".")
    assert result.exit_code == 254
    assert "Traceback" in result.stderr + capfd.readouterr().err
    assert result.stderr.endswith("jepsenvm: bad\n")


def test_the_entry_point_exits_with_the_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["jepsenvm", "check", str(tmp_path / "missing.edn")])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 254


def completions(words: list[str], incomplete: str) -> dict[str, str | None]:
    complete = ShellComplete(cli, {}, "jepsenvm", "_JEPSENVM_COMPLETE")
    return {item.value: item.help for item in complete.get_completions(words, incomplete)}


def test_names_of_commands_complete_with_their_help() -> None:
    assert completions([], "he") == {name: COMMANDS[name].help for name in ("heal", "hello")}
    assert set(completions([], "")) == set(COMMANDS)


def test_options_and_their_values_complete() -> None:
    assert "--workload" in completions(["run"], "--work")
    assert set(completions(["run", "--workload"], "l")) == {"lock"}
    assert set(completions(["run", "--nemesis"], "partition-l")) == {"partition-leader"}
    assert set(completions(["fault"], "sta")) == {"start", "status"}
    assert "--traceback" in completions([], "--t")


def test_a_shell_gets_its_completion_script() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from jepsenvm.cli.main import cli; cli.main(prog_name='jepsenvm')"],
        env={"_JEPSENVM_COMPLETE": "zsh_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "_JEPSENVM_COMPLETE=zsh_complete" in done.stdout


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is no group, with its name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_every_command_with_a_result_prints_it_as_json() -> None:
    takes_json = {
        name
        for name, command in commands(cli)
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert takes_json == set(SHAPES)
    assert {name for name, _ in commands(cli)} - takes_json == {
        "campaign worker",
        "lab ssh",
        "serve",
    }
