"""The phases of a run in their order, with a fake cluster: whatever happens, faults are healed."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.errors import RunError
from jepsenvm.experiment import phases
from jepsenvm.experiment.phases import execute
from jepsenvm.experiment.prepare import Cluster, Prepared
from jepsenvm.experiment.recovery import Recovery
from jepsenvm.experiment.resumption import Resumption
from jepsenvm.experiment.run_events import FaultStep, LoadFigures, PhaseBegan, RunEvent
from jepsenvm.experiment.store import PLAN, RESULTS, Store, create
from jepsenvm.history.arrow_file import read_arrow
from jepsenvm.history.arrow_stream import ArrowStream
from jepsenvm.history.checksums import COMPACT
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import (
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    LOAD_PROCESS,
    SCHEDULE,
)
from jepsenvm.history.op import NEMESIS
from jepsenvm.history.readers import open_history
from jepsenvm.machines.inventory import Inventory
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.pause import Pause
from jepsenvm.nemesis.manual import SPOOL
from jepsenvm.nemesis.records import FaultRecord
from jepsenvm.nemesis.schedule import ScheduledFault
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.figures import Figures
from jepsenvm.workloads.registry import WORKLOADS

FAULT = Pause(name="pause", text="n1", nodes=("n1",))
STEP = ScheduledFault(0.05, 0.1, FAULT)

Load = Callable[[Context], Coroutine[Any, Any, None]]
Drain = Callable[[Context], Awaitable[None]]


class Fleet:
    patience: ClassVar[float] = 1.0
    nodes: ClassVar[list[str]] = ["n1", "n2"]


class QuietNemesis:
    """What a nemesis does whose faults hide nothing."""

    ahead = 0.0

    def seen_healed(self, _number: int) -> bool:
        return True

    def settle(self) -> None: ...

    def hurry(self) -> None: ...


class World:
    """Records the phases, and stands for the nemesis and the workload."""

    def __init__(self, load: Load, drain: Drain) -> None:
        self.acts: list[str] = []
        self.states: list[bool] = []
        """An entry for each time at which the state of the brokers was collected."""
        self.problems: list[str] = []
        self.events: list[RunEvent] = []
        """What the run has told whoever watches it."""
        self._load, self._drain = load, drain
        self.lock: Any = SimpleNamespace(require_held=lambda: None)
        self.failing: str = ""

    def fail(self, act: str) -> None:
        if act == self.failing:
            raise ValueError(f"{act} broke")

    def nemesis(self, record: Any, longest_fault: float, **_: Any) -> Any:
        world = self
        assert longest_fault == pytest.approx(STEP.until - STEP.at)

        class Nemesis(QuietNemesis):
            def prepare(self) -> None:
                world.acts.append("prepare")
                world.fail("prepare")

            def inject(self, number: int, fault: Fault, _at: float | None) -> None:
                world.acts.append("inject")
                world.fail("inject")
                for phase in (INJECT, IN_FORCE):
                    record(FaultRecord("start", phase, number, fault.as_data()))

            def heal(self, number: int, _at: float | None) -> None:
                world.acts.append("heal")
                for phase in (HEAL, HEALED):
                    record(FaultRecord("stop", phase, number, FAULT.as_data()))

            def renew(self) -> None:
                world.fail("renew")

            def heal_by_hand(self) -> None:
                world.acts.append("heal by hand")
                world.fail("heal by hand")

            def end(self) -> list[str]:
                world.acts.append("end")
                return world.problems

        return Nemesis()

    async def recover(self, *_: object) -> bool:
        self.acts.append("recover")
        return True

    def workload(self) -> Any:
        async def setup(*_: object) -> None: ...

        async def drain(context: Context, _: object) -> None:
            self.acts.append("drain")
            await self._drain(context)

        real = WORKLOADS["queue"]
        return SimpleNamespace(
            setup=setup,
            load=lambda context: [self._load(context)],
            drain=drain,
            checkers=real.checkers,
            acknowledgements=real.acknowledgements,
        )


async def publish(context: Context) -> None:
    """Confirm one message, and wait until the load ends."""
    for type_ in ("invoke", "ok"):
        context.journal.append(type_, "enqueue", 1, process=0, node="n1")
    await context.stop.wait()


async def read_back(context: Context) -> None:
    context.journal.append("invoke", "drain", process=9)
    context.journal.append("ok", "dequeue", 1, process=10, node="n1")
    context.journal.append("ok", "drain", process=9, data={"received": 1, "broker": "ready 0"})


def run(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    load: Load = publish,
    drain: Drain = read_back,
    problems: tuple[str, ...] = (),
    time_limit: float = 0.2,
    failing: str = "",
    workers: int = 1,
) -> tuple[World, Store, Results]:
    world = World(load, drain)
    world.problems = list(problems)
    world.failing = failing
    holder["world"] = world

    async def set_up_queues(*_: object) -> None:
        world.acts.append("set up")

    monkeypatch.setattr(phases, "WORKLOADS", {"queue": world.workload()})
    monkeypatch.setattr(phases, "Nemesis", world.nemesis)
    monkeypatch.setattr(phases, "set_up_queues", set_up_queues)
    monkeypatch.setattr(phases, "log_sizes", lambda _: {})
    monkeypatch.setattr(phases, "collect", lambda *_: world.acts.append("collect"))
    monkeypatch.setattr(phases, "collect_broker_state", lambda *_: world.states.append(True))
    monkeypatch.setattr(Recovery, "wait", world.recover)
    plan = Plan(nemesis="none", time_limit=time_limit, workers=workers)
    inventory = Inventory(tmp_path / "hosts.yml", "cloud", (), tmp_path / "s", {})
    fleet: Any = Fleet()
    cluster = Cluster(inventory, fleet, {}, Credentials("u", "p"), world.lock)
    store = create(tmp_path / "store", plan)
    holder["store"] = store
    results = execute(Prepared(plan, (STEP,), cluster), store, world.events.append)
    return world, store, results


holder: dict[str, Any] = {}
"""The world and the store of the last run, for runs that raise."""


def is_complete(store: Store) -> bool:
    """Return whether the history was closed, which shows only when it has been read."""
    history = open_history(store.history)
    assert list(history.ops())
    return history.complete


def recorded(store: Store) -> list[str]:
    """Return the nemesis ops of the history in their order."""
    return [op.f for op in open_history(store.history).nemesis_ops()]


def test_whoever_watches_is_told_the_phases_the_faults_and_the_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(phases, "FIGURES_EVERY_S", 0.01)
    world, store, _ = run(monkeypatch, tmp_path)
    began = [event.phase for event in world.events if isinstance(event, PhaseBegan)]
    assert began == ["set up", "load", "heal", "recover", "drain", "collect", "check", "collect"]
    steps = [event for event in world.events if isinstance(event, FaultStep)]
    assert [step.phase for step in steps] == [INJECT, IN_FORCE, HEAL, HEALED]
    assert {step.number for step in steps} == {1}
    assert steps[0].labels == {"n1": "pause"}
    assert steps[0].ends_in_s is not None
    assert steps[0].ends_in_s <= STEP.until
    figures = [event.nodes for event in world.events if isinstance(event, LoadFigures)]
    acknowledged = sum(sum(each["n1"].latencies.values()) for each in figures if each)
    assert acknowledged == 1
    assert is_complete(store)
    assert read_arrow(store.history).version == COMPACT


def test_a_run_that_nobody_watches_collects_no_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nobody watches")

    def unwatched(prepared: Prepared, store: Store, _watch: object) -> Results:
        monkeypatch.setattr(phases, "RecentLatencies", refuse)
        return phases.execute(prepared, store)

    monkeypatch.setitem(globals(), "execute", unwatched)
    world, _, _ = run(monkeypatch, tmp_path)
    assert world.events == []
    assert "drain" in world.acts


def test_the_phases_come_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world, store, results = run(monkeypatch, tmp_path)
    assert world.acts == [
        "set up",
        "prepare",
        "inject",
        "heal",
        "heal by hand",
        "end",
        "recover",
        "drain",
        "collect",
    ]
    assert json.loads((store.path / RESULTS).read_text())["verdict"] == str(results.verdict)
    assert is_complete(store)
    assert recorded(store) == [SCHEDULE, "start", "start", "stop", "stop"]
    assert results.checkers["total-queue"].verdict is Verdict.VALID
    assert results.verdict is Verdict.UNKNOWN, "no load was acknowledged under the fault"
    assert world.states


@pytest.mark.parametrize("verdict", Verdict)
def test_the_state_of_the_brokers_is_stored_unless_the_run_is_valid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdict: Verdict
) -> None:
    monkeypatch.setattr(phases, "judge_run", lambda _: Results(verdict, (), {}))
    world, _, _ = run(monkeypatch, tmp_path)
    assert bool(world.states) == (verdict is not Verdict.VALID)


@pytest.mark.parametrize("problem", [None, "the load process failed"])
def test_load_processes_end_before_the_healing_and_settle_after_the_drain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, problem: str | None
) -> None:
    class Processes:
        def __init__(self, context: Context, first: Path, assignments: Any, **_: Any) -> None:
            assert [assignment.processes for assignment in assignments] == [2, 2]
            self._context, self._first, self._assignments = context, first, assignments

        async def prepare(self) -> None:
            holder["world"].acts.append("prepare load")

        async def run(self) -> None:
            holder["world"].acts.append("load")
            await self._context.stop.wait()
            if problem is not None:
                raise RunError(problem)
            for number, assignment in enumerate(self._assignments, 1):
                Journal(Path(assignment.segment), lambda: 0, about=assignment.about).close()
                data = {"load-process": number, "of": 2}
                self._context.journal.append("info", LOAD_PROCESS, process=NEMESIS, data=data)

        async def end(self) -> None:
            holder["world"].acts.append("end load")

        async def settle(self) -> None:
            holder["world"].acts.append("settle")

        def figures(self) -> Figures:
            return {}

    monkeypatch.setattr(phases, "LoadProcesses", Processes)
    if problem is not None:
        with pytest.raises(RunError, match=problem):
            run(monkeypatch, tmp_path, workers=2)
        acts = holder["world"].acts
        assert set(acts[-3:]) == {"end load", "heal by hand", "end"}
        return
    world, store, results = run(monkeypatch, tmp_path, workers=2)
    begin, after = ["set up", "prepare", "prepare load", "load"], ["drain", "settle", "collect"]
    assert (world.acts[:4], world.acts[-3:]) == (begin, after)
    assert world.acts.index("end load") < world.acts.index("recover")
    assert is_complete(store)
    assert {read_arrow(path).version for path in store.path.glob("*.arrow")} == {COMPACT}
    assert results.checkers["load-processes"].verdict is Verdict.VALID


def test_a_lock_that_is_lost_ends_the_run_healed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def lost() -> None:
        raise RunError("the lock of this cluster was lost: n2 is now in use by another run")

    async def lose(context: Context) -> None:
        monkeypatch.setattr(holder["world"].lock, "require_held", lost)
        await publish(context)

    with pytest.raises(RunError, match="the lock of this cluster was lost"):
        run(monkeypatch, tmp_path, load=lose, time_limit=1000)
    assert holder["world"].acts[-2:] == ["heal by hand", "end"]


def test_a_run_keeps_what_a_resumption_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, store, _ = run(monkeypatch, tmp_path)
    facts = Resumption.read(store.path)
    assert facts.inventory == str(tmp_path / "hosts.yml")
    assert facts.queue == f"jepsenvm.quorum.{store.path.name}"


def test_the_load_may_end_before_its_faults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def nothing(_: Context) -> None: ...

    world, _, _ = run(monkeypatch, tmp_path, load=nothing)
    assert "inject" not in world.acts
    assert "drain" in world.acts


def test_an_error_of_the_load_heals_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def fail(context: Context) -> None:
        context.journal.flush()
        raise RunError("the client broke")

    with pytest.raises(RunError, match="the client broke"):
        run(monkeypatch, tmp_path, load=fail)
    world, store = holder["world"], holder["store"]
    assert world.acts[-2:] == ["heal by hand", "end"]
    assert not is_complete(store)
    assert not (store.path / RESULTS).exists()


def test_an_error_of_the_journal_heals_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(_: object) -> None:
        raise RunError("cannot write the history")

    async def fill_the_disk(context: Context) -> None:
        monkeypatch.setattr(Journal, "flush", full)
        await context.stop.wait()

    with pytest.raises(RunError, match="cannot write the history"):
        run(monkeypatch, tmp_path, load=fill_the_disk, time_limit=1000)
    assert holder["world"].acts[-2:] == ["heal by hand", "end"]


def test_a_disk_that_was_full_for_a_moment_heals_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a callback of pika, the client never sees the error, and the run must end anyway."""

    async def publish_on_a_full_disk(context: Context) -> None:
        full = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))]
        write = ArrowStream.write_batch

        def write_once_in_vain(stream: ArrowStream, batch: pa.RecordBatch, **named: bool) -> None:
            if full:
                raise full.pop()
            write(stream, batch, **named)

        monkeypatch.setattr(ArrowStream, "write_batch", write_once_in_vain)
        context.journal.append("invoke", "enqueue", 1, process=0, node="n1")
        with suppress(RunError):
            context.journal.flush()
        await context.stop.wait()

    with pytest.raises(RunError, match="No space left"):
        run(monkeypatch, tmp_path, load=publish_on_a_full_disk, time_limit=1000)
    world, store = holder["world"], holder["store"]
    assert world.acts[-2:] == ["heal by hand", "end"]
    assert not open_history(store.history).complete
    assert not (store.path / RESULTS).exists()


def test_a_fault_in_force_is_healed_although_its_records_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def fail_to_record(context: Context) -> None:
        while "inject" not in holder["world"].acts:
            await asyncio.sleep(0.01)
        with suppress(RunError):
            context.journal.append("invoke", "enqueue", 2**64, process=0)
        await context.stop.wait()

    with pytest.raises(RunError, match="not an integer of 64 bits"):
        run(monkeypatch, tmp_path, load=fail_to_record, time_limit=1000)
    assert holder["world"].acts[-2:] == ["heal by hand", "end"]


def test_a_history_has_the_plan_of_its_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, store, _ = run(monkeypatch, tmp_path)
    assert open_history(store.history).plan == (store.path / PLAN).read_text()


def test_what_could_not_be_healed_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="not everything could be healed: n1: no SSH; run `jepsen"):
        run(monkeypatch, tmp_path, problems=("n1: no SSH",))
    assert "drain" not in holder["world"].acts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_load_and_still_gives_a_verdict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    async def interrupted(context: Context) -> None:
        os.kill(os.getpid(), number)
        await publish(context)

    world, store, results = run(monkeypatch, tmp_path, load=interrupted, time_limit=1000)
    assert world.acts[-3:] == ["recover", "drain", "collect"]
    assert "interrupt" in recorded(store)
    assert results.verdict is Verdict.UNKNOWN
    assert any("the run was ended early: by a signal" in reason for reason in results.reasons)


def test_a_second_signal_skips_the_drain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def interrupted(context: Context) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await publish(context)

    async def never_ends(_: Context) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    _, store, results = run(
        monkeypatch, tmp_path, load=interrupted, drain=never_ends, time_limit=1000
    )
    assert "interrupted again: skipping the drain" in caplog.messages
    assert is_complete(store)
    assert results.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("failing", ["prepare", "inject", "renew", "heal by hand"])
def test_whatever_fails_everything_is_healed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str
) -> None:
    monkeypatch.setattr(phases, "RENEW_EVERY_S", 0.01)
    with pytest.raises(ValueError, match=f"{failing} broke"):
        run(monkeypatch, tmp_path, failing=failing)
    assert holder["world"].acts[-2:] == ["heal by hand", "end"]


def test_malformed_records_of_faults_by_hand_do_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def spool(context: Context) -> None:
        with (holder_store() / SPOOL).open("wb") as file:
            file.write(b"no json\n[1]\n{}\n")
        await publish(context)

    world, _, _ = run(monkeypatch, tmp_path, load=spool)
    assert world.acts[-3:] == ["recover", "drain", "collect"]


def holder_store() -> Path:
    """Return the folder of the run in progress."""
    path: Path = holder["store"].path
    return path
