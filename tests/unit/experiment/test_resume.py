"""A run whose controller was killed gets a verdict from what is on record and what comes back."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.total_queue import END
from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.experiment import preflight, resumption
from jepsenvm.experiment import resume as module
from jepsenvm.experiment.logs import LogFile
from jepsenvm.experiment.lost_tail import lost_tail
from jepsenvm.experiment.outputs import write_report
from jepsenvm.experiment.recovery import Recovery
from jepsenvm.experiment.resume import UnfinishedRun, resume
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.store import PLAN, REPORT, RESULTS, create
from jepsenvm.history.arrow_file import read_arrow
from jepsenvm.history.checksums import COMPACT, VERSION
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import RECOVER, SCHEDULE
from jepsenvm.history.op import NEMESIS, Type
from jepsenvm.history.readers import open_history
from jepsenvm.history.segments import SIZES, segments
from jepsenvm.machines import cluster_lock
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.lock_owner import LockOwner
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.drain import DRAIN_PROCESS
from jepsenvm.workloads.registry import WORKLOADS
from tests.unit import fakes
from tests.unit.fakes import NODES, LockedHosts, elsewhere, node

PUBLISHERS = len(NODES)
QUEUE = "jepsenvm.quorum.20261125T140311.000000Z"


class Fleet(fakes.FakeFleet):
    def __init__(self, nodes: Sequence[Any], *, patience: float) -> None:
        super().__init__(*(node.name for node in nodes))
        assert patience == 1.0


class Cluster:
    """The cluster of a killed run: what its queue delivers, and what was done to it."""

    def __init__(self, folder: Path, locks: LockedHosts) -> None:
        self.locks = locks
        self.acts: list[str] = []
        self.queues: dict[str, None] = {QUEUE: None}
        self.left: list[int] = []
        """The values that the drain delivers."""
        self.copies: list[tuple[int, int]] = []
        """The values that the drain of several queues delivers, each with the number of its queue."""
        self.published: list[int] = []
        """The values that the drain publishes first, as that of a stream does."""
        self.inventory = Inventory(
            folder / "hosts.yml", "cloud", tuple(map(node, NODES)), folder / "s", {}
        )
        self.store = create(folder / "store", Plan(seed=1, nemesis="none"))
        self.resumption = Resumption.of_this_run(self.inventory, QUEUE, time.time() - 60, {})
        self.resumption.write(self.store)

    def recorded(self, *ops: tuple[Type, str, int | None, int], close: bool = False) -> Journal:
        """Write the history of the killed run."""
        journal = Journal(self.store.history, lambda: 1000)
        journal.append("info", SCHEDULE, process=NEMESIS, data=[])
        for type_, f, value, process in ops:
            journal.append(type_, f, value, process=process, node="n1")
        journal.close() if close else journal.flush()
        return journal

    def resume(self) -> Results:
        return resume(UnfinishedRun.at(self.store.path), self.inventory)

    async def drain(self, context: Context, _: object) -> None:
        assert context.queue == QUEUE
        self.acts.append("drain")
        journal = context.journal
        for value in self.published:
            journal.append("invoke", "enqueue", value, process=DRAIN_PROCESS + 9)
            journal.append("ok", "enqueue", value, process=DRAIN_PROCESS + 9)
        journal.append("invoke", "drain", process=DRAIN_PROCESS)
        for value in self.left:
            journal.append("invoke", "dequeue", process=DRAIN_PROCESS + 1, node="n1")
            journal.append("ok", "dequeue", value, process=DRAIN_PROCESS + 1, node="n1")
        for value, queue in self.copies:
            process, data = DRAIN_PROCESS + 2 + queue, {"queue": queue}
            journal.append("invoke", "dequeue", process=process, node="n1", data=data)
            journal.append("ok", "dequeue", value, process=process, node="n1")
        journal.flush()  # before the acknowledgement, as consumers do
        journal.append("ok", "drain", process=DRAIN_PROCESS, data={"received": len(self.left)})


def confirmed(*values: int) -> list[tuple[Type, str, int | None, int]]:
    return [(type_, "enqueue", value, value) for value in values for type_ in ("invoke", "ok")]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    (tmp_path / "locks").mkdir()
    locks = LockedHosts(tmp_path / "locks")
    fake = Cluster(tmp_path, locks)

    async def recover(recovery: Recovery) -> bool:
        fake.acts.append("recover")
        data = {"seconds": 1.0, "deadline": 120, "restarted": [], "troubles": {}}
        recovery.journal.append("info", RECOVER, process=NEMESIS, data=data)
        return True

    def heal_nodes(_fleet: object) -> list[str]:
        fake.acts.append("heal")
        assert locks.held() == dict.fromkeys(NODES, "resume")
        return []

    workload: Any = SimpleNamespace(drain=fake.drain)
    monkeypatch.setattr(cluster_lock, "_ask", locks.ask)
    monkeypatch.setattr(module, "Fleet", Fleet)
    monkeypatch.setattr(module, "switch_on", lambda _: [])
    monkeypatch.setattr(module, "heal_nodes", heal_nodes)
    monkeypatch.setattr(module, "QUEUE_WAIT_S", 0.0)
    monkeypatch.setattr(module, "QUEUE_POLL_S", 0.0)
    monkeypatch.setattr(module, "WORKLOADS", {**WORKLOADS, "queue": workload})
    monkeypatch.setattr(module, "credentials", lambda _: Credentials("u", "p"))
    monkeypatch.setattr(module, "collect", lambda *_: fake.acts.append("collect"))
    monkeypatch.setattr(module, "finish", lambda *_: fake.acts.append("finish"))
    monkeypatch.setattr(module, "write_report", lambda *_: fake.acts.append("report"))
    monkeypatch.setattr(preflight, "connect", lambda _: {})
    monkeypatch.setattr(module, "queues", lambda *_: fake.queues)
    monkeypatch.setattr(Recovery, "wait", recover)
    return fake


def test_a_killed_run_is_healed_drained_and_judged_and_its_record_stays(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_report", write_report)
    cluster.recorded(*confirmed(0, 1, 2))
    before = cluster.store.history.read_bytes()
    cluster.left = [0, 1, 2]
    results = cluster.resume()
    assert cluster.acts == ["heal", "recover", "drain", "collect", "finish"]
    assert results.verdict is Verdict.UNKNOWN
    assert "the run was ended early: its controller ended before the drain did" in "".join(
        results.reasons
    )
    assert results.checkers["total-queue"].verdict is Verdict.VALID
    assert cluster.store.history.read_bytes() == before
    assert json.loads((cluster.store.path / RESULTS).read_text())["verdict"] == "unknown"
    assert "UNKNOWN" in (cluster.store.path / REPORT).read_text()
    assert cluster.locks.held() == {}


def test_times_and_processes_of_the_new_segment_follow_the_recorded_ones(cluster: Cluster) -> None:
    drains: list[tuple[Type, str, int | None, int]] = [("invoke", "drain", None, DRAIN_PROCESS)]
    cluster.recorded(*confirmed(0), *drains)
    cluster.left = [0]
    cluster.resume()
    whole = open_history(cluster.store.history)
    ops = list(whole.ops())
    assert whole.complete
    # The size of the first segment is on record, so only the new one is rewritten.
    versions = [read_arrow(path).version for path in segments(cluster.store.history)]
    assert versions == [VERSION, COMPACT]
    times = [op.time for op in ops]
    assert times == sorted(times)
    assert 60e9 <= times[-1] < 200e9
    (first_new,) = [index for index, op in enumerate(ops) if op.f == "interrupt"]
    old = {op.process for op in ops[:first_new]} - {NEMESIS}
    new = {op.process for op in ops[first_new:] if op.type != "fail"} - {NEMESIS}
    assert not old & new


@pytest.mark.parametrize("drain_began", [False, True])
def test_a_loss_is_shown_also_if_the_controller_died_in_its_drain(
    cluster: Cluster, drain_began: bool
) -> None:
    began: list[tuple[Type, str, int | None, int]] = [
        ("invoke", "drain", None, DRAIN_PROCESS),
        ("ok", "dequeue", 0, DRAIN_PROCESS + 1),
    ]
    cluster.recorded(*confirmed(0, 1, 2), *(began if drain_began else []))
    cluster.left = [2] if drain_began else [0, 2]
    results = cluster.resume()
    assert results.verdict is Verdict.INVALID
    assert results.checkers["total-queue"].figures["lost"] == [1]


def test_what_the_killed_controller_had_not_recorded_is_not_unexpected(cluster: Cluster) -> None:
    # Publisher i of 3 publishes i, i + 3, ...; 6 of publisher 0 and 5, 8 of publisher 2 follow the
    # recorded end.
    cluster.recorded(*confirmed(0, 1, 2, 3))
    cluster.left = [0, 1, 2, 3, 6, 5, 8]
    results = cluster.resume()
    assert results.verdict is Verdict.UNKNOWN
    figures = results.checkers["total-queue"].figures
    assert figures["unexpected-count"] == 0
    assert figures["recovered"] == [5, 6, 8]


@pytest.mark.parametrize("invented", [-1, -7, 1, END + 1])
def test_what_no_publisher_can_have_published_is_unexpected(
    cluster: Cluster, invented: int
) -> None:
    # 1 is below 4, which the same publisher published later.
    cluster.recorded(*confirmed(0, 4, 2))
    cluster.left = [0, 4, 2, invented]
    results = cluster.resume()
    assert results.verdict is Verdict.INVALID
    assert results.checkers["total-queue"].figures["unexpected"] == [invented]


@given(
    st.lists(st.integers(0, 5), max_size=40),
    st.integers(1, 4),
    st.integers(0, 40),
)
def test_every_value_after_the_record_is_the_lost_tail_and_no_other(
    turns: list[int], publishers: int, cut: int
) -> None:
    """Any interleaving of publishers, cut anywhere: what follows the cut is never unexpected."""
    following = list(range(publishers))
    values = []
    for turn in turns:
        values.append(following[turn % publishers])
        following[turn % publishers] += publishers
    recorded, unrecorded = values[:cut], values[cut:]
    assert sorted(unrecorded) == tail_of(recorded, values, publishers)


def test_values_of_a_limited_load_end_with_it() -> None:
    assert tail_of([0, 1], [4, 6], 2, messages=5) == [4]


def tail_of(
    recorded: Sequence[int],
    returned: Sequence[int],
    publishers: int,
    messages: int | None = None,
) -> list[int]:
    """Return the lost tail of a journal in which these values were published, and came back."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "history.arrow")
        journal = Journal(file, lambda: 0)
        for value in recorded:
            journal.append("invoke", "enqueue", value, process=0)
        for value in returned:
            journal.append("ok", "dequeue", value, process=1)
        journal.append("info", SCHEDULE, process=NEMESIS)
        journal.close()
        return list(map(int, lost_tail(open_history(file), publishers, messages)))


def test_after_a_restart_of_the_controller_nothing_is_proven_to_be_lost(cluster: Cluster) -> None:
    replace(cluster.resumption, machine="an earlier boot").write(cluster.store)
    cluster.recorded(*confirmed(0, 1))
    cluster.left = [0]
    results = cluster.resume()
    assert results.verdict is Verdict.UNKNOWN
    assert results.checkers["total-queue"].figures["undecided"] == [1]


def test_a_second_end_of_a_stream_does_not_count_as_confirmed(cluster: Cluster) -> None:
    cluster.recorded(*confirmed(0), *confirmed(END))
    cluster.left = [0, END]
    cluster.published = [END]
    figures = cluster.resume().checkers["total-queue"].figures
    assert (figures["lost-count"], figures["unexpected-count"]) == (0, 0)


def test_a_run_that_only_lacks_its_results_is_judged_as_it_is(cluster: Cluster) -> None:
    drained: list[tuple[Type, str, int | None, int]] = [
        ("invoke", "drain", None, 9),
        ("ok", "dequeue", 0, 10),
        ("ok", "drain", None, 9),
    ]
    cluster.recorded(*confirmed(0), *drained, close=True)
    results = cluster.resume()
    assert cluster.acts == ["heal", "collect", "finish", "report"]
    assert results.checkers["history"].verdict is Verdict.VALID
    assert results.checkers["total-queue"].verdict is Verdict.VALID


def test_a_resume_that_was_killed_can_be_resumed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.recorded(*confirmed(0, 1))
    cluster.left = [0, 4]

    def die(*_: object) -> int:
        raise JepsenvmError("killed")

    with monkeypatch.context() as killed:
        killed.setattr(module, "record_lost_tail", die)
        with pytest.raises(JepsenvmError, match="killed"):
            cluster.resume()
    assert not read(cluster.store.history)
    cluster.left = [1]
    results = cluster.resume()
    figures = results.checkers["total-queue"].figures
    assert (figures["lost-count"], figures["unexpected-count"]) == (0, 0)
    assert figures["recovered"] == [4]
    assert results.verdict is Verdict.UNKNOWN
    assert cluster.store.history.with_name("history-3.arrow").exists()


@pytest.mark.parametrize("damage", ["cut", "missing", "sizes"])
def test_a_segment_that_changed_later_makes_the_history_incomplete(
    cluster: Cluster, damage: str
) -> None:
    cluster.recorded(*confirmed(0, 1))
    cluster.left = [0, 1]
    cluster.resume()
    first = cluster.store.history
    assert read(first)
    if damage == "cut":
        first.write_bytes(first.read_bytes()[:-8])
    elif damage == "missing":
        first.with_name("history-2.arrow").rename(first.with_name("history-3.arrow"))
    else:
        first.with_name(SIZES).unlink()
    assert not read(first)


def read(path: Path) -> bool:
    """Return whether a history is complete, which shows only when it has been read."""
    whole = open_history(path)
    assert list(whole.ops())
    return whole.complete


def test_only_a_run_has_segments(tmp_path: Path) -> None:
    for name, value in (("a.arrow", 1), ("a-2.arrow", 2)):
        journal = Journal(tmp_path / name, lambda: 0)
        journal.append("ok", "enqueue", value, process=0)
        journal.close()
    assert open_history(tmp_path / "a.arrow").values("ok", "enqueue").tolist() == [1]


# What is refused, with nothing changed.


def refused(cluster: Cluster) -> str:
    files = {path.name: path.read_bytes() for path in cluster.store.path.iterdir()}
    with pytest.raises(UsageError) as error:
        cluster.resume()
    assert {path.name: path.read_bytes() for path in cluster.store.path.iterdir()} == files
    return str(error.value)


def test_messages_are_read_back_by_the_plan_in_the_history(cluster: Cluster) -> None:
    sent = Plan(seed=1, nemesis="none", message_size=100)
    journal = Journal(cluster.store.history, lambda: 1000, about={"plan": sent.to_yaml()})
    journal.append("info", SCHEDULE, process=NEMESIS, data=[])
    journal.flush()
    edited = sent.model_copy(update={"message_size": None, "seed": 2})
    cluster.store.write(PLAN, edited.to_yaml())
    assert UnfinishedRun.at(cluster.store.path).plan == sent


def test_a_run_in_progress_is_refused(cluster: Cluster) -> None:
    cluster.recorded(*confirmed(0))
    cluster.locks.occupy(LockOwner.of_this_process("run", cluster.store.path), "n3")
    assert "n3: in use by `jepsenvm run` run/" in refused(cluster)
    cluster.locks.file("n3").unlink()
    cluster.locks.occupy(elsewhere(), "n1")
    assert "alice@laptop" in refused(cluster)
    assert cluster.acts == []


def test_a_finished_run_is_refused(cluster: Cluster) -> None:
    cluster.recorded(*confirmed(0), close=True)
    (cluster.store.path / RESULTS).write_text("{}")
    assert "the run has finished; `jepsenvm check" in refused(cluster)


def test_a_run_whose_queue_is_gone_is_refused(cluster: Cluster) -> None:
    cluster.recorded(*confirmed(0))
    cluster.queues = {"theirs": None}
    assert f"the queue {QUEUE} is gone, so nothing can be read back" in refused(cluster)


def test_a_run_with_several_queues_is_resumed_if_one_of_them_is_left(cluster: Cluster) -> None:
    plan = Plan(queue_type="classic", queues=4, seed=1, nemesis="none")
    cluster.store.write(PLAN, plan.to_yaml())
    cluster.recorded(*confirmed(0, 1, 2, 3))
    cluster.queues = {f"{QUEUE}.4": None}
    assert f"the queue {QUEUE} is gone with all others" in refused(cluster)
    cluster.queues = {f"{QUEUE}.2": None}
    # Value 4 goes to queue 1. It was published after the last record.
    cluster.copies = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 1)]
    assert cluster.resume().checkers["total-queue"].verdict is Verdict.VALID


def test_the_copies_of_a_resumed_run_are_judged(cluster: Cluster) -> None:
    plan = Plan(
        queue_type="classic", queues=3, exchange="fanout", fan_out=2, seed=1, nemesis="none"
    )
    cluster.store.write(PLAN, plan.to_yaml())
    cluster.recorded(*confirmed(0, 1))
    # Group 0 has the queues 0 and 1, group 1 the queues 2 and 0. The drain found no message 1 in 2.
    cluster.copies = [(0, 0), (0, 1), (1, 0), (2, 2)]
    result = cluster.resume().checkers["total-queue"]
    assert result.verdict is Verdict.INVALID
    assert result.figures["lost"] == [[1, 2]]
    assert (result.figures["unexpected-count"], result.figures["recovered-count"]) == (0, 1)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"inventory": "x"}', "[" * 100_000, '{"log_sizes": 1}']
)
def test_a_damaged_file_is_named(cluster: Cluster, content: str) -> None:
    cluster.recorded(*confirmed(0))
    (cluster.store.path / resumption.FILE).write_text(content)
    assert "resume.json: damaged; `jepsenvm check` judges what was recorded" in refused(cluster)


def test_a_run_without_its_facts_is_refused(cluster: Cluster) -> None:
    cluster.recorded(*confirmed(0))
    (cluster.store.path / resumption.FILE).unlink()
    assert "cannot be resumed: it has no resume.json" in refused(cluster)


@pytest.mark.parametrize("missing", [PLAN, "history.arrow"])
def test_a_folder_that_is_no_run_is_refused(cluster: Cluster, missing: str) -> None:
    cluster.recorded(*confirmed(0))
    (cluster.store.path / missing).unlink()
    assert "not the folder of a run" in refused(cluster)


def test_the_facts_of_a_run_survive_the_file(cluster: Cluster) -> None:
    facts = replace(
        cluster.resumption,
        log_sizes={"n1": {"rabbit@n1.log": LogFile("rabbit@n1.log", 7, 3)}, "n2": None},
    )
    facts.write(cluster.store)
    assert Resumption.read(cluster.store.path) == facts
