"""Plans that cost time, mean something else than they seem to, or are no plans: one line each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import UsageError
from jepsenvm.experiment.manual_fault import duration_option
from jepsenvm.experiment.plan_file import parse_overrides, plan_of_new_run, read_plan
from jepsenvm.nemesis.schedule import schedule
from jepsenvm.plan.plan import MAX_FAULTS

BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def refusal(text: str | bytes, folder: Path) -> str:
    file = folder / "plan.yml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as refused:
        read_plan(file)
    line = str(refused.value)
    assert line.startswith(f"{file}: ")
    assert "\n" not in line
    return line.removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BILLION_LAUGHS, "a plan has no anchors and aliases"),
        ("name: &a x", "a plan has no anchors and aliases"),
        ("rate: !!int '5'", "a plan has no tags (!)"),
        ("name: !!python/object/apply:os.system [id]", "a plan has no tags (!)"),
        ("name: ! x", "a plan has no tags (!)"),
        ("<<: {rate: 5}", "unknown key '<<'"),
        ("name: " + "[" * 100_000, "nest"),
        ("- " * 50_000, "nested more than 20 levels deep"),
        ("? " * 50_000, "nested more than 20 levels deep"),
        ("schedule: [" + "1," * 20_000 + "]", "there are more than 10,000 values"),
        ("name: " + "x" * 5_000_000, "larger than 4,000,000 bytes"),
        ("name: " + "x" * 2_000_000, "a plan has at most 1,000,000 characters"),
        ("seed: " + "9" * 5000, "not readable as YAML: Exceeds the limit"),
        ("seed: 0x" + "f" * 5000, "seed: Input should be less than"),
        ("time-limit: 0x" + "f" * 5000, "time-limit: "),
        ("seed: '" + "9" * 5000 + "'", "seed: "),
        ("name: 2026-13-45", "not readable as YAML: month must be in 1..12"),
        ("seed: 0b_", "not readable as YAML: invalid literal for int()"),
        ("on: 1\nyes: 2", "unknown key 'on' (see docs/plan.md for the keys); unknown key 'yes'"),
        ("[1]: 2", "a key must be a text"),
        ("{a: 1}: 2", "a key must be a text"),
        ("rate: 1\nrate: 2", "the key 'rate' is given twice"),
        ("log-patterns: {yes: a, yes: b}", "the key 'yes' is given twice"),
        ("- rate", "a plan is a mapping of keys to values"),
        ("5", "a plan is a mapping of keys to values"),
        ("a: 1\n---\nb: 2", "not readable as YAML: "),
        ("name: a\0b", "not readable as YAML: "),
        (b"\xff\xfen\0", "not readable as UTF-8 text"),
        (b"name: \xe4", "not readable as UTF-8 text"),
        ("name: \x1b[2J", "not readable as YAML: "),
        ('name: "\\e[2J"', "name: String should match pattern"),
    ],
)
def test_what_is_no_plan_is_refused(text: str | bytes, problem: str, tmp_path: Path) -> None:
    assert problem in refusal(text, tmp_path)
    assert len(refusal(text, tmp_path)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "time-limit: 1e308",
        "time-limit: 1.0e+308",
        "time-limit: 1e309",
        "time-limit: 1e-300",
        "time-limit: .inf",
        "time-limit: .nan",
        "time-limit: nan",
        "time-limit: infinity",
        "time-limit: -5",
        "time-limit: 400d",
        "time-limit: 1e9d",
        "time-limit: 90m5",
        "time-limit: 9000h",
        f"time-limit: {'9' * 400}s",
        "quiet-before: 1e308",
        "fault-duration: 1e-300",
        "fault-duration: [1e-300, 1]",
        "quiet-before: 1ms\nfault-duration: 1ms",
        "quiet-before: 0\nfault-duration: 1ms",
        "quiet-before: 0\nfault-duration: 0.1\ntime-limit: 1h",
        "time-limit: 365d",
        "time-limit: 8000h",
        "quiet-before: 1\nfault-duration: 1\ntime-limit: 5h\noverlapping: 5",
        "schedule: [{at: 0, for: 1ms, fault: kill}]\nrepeat-every: 1ms",
        "schedule: [{at: 0, for: 1ms, fault: kill}]\nrepeat-every: 1e-300",
        "schedule: [{at: 0, for: 1, fault: kill}]\nrepeat-every: 1\ntime-limit: 6h",
        "schedule: [{at: 1e308, for: 1, fault: kill}]",
        "schedule: [{at: 0, for: 1, fault: clock-bump, settings: {seconds: true}}]",
        "rate: 1e308",
        "rate: .nan",
        "messages: 1e308",
        "delivery-limit: 99999999999999999999",
        "op-timeout: 1e-300",
    ],
)
def test_numbers_that_nobody_can_mean_are_refused(text: str, tmp_path: Path) -> None:
    assert len(refusal(text, tmp_path)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "publishers: true",
        "publishers: yes",
        "time-limit: true",
        "quiet-before: [true, 5]",
        "rate: false",
        "seed: on",
        "mirrors: true\nqueue-type: mirrored",
        "overlapping: true",
        "workload: lock\nhold: true",
        "workload: lock\nhold: [false, true]",
        "schedule: [{at: false, for: 5, fault: kill}]",
        "name: yes",
        "nemesis: off",
    ],
)
def test_a_boolean_is_no_number(text: str, tmp_path: Path) -> None:
    assert "true" in refusal(text, tmp_path) + "".join(
        ["true"] if "fals" in text or "off" in text else []
    )


def test_booleans_and_written_numbers_still_work(tmp_path: Path) -> None:
    file = tmp_path / "plan.yml"
    text = "workload: lock\nfenced: yes\nhold: 1m30s\ntime-limit: '95'\nquiet-before: 1e1\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    plan = read_plan(file)
    assert (plan.time_limit, plan.quiet_before) == (95, 10)
    assert plan.options.model_dump()["fenced"] is True


def test_long_plans_that_somebody_may_mean() -> None:
    day = {"time-limit": 24 * 3600, "quiet-before": 3, "fault-duration": 5, "seed": 1}
    assert 10_000 < len(schedule(plan_of_new_run(None, day), ["n1", "n2", "n3"])) <= MAX_FAULTS
    short = {"quiet-before": 5, "fault-duration": "5ms"}
    assert schedule(plan_of_new_run(None, short), ["n1", "n2", "n3"])


def test_of_many_problems_some_are_named(tmp_path: Path) -> None:
    line = refusal("".join(f"k{number}: 1\n" for number in range(4000)), tmp_path)
    assert line.endswith("; 3,980 more problems")
    items = "{at: x, for: 1, fault: kill}, " * 1000
    line = refusal(f"schedule: [{items}]\n", tmp_path)
    assert line.endswith("; 980 more problems")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, problem in (
        (fifo, "not a file"),
        (Path("/dev/zero"), "not a file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(UsageError, match=problem):
            read_plan(path)


@pytest.mark.parametrize(
    "word",
    [
        "a=&a [*a]",
        "seed=!!int 5",
        "time-limit=1e308",
        "publishers=true",
        "seed=" + "9" * 5000,
        "name=\udcff",
        "name=a\0b",
        "x=" + "[" * 50_000,
        "on=1",
        "[a]=1",
        "time-limit=90m5",
    ],
)
def test_overrides_are_read_like_a_file(word: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan_of_new_run(None, parse_overrides([word]))
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "text", ["90m5", "1e9d", "1e308", "inf", "nan", "0", "-1", "1e-300", "", "2e9"]
)
def test_a_duration_on_the_command_line(text: str) -> None:
    with pytest.raises(UsageError, match="--for"):
        duration_option(text)


@given(st.text() | st.from_regex(r"[-+.0-9_:xbe]{1,30}", fullmatch=True))
def test_any_text_is_a_plan_or_refused_in_one_line(text: str) -> None:
    problems = []
    for key in ("name", "seed", "rate", "time-limit"):
        try:
            plan_of_new_run(None, parse_overrides([f"{key}={text}"]))
        except UsageError as error:
            problems.append(str(error))
    assert "\n" not in "".join(problems)
