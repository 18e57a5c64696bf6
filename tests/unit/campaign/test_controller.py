"""The controller with a runner that runs nothing: order, retries, budget, kills, full disks."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsenvm.campaign.controller import Limits
from jepsenvm.campaign.folder import Folder, StoreError
from jepsenvm.campaign.planned import Expansion, PlannedRun
from jepsenvm.campaign.preparation import Condition
from jepsenvm.campaign.record import Record
from jepsenvm.campaign.runner import Ended, StoppedError
from jepsenvm.campaign.spec import Machines
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.errors import UsageError
from tests.unit.campaign.builders import (
    INVALID,
    TWO_VERSIONS,
    UNKNOWN,
    VALID,
    Clock,
    FakeRunner,
    begun,
    controller,
    execute,
    expansion,
)

FOUR = expansion(TWO_VERSIONS)
"""Four runs on two clusters."""


def verdicts(folder: Folder, of: Expansion = FOUR) -> list[Verdict | None]:
    return [record.verdict for record in folder.records(of.runs).values()]


def test_each_run_runs_once_and_each_cluster_is_deployed_once(tmp_path: Path) -> None:
    folder, runner = begun(tmp_path / "c", FOUR), FakeRunner()
    execute(controller(folder, FOUR.runs, runner))
    assert Counter(run_id for run_id, _ in runner.ran) == Counter(run.id for run in FOUR.runs)
    assert len(runner.prepared) == 2
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_finished_runs_are_not_run_again(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)
    execute(controller(folder, FOUR.runs, FakeRunner()))
    again = FakeRunner()
    execute(controller(folder, FOUR.runs, again))
    assert again.ran == []
    assert again.prepared == []


def test_an_interrupted_campaign_waits_for_the_run_in_progress(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)

    def heal(_run: PlannedRun, _number: int) -> Ended:
        os.kill(os.getpid(), signal.SIGINT)
        while not under_test.stop:
            time.sleep(0.01)
        healing.set()
        time.sleep(0.5)  # a controller that does not wait is back by then
        return Ended("verdict", VALID)

    healing = threading.Event()
    under_test = controller(folder, FOUR.runs, FakeRunner(heal))
    with pytest.raises(KeyboardInterrupt):
        under_test.execute(under_test.workers([Machines(lab="default")], set()))
    assert healing.is_set()
    assert sorted(verdicts(folder), key=bool) == [None, None, None, Verdict.VALID]


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_only_unknown_is_tried_again(tmp_path: Path, retries: int, attempts: int) -> None:
    folder = begun(tmp_path / "c", FOUR)
    found = (VALID, INVALID, UNKNOWN, VALID)
    outcomes = {run.id: outcome for run, outcome in zip(FOUR.runs, found, strict=True)}
    runner = FakeRunner(lambda run, _: Ended("verdict", outcomes[run.id]))
    execute(controller(folder, FOUR.runs, runner, limits=Limits(retries)))
    ran = Counter(run_id for run_id, _ in runner.ran)
    assert [ran[run.id] for run in FOUR.runs] == [1, 1, attempts, 1]


def test_the_last_attempt_counts(tmp_path: Path) -> None:
    one = expansion({"window": [2]})
    folder = begun(tmp_path / "c", one)
    runner = FakeRunner(lambda _, number: Ended("verdict", UNKNOWN if number == 1 else INVALID))
    execute(controller(folder, one.runs, runner))
    assert verdicts(folder, one) == [Verdict.INVALID]


@pytest.mark.parametrize(
    "breaks",
    [Ended("failed", error="n1 died"), Ended("verdict", replace(UNKNOWN, recovered=False))],
    ids=["failed", "not recovered"],
)
def test_a_run_that_breaks_its_cluster_ends_only_itself(tmp_path: Path, breaks: Ended) -> None:
    folder = begun(tmp_path / "c", FOUR)
    broken = FOUR.runs[0].id

    def answer(run: PlannedRun, _number: int) -> Ended:
        return breaks if run.id == broken else Ended("verdict", VALID)

    runner = FakeRunner(answer)
    execute(controller(folder, FOUR.runs, runner))
    assert verdicts(folder) == [Verdict.UNKNOWN] + [Verdict.VALID] * 3
    assert folder.record(broken).last is not None
    # The next run on it finds a cluster that was repaired, faults and queues removed.
    assert Condition.DIRTY in [condition for _, _, condition in runner.prepared]


def test_a_cluster_that_cannot_be_deployed_leaves_its_runs_for_later(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)
    runner = FakeRunner(breaks=lambda cluster: cluster.version == "3.10.8")
    execute(controller(folder, FOUR.runs, runner))
    assert verdicts(folder) == [None, None, Verdict.VALID, Verdict.VALID]
    assert [cluster.version for _, cluster, _ in runner.prepared].count("3.10.8") == 1
    endings = [a.ending for run in FOUR.runs for a in folder.record(run.id).attempts]
    assert endings.count("unprepared") == 1
    execute(controller(folder, FOUR.runs, FakeRunner()))
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_other_machines_take_what_one_cannot_deploy(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)

    class OneIsBroken(FakeRunner):
        def prepare(self, machines: Machines, *rest: Any) -> Any:
            self.breaks = (lambda _: True) if machines.lab == "a" else (lambda _: False)
            return super().prepare(machines, *rest)

    execute(
        controller(folder, FOUR.runs, OneIsBroken()), [Machines(lab="a"), Machines(lab="default")]
    )
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_a_refused_run_is_repeated_once_on_a_repaired_cluster(tmp_path: Path) -> None:
    one = expansion({"window": [2]})
    folder = begun(tmp_path / "c", one)
    runner = FakeRunner(
        lambda _, n: Ended("refused", error="n2: down") if n == 1 else Ended("verdict", VALID)
    )
    execute(controller(folder, one.runs, runner))
    assert verdicts(folder, one) == [Verdict.VALID]
    assert [condition for _, _, condition in runner.prepared] == [
        Condition.ABSENT,
        Condition.DOUBTFUL,
    ]


def test_a_cluster_that_a_run_changed_for_good_is_replaced(tmp_path: Path) -> None:
    two = expansion(
        {"nemesis": ["feature-flag", "kill"]}, plan={"fault-duration": 60, "quiet-before": 5}
    )
    assert [run.permanent for run in two.runs] == [True, False]
    folder, runner = begun(tmp_path / "c", two), FakeRunner()
    execute(controller(folder, two.runs, runner))
    assert [condition for _, _, condition in runner.prepared] == [
        Condition.ABSENT,
        Condition.CHANGED,
    ]


def test_a_run_that_is_refused_twice_is_final(tmp_path: Path) -> None:
    one = expansion({"window": [2]})
    folder = begun(tmp_path / "c", one)
    runner = FakeRunner(lambda *_: Ended("refused", error="not possible here"))
    execute(controller(folder, one.runs, runner, limits=Limits(retries=5)))
    assert len(runner.ran) == 2
    assert verdicts(folder, one) == [Verdict.UNKNOWN]
    assert folder.record(one.runs[0].id).is_done(5)


def test_no_run_begins_that_would_not_end_within_the_budget(tmp_path: Path) -> None:
    folder, clock = begun(tmp_path / "c", FOUR), Clock(0.0)

    def answer(_run: PlannedRun, _number: int) -> Ended:
        clock.now += 100
        return Ended("verdict", VALID)

    # A run takes 100 s, as the first one shows. The second cluster would take 100 s more.
    control = controller(
        folder, FOUR.runs, FakeRunner(answer), limits=Limits(deadline=1000.0 + 350), clock=clock
    )
    execute(control)
    assert control.stopped_by_budget
    assert verdicts(folder).count(Verdict.VALID) == 2
    again = controller(folder, FOUR.runs, FakeRunner(answer), clock=clock)
    execute(again)
    assert not again.stopped_by_budget
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_machines_take_only_versions_that_they_can_have(tmp_path: Path) -> None:
    found = expansion({"version": ["4.1.0", "4.3.6"]})
    folder, runner = begun(tmp_path / "c", found), FakeRunner()
    execute(controller(folder, found.runs, runner), [Machines(lab="default")])
    assert verdicts(folder, found) == [None, Verdict.VALID]
    execute(
        controller(folder, found.runs, runner), [Machines(inventory="hosts.yml", may_reset=True)]
    )
    assert verdicts(folder, found) == [Verdict.VALID] * 2


def test_two_machines_share_the_clusters(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)
    both = threading.Barrier(2)
    met: list[str] = []

    def answer(run: PlannedRun, number: int) -> Ended:
        if number <= 2:
            both.wait(60)  # each has a run at the same time
        met.append(run.id)
        return Ended("verdict", VALID)

    runner = FakeRunner(answer)
    control = controller(folder, FOUR.runs, runner)
    control.execute(control.workers([Machines(lab="a"), Machines(lab="b")], set()))
    assert sorted(met) == sorted(run.id for run in FOUR.runs)
    assert {machines for machines, _, _ in runner.prepared} == {"lab a", "lab b"}
    assert len({cluster for _, cluster, _ in runner.prepared[:2]}) == 2


def test_an_error_of_one_worker_stops_the_others_and_is_raised(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)

    def answer(*_: object) -> Ended:
        raise ZeroDivisionError

    control = controller(folder, FOUR.runs, FakeRunner(answer))
    with pytest.raises(ZeroDivisionError):
        control.execute(control.workers([Machines(lab="a"), Machines(lab="b")], set()))
    assert control.stop


def test_a_run_that_is_told_to_stop_does_not_count(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)
    control = controller(folder, FOUR.runs, FakeRunner())

    def answer(_run: PlannedRun, number: int) -> Ended:
        if number == 2:
            control.stop.request()
            return Ended("interrupted", INVALID)
        return Ended("verdict", VALID)

    control._runner = FakeRunner(answer)
    execute(control)
    assert verdicts(folder).count(None) == 3
    execute(controller(folder, FOUR.runs, FakeRunner()))
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_a_deployment_that_is_told_to_stop_leaves_no_record(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)

    class Stopped(FakeRunner):
        def prepare(self, *_: Any) -> Any:
            raise StoppedError

    execute(controller(folder, FOUR.runs, Stopped()))
    assert folder.recorded() == set()


class KilledError(BaseException):
    """Stands for SIGKILL: nothing after it happens."""


@settings(max_examples=30, deadline=None)
@given(at=st.integers(1, 60), data=st.data())
def test_a_campaign_that_is_killed_anywhere_continues(
    at: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Kill it at a write, before or after it took effect, or in a run. Then run the rest."""
    path = tmp_path_factory.mktemp("killed") / "c"
    folder = begun(path, FOUR)
    after = data.draw(st.booleans())
    left = [at]

    def point() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    class Fragile(Folder):
        def save(self, run_id: str, record: Record) -> None:
            if not after:
                point()
            super().save(run_id, record)
            if after:
                point()

    completed: list[str] = []

    def answer(run: PlannedRun, _number: int) -> Ended:
        point()
        completed.append(run.id)
        return Ended("verdict", VALID)

    control = controller(Fragile(path), FOUR.runs, FakeRunner(answer))
    try:
        execute(control)
    except KilledError:
        counted = {run.id for run in FOUR.runs if folder.record(run.id).counted}
        assert counted <= set(completed)
    else:
        counted = {run.id for run in FOUR.runs}
    rest = FakeRunner()
    resumed = controller(Folder(path), FOUR.runs, rest)
    dirty = resumed.recover()
    assert all(not record.in_progress for record in resumed.records.values())
    execute(resumed, dirty=dirty)
    # Nothing that counted is repeated, and everything counts exactly once.
    assert {run_id for run_id, _ in rest.ran} == {run.id for run in FOUR.runs} - counted
    assert all(len(folder.record(run.id).counted) == 1 for run in FOUR.runs)
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_the_machines_of_a_killed_run_are_cleaned_first(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)

    def killed(*_: object) -> Ended:
        raise KilledError

    with pytest.raises(KilledError):
        execute(controller(folder, FOUR.runs, FakeRunner(killed)))
    resumed = controller(folder, FOUR.runs, runner := FakeRunner())
    assert resumed.recover() == {"lab default"}
    execute(resumed, dirty={"lab default"})
    assert runner.prepared[0][2] is Condition.DIRTY
    assert [a.ending for run in FOUR.runs for a in folder.record(run.id).attempts].count(
        "interrupted"
    ) == 1


def full(after: int) -> Callable[[Path], Any]:
    """Return a disk that is full after some looks at it."""
    looks = [0]

    def usage(_path: Path) -> Any:
        looks[0] += 1
        return type("Usage", (), {"free": 10**12 if looks[0] <= after else 10})

    return usage


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_full_disk_stops_the_campaign_which_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    folder = begun(tmp_path / "c", FOUR)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", full(after))
        with pytest.raises(StoreError, match="free some space and run the same command again"):
            execute(controller(folder, FOUR.runs, FakeRunner()))
    assert verdicts(folder).count(Verdict.VALID) == after
    again = controller(folder, FOUR.runs, FakeRunner())
    again.recover()
    execute(again)
    assert verdicts(folder) == [Verdict.VALID] * 4


def test_a_run_that_failed_because_the_disk_was_full_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path / "c", FOUR)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", full(1))
        runner = FakeRunner(lambda *_: Ended("failed", error="no space"))
        with pytest.raises(StoreError):
            execute(controller(folder, FOUR.runs, runner))
    assert verdicts(folder) == [None] * 4


def test_a_record_that_cannot_be_written_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path / "c", FOUR)
    execute(controller(folder, FOUR.runs[:1], FakeRunner()))
    before = folder.record(FOUR.runs[0].id)

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(StoreError, match="No space left"):
            folder.save(FOUR.runs[0].id, Record())
    assert folder.record(FOUR.runs[0].id) == before
    assert list((tmp_path / "c").rglob(".*.new")) == []


def test_one_process_runs_a_campaign(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "c")
    with (
        folder.locked(),
        pytest.raises(UsageError, match="another process runs this campaign"),
        Folder(tmp_path / "c").locked(),
    ):
        pass
    with folder.locked():
        pass


def test_results_of_other_runs_are_not_mixed_in(tmp_path: Path) -> None:
    folder = begun(tmp_path / "c", FOUR)
    execute(controller(folder, FOUR.runs, FakeRunner()))
    more = expansion({**TWO_VERSIONS, "queue-type": ["quorum", "classic", "stream"]})
    folder.begin("c", more)
    assert len(folder.expansion().runs) == 6
    with pytest.raises(UsageError, match="results of runs that are not in this campaign"):
        folder.begin("c", expansion({"window": [9]}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"attempts": [{}]}', '{"attempts": 3}'])
def test_a_damaged_record_is_one_line(tmp_path: Path, text: str) -> None:
    folder = begun(tmp_path / "c", FOUR)
    file = tmp_path / "c/runs" / FOUR.runs[0].id / "record.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"record\.json: damaged"):
        folder.record(FOUR.runs[0].id)
