"""A run as a store directory of Jepsen: its files, and that it is judged as the run itself."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import edn_format
import pytest

from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import UsageError
from jepsenvm.experiment import jepsen_store
from jepsenvm.experiment.jepsen_store import write_jepsen_store
from jepsenvm.experiment.judge import judge
from jepsenvm.experiment.store import HISTORY, PLAN
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import HEALED, INTERRUPT
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.readers import open_history
from jepsenvm.history.units import SECOND
from jepsenvm.plan.plan import Plan
from jepsenvm.report.results_edn import VALID
from tests.report_runs import synthetic_ops, write_history, write_run

PNG = b"\x89PNG\r\n"
FILES = [
    "history.edn",
    "latency-quantiles.png",
    "latency-raw.png",
    "nodes",
    "rate.png",
    "results.edn",
    "timeline.html",
]


def ops(*, lossy: bool = False) -> list[Op]:
    return synthetic_ops(lossy=lossy, rate=2)


def lossy(folder: Path) -> None:
    write_run(folder, ops(lossy=True))


def lossless(folder: Path) -> None:
    write_run(folder, ops())


def undrained(folder: Path) -> None:
    write_run(folder, [op for op in ops(lossy=True) if op.f != "drain"])


def interrupted(folder: Path) -> None:
    end = Op("info", INTERRUPT, process=NEMESIS, time=200 * SECOND, error="SIGTERM")
    write_run(folder, [*ops(), end])


def unhealed(folder: Path) -> None:
    write_run(folder, [op for op in ops() if not _is_healing(op)])


def _is_healing(op: Op) -> bool:
    return isinstance(op.data, dict) and op.data.get("phase") == HEALED


def cut_short(folder: Path) -> None:
    write_run(folder, ops(lossy=True))
    content = (folder / HISTORY).read_bytes()
    (folder / HISTORY).write_bytes(content[: len(content) * 3 // 4])


def damaged(folder: Path) -> None:
    write_run(folder, ops(lossy=True))
    content = bytearray((folder / HISTORY).read_bytes())
    content[-2000] ^= 1
    (folder / HISTORY).write_bytes(content)


def forbidden_lines(folder: Path) -> None:
    write_run(folder, ops())
    plan = Plan(
        name="demo",
        queue_type="mirrored",
        seed=3,
        log_patterns={"partial": "Partial partition"},
        forbidden_log_patterns=("partial",),
    ).to_yaml()
    (folder / PLAN).write_text(plan)
    (folder / HISTORY).unlink()
    write_history(folder / HISTORY, ops(), plan)


def slow_recovery_of_an_old_version(folder: Path) -> None:
    """Write a run whose plan is in its file only, as versions before checksums did."""
    write_run(folder, ops())
    plan = Plan(name="demo", queue_type="mirrored", seed=3, recover_within=1)
    (folder / PLAN).write_text(plan.to_yaml())
    (folder / HISTORY).unlink()
    times = iter(ops())
    journal = Journal(folder / HISTORY, lambda: next(times).time)
    for op in ops():
        more: dict[str, Any] = {"node": op.node, "error": op.error, "data": op.data}
        journal.append(op.type, op.f, op.value, process=op.process, **more)
    journal.close()


RUNS: Mapping[Callable[[Path], None], Verdict] = {
    lossless: Verdict.VALID,
    lossy: Verdict.INVALID,
    undrained: Verdict.UNKNOWN,
    interrupted: Verdict.UNKNOWN,
    unhealed: Verdict.UNKNOWN,
    cut_short: Verdict.UNKNOWN,
    damaged: Verdict.UNKNOWN,
    forbidden_lines: Verdict.INVALID,
    slow_recovery_of_an_old_version: Verdict.INVALID,
}


@pytest.mark.parametrize("write", RUNS, ids=lambda write: write.__name__)
def test_an_exported_run_is_judged_as_the_run(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "run")
    of_run = judge(tmp_path / "run").results
    assert of_run.verdict is RUNS[write]
    folder, _ = write_jepsen_store(tmp_path / "run", tmp_path / "out")
    exported = judge(folder).results
    verdicts = {name: result.verdict for name, result in of_run.checkers.items()}
    assert {name: result.verdict for name, result in exported.checkers.items()} == verdicts
    assert exported.verdict is of_run.verdict
    results = edn_format.loads((folder / "results.edn").read_text())
    key = edn_format.Keyword("valid?")
    names = {Verdict.UNKNOWN: edn_format.Keyword("unknown")}
    assert results[key] == names.get(of_run.verdict, of_run.verdict is Verdict.VALID)
    checkers = {name: results[edn_format.Keyword(name)][key] for name in verdicts}
    assert checkers == {
        name: names.get(verdict, VALID[verdict]) for name, verdict in verdicts.items()
    }


def test_the_history_file_of_a_run_stands_for_the_run(tmp_path: Path) -> None:
    slow_recovery_of_an_old_version(tmp_path / "run")
    folder, _ = write_jepsen_store(tmp_path / "run" / HISTORY, tmp_path / "out")
    assert judge(folder).results.verdict is Verdict.INVALID


def test_the_files_are_those_of_jepsens_store(tmp_path: Path) -> None:
    lossy(tmp_path / "run")
    before = sorted((tmp_path / "run").rglob("*"))
    folder, notes = write_jepsen_store(tmp_path / "run", None)
    assert folder == tmp_path / "run" / "jepsen"
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert all((folder / name).read_bytes().startswith(PNG) for name in FILES if ".png" in name)
    assert [note for note in notes if "clock-skew.png is not written" in note] == notes
    lines = (folder / "history.edn").read_text().splitlines()
    assert len(lines) == len(list(open_history(tmp_path / "run" / HISTORY).ops()))
    first = edn_format.loads(lines[0])
    keys = ("index", "time", "type", "process", "f", "value")
    assert {edn_format.Keyword(key) for key in keys} <= set(first)
    assert first[edn_format.Keyword("process")] == edn_format.Keyword("nemesis")
    assert (folder / "nodes").stat().st_mode & 0o77 == 0
    left = [path for path in (tmp_path / "run").rglob("*") if folder not in (path, *path.parents)]
    assert sorted(left) == before


def test_offsets_of_clocks_are_drawn_if_they_were_read_during_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, [*ops(), clock_reading(150, n1=[0.5, -0.5]), clock_reading(160, n1=[0.0])])
    folder, notes = write_jepsen_store(run, tmp_path / "out")
    assert (folder / "clock-skew.png").read_bytes().startswith(PNG)
    assert notes == []


def clock_reading(second: int, **clocks: list[float]) -> Op:
    data = {"proof": {"during": {"clocks": clocks}}}
    return Op("info", "clocks", process=NEMESIS, time=second * SECOND, data=data)


def test_a_history_that_is_cut_short_is_named(tmp_path: Path) -> None:
    cut_short(tmp_path / "run")
    _, notes = write_jepsen_store(tmp_path / "run", tmp_path / "out")
    assert "the history is cut short" in notes[0]


def test_a_history_without_times_has_no_plots(tmp_path: Path) -> None:
    journal = Journal(tmp_path / HISTORY, lambda: 0)
    journal.append("invoke", "enqueue", 1, process=0)
    journal.append("ok", "enqueue", 1, process=0)
    journal.close()
    folder, notes = write_jepsen_store(tmp_path / HISTORY, tmp_path / "out")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["history.edn", "results.edn", "timeline.html"]
    assert [note.split()[0] for note in notes] == [
        "latency-raw.png",
        "latency-quantiles.png",
        "rate.png",
        "clock-skew.png",
    ]


@pytest.mark.parametrize("link", [False, True])
def test_a_destination_that_exists_is_refused(tmp_path: Path, *, link: bool) -> None:
    lossy(tmp_path / "run")
    target = tmp_path / "out"
    if link:
        target.symlink_to("nowhere")
    else:
        target.mkdir()
    with pytest.raises(UsageError, match="exists already; remove it"):
        write_jepsen_store(tmp_path / "run", target)
    assert target.is_symlink() or list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["no/such/folder", "file/out", "x" * 300])
def test_a_destination_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    lossy(tmp_path / "run")
    with pytest.raises(UsageError, match=r"cannot be written: .*; choose another folder with -o"):
        write_jepsen_store(tmp_path / "run", tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]


def test_histories_of_other_tools_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "history.edn"
    file.write_text("{:type :invoke, :f :enqueue, :value 1, :process 0}\n")
    with pytest.raises(UsageError, match="another tool recorded this history"):
        write_jepsen_store(file, tmp_path / "out")
    with pytest.raises(UsageError, match="there is no such history"):
        write_jepsen_store(tmp_path, tmp_path / "out")


def test_an_export_can_be_exported_again(tmp_path: Path) -> None:
    lossy(tmp_path / "run")
    folder, _ = write_jepsen_store(tmp_path / "run", tmp_path / "out")
    again, _ = write_jepsen_store(folder / "history.edn", tmp_path / "again")
    assert judge(again).results.verdict is Verdict.INVALID


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    lossy(tmp_path / "run")
    out = tmp_path / "out"
    words = ["export", str(tmp_path / "run"), "--format", "jepsen", "-o", str(out)]
    limited = subprocess.run(
        [sys.executable, "-m", "jepsenvm", *words],
        # The history is larger. Python ignores SIGXFSZ, so writing fails as on a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 254
    (line,) = limited.stderr.splitlines()
    assert line.startswith(f"jepsenvm: {out}: cannot be written: File too large")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_failure_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> str:
        raise KeyboardInterrupt

    lossy(tmp_path / "run")
    monkeypatch.setattr(jepsen_store, "timeline", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_jepsen_store(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
