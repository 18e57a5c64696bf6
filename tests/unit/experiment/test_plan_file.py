"""The plan of a run: its file, the options that override it, and a drawn seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.experiment.plan_file import parse_overrides, plan_of_new_run, read_plan


def test_options_override_the_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.yml"
    file.write_text("seed: 3\ntime-limit: 60\nrate: 5\n")
    plan = plan_of_new_run(file, {"rate": 7, **parse_overrides(["time-limit=2m"])})
    assert (plan.seed, plan.time_limit, plan.rate) == (3, 120, 7)


def test_a_seed_is_drawn_if_none_is_given() -> None:
    assert len({plan_of_new_run(None, {}).seed for _ in range(5)}) > 1
    assert plan_of_new_run(None, {"seed": 4}).seed == 4


def test_a_stored_plan_reads_back_the_same(tmp_path: Path) -> None:
    plan = plan_of_new_run(None, {"workload": "order"})
    file = tmp_path / "plan.yml"
    file.write_text(plan.to_yaml())
    assert read_plan(file) == plan


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["hold"], "--set hold: must be KEY=VALUE"),
        (["x" * 1000], "--set xxxx"),
        (["hold=[1"], "--set hold=[1: not readable as YAML"),
    ],
)
def test_a_wrong_override_names_the_option(words: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_overrides(words)
    assert str(refused.value).startswith(problem)
    assert len(str(refused.value)) < 300


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.yml: No such file"):
        plan_of_new_run(tmp_path / "no.yml", {})
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.yml: not readable as UTF-8 text"):
        read_plan(binary)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("rates: 1\n")
    with pytest.raises(UsageError, match=r"wrong\.yml: unknown key 'rates'"):
        read_plan(wrong)


@pytest.mark.parametrize(
    "name",
    ["latest", ".", "..", "a/b", "../a", "/a", "", " ", "a b", "a\n", "a\x1b[31m", "x" * 65, "-x"],
)
def test_a_name_that_the_store_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        plan_of_new_run(None, {"name": name})
