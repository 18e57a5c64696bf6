"""The lock of a cluster: one owner at a time, as long as that owner lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.errors import RunError, UnreachableError, UsageError
from jepsenvm.machines import cluster_lock
from jepsenvm.machines.cluster_lock import REFUSALS, ClusterLock, held_locks
from jepsenvm.machines.lock_owner import LockOwner
from jepsenvm.machines.remote import cluster_lock as remote
from jepsenvm.machines.remote_source import source
from tests.unit.fakes import FakeFleet, LockedHosts, elsewhere

EVERYONE = {"n1": "run", "n2": "run", "n3": "run"}


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LockedHosts:
    fake = LockedHosts(tmp_path)
    monkeypatch.setattr(cluster_lock, "_ask", fake.ask)
    return fake


@pytest.fixture
def fleet() -> Iterator[FakeFleet]:
    fake = FakeFleet()
    yield fake
    fake.close()


def until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return true()


# The lock of a cluster.


def test_a_lock_covers_every_host_until_it_is_released(
    hosts: LockedHosts, fleet: FakeFleet, tmp_path: Path
) -> None:
    with ClusterLock(fleet, "run", tmp_path) as lock:
        assert hosts.held() == {}
        lock.take()
        assert hosts.held() == EVERYONE
        assert {held.owner for held in held_locks(fleet)} == {lock.owner}
    assert hosts.held() == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shared", [("n1",), ("n2",), ("n3",), ("n1", "n2", "n3")])
def test_one_shared_host_is_a_conflict_and_nothing_stays_taken(
    hosts: LockedHosts, fleet: FakeFleet, shared: tuple[str, ...]
) -> None:
    hosts.occupy(elsewhere("deploy"), *shared)
    with ClusterLock(fleet, "run") as lock, pytest.raises(UsageError) as refused:
        lock.take()
    text = str(refused.value)
    assert text.startswith(f"{shared[0]}: in use by `jepsenvm deploy` (alice@laptop, process ")
    assert " since 20" in text
    assert "its lock expires in 60 s" in text
    assert hosts.held() == dict.fromkeys(shared, "deploy")


def test_the_owner_of_this_machine_can_be_ended(hosts: LockedHosts, fleet: FakeFleet) -> None:
    hosts.occupy(LockOwner.of_this_process("run"), "n1")
    with ClusterLock(fleet, "run") as lock, pytest.raises(UsageError) as refused:
        lock.take()
    assert f"end it with `kill {os.getpid()}`" in str(refused.value)


def test_the_lock_of_a_dead_owner_of_this_machine_is_taken_over_at_once(
    hosts: LockedHosts, fleet: FakeFleet
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    hosts.occupy(replace(LockOwner.of_this_process("deploy"), pid=ended.pid), "n1", "n2", "n3")
    # Another process has got its pid meanwhile.
    hosts.occupy(replace(LockOwner.of_this_process("deploy"), token="t", started="1"), "n3")
    assert held_locks(fleet) == []
    with ClusterLock(fleet, "run") as lock:
        lock.take()
        assert hosts.held() == EVERYONE


def test_a_dead_owner_of_another_machine_keeps_its_lock_until_that_expires(
    hosts: LockedHosts, fleet: FakeFleet
) -> None:
    hosts.occupy(elsewhere(pid=1 << 30), "n1", lease=3600)
    with ClusterLock(fleet, "run") as lock, pytest.raises(UsageError, match="expires in 3600 s"):
        lock.take()
    hosts.file("n1").unlink()
    hosts.occupy(elsewhere(pid=1 << 30), "n1", lease=-1)
    with ClusterLock(fleet, "run") as lock:
        lock.take()
        assert hosts.held() == EVERYONE


def test_a_silent_host_is_an_error_unless_it_may_be_skipped(
    hosts: LockedHosts, fleet: FakeFleet
) -> None:
    hosts.silent.add("n2")
    with ClusterLock(fleet, "run") as lock:
        with pytest.raises(UnreachableError):
            lock.take()
        assert hosts.held() == {}
        lock.take(skip_silent=True)
        assert hosts.held() == {"n1": "run", "n3": "run"}


def test_hosts_are_taken_in_the_order_of_their_addresses_whatever_their_names(
    hosts: LockedHosts,
) -> None:
    fleet = FakeFleet("n1", "n2", "n3")
    addresses = {"n1": "192.0.2.9", "n2": "192.0.2.10", "n3": "192.0.2.2"}
    for name, address in addresses.items():
        fleet.nodes[name] = replace(fleet.nodes[name], cluster_address=address)
    with ClusterLock(fleet, "run") as lock:
        lock.take()
    taken = [host for host, act in hosts.orders if act == "take"]
    assert taken[:3] == ["n3", "n1", "n2"]
    fleet.close()


def test_of_many_controllers_that_race_exactly_one_gets_the_cluster(
    hosts: LockedHosts,
) -> None:
    racers, won = 6, []
    start, end = threading.Barrier(racers), threading.Barrier(racers)

    def race() -> None:
        fleet = FakeFleet()
        with ClusterLock(fleet, "run") as lock:
            start.wait()
            try:
                lock.take()
                won.append(lock.owner)
            except UsageError:
                pass
            end.wait()
        fleet.close()

    for _ in range(5):
        won.clear()
        with ThreadPoolExecutor(racers) as pool:
            for result in [pool.submit(race) for _ in range(racers)]:
                result.result()
        assert len(won) == 1
        assert hosts.held() == {}


def test_a_silent_host_delays_no_other_renewal_and_gets_its_lock_again(
    hosts: LockedHosts, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_lock, "RENEW_EVERY_S", 0.01)
    frozen = threading.Event()
    ask = hosts.ask

    def freezing(fleet: object, host: str, order: dict[str, object]) -> object:
        if host == "n2" and order["act"] == "take" and not frozen.is_set():
            frozen.wait(20)
            raise UnreachableError("no answer within 10 s", node=host)
        return ask(fleet, host, order)

    with ClusterLock(fleet, "run") as lock:
        lock.take()
        hosts.file("n2").unlink()  # a reboot empties /run
        monkeypatch.setattr(cluster_lock, "_ask", freezing)
        hosts.orders.clear()
        assert until(lambda: hosts.orders.count(("n1", "take")) > 5)
        assert "n2" not in hosts.held()
        frozen.set()
        assert until(lambda: hosts.held() == EVERYONE)
        lock.require_held()


def test_a_lock_that_another_owner_took_over_is_lost(
    hosts: LockedHosts, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_lock, "RENEW_EVERY_S", 0.01)

    def lost() -> bool:
        try:
            lock.require_held()
        except RunError:
            return True
        return False

    with ClusterLock(fleet, "run") as lock:
        lock.take()
        hosts.file("n2").unlink()
        hosts.occupy(elsewhere(), "n2")
        assert until(lost)
        with pytest.raises(RunError, match=r"n2 is now in use by `jepsenvm run` \(alice@laptop"):
            lock.require_held()
        assert hosts.orders.count(("n2", "take")) >= REFUSALS
    assert hosts.held() == {"n2": "run"}


def test_an_answer_that_is_not_understood_is_named(
    fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: tuple[Any, ...] = ([], {"owner": 3}, {"owner": {"token": "t"}, "left": "soon"}, None)
    for answer in answers:
        monkeypatch.setattr(cluster_lock, "_ask", partial(lambda given, *_: given, answer))
        with ClusterLock(fleet, "run") as lock, pytest.raises(UsageError, match="not understood"):
            lock.take()


# The owner.


def test_an_owner_survives_the_way_over_a_host(tmp_path: Path) -> None:
    owner = LockOwner.of_this_process("run", tmp_path / "queue" / "20261125T140311.000000Z")
    assert LockOwner.from_data(json.loads(json.dumps(owner.as_data()))) == owner
    assert owner.run == "queue/20261125T140311.000000Z"
    assert not owner.is_dead


def test_control_characters_of_an_owner_do_not_reach_the_terminal() -> None:
    text = elsewhere(user="\x1b]0;x\x07eve\n", host="a" * 1000).describe()
    assert LockOwner.from_data({"user": "\x1b[31meve", "pid": "x"}).user == "[31meve"
    assert len(text) <= 300


@given(
    st.dictionaries(
        st.text(max_size=5) | st.sampled_from(["pid", "user", "run"]),
        st.integers() | st.text() | st.none(),
    )
)
def test_any_owner_can_be_described(data: dict[str, object]) -> None:
    text = LockOwner.from_data(data).describe()
    assert text.isprintable()
    assert not LockOwner.from_data(data).is_dead


# The program on the host.


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"owner": {}}', '{"until": 9e99}', '{"until": "x", "owner": 1}\n'],
)
def test_a_file_that_is_no_entry_is_free(tmp_path: Path, content: str) -> None:
    file = tmp_path / "lock"
    file.write_text(content)
    assert remote.read(file, {}) == {"owner": None, "left": 0}
    owner = {"token": "t"}
    assert remote.take(file, {"owner": owner, "lease": 5})["owner"] == owner
    assert file.stat().st_mode & 0o777 in (0o600, 0o644)


def test_a_shorter_entry_replaces_a_longer_one(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    for host in ("a" * 500, "b"):
        owner = {"token": "t", "host": host}
        remote.take(file, {"owner": owner, "lease": 5})
        assert remote.read(file, {})["owner"] == owner
        assert len(file.read_text().splitlines()) == 1
    assert file.stat().st_mode & 0o777 == 0o600


def test_only_its_owner_releases_a_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    remote.take(file, {"owner": {"token": "t"}, "lease": 5})
    assert remote.release(file, {"owner": {"token": "u"}})["owner"] == {"token": "t"}
    assert remote.release(file, {"owner": {"token": "t"}})["owner"] is None
    assert not file.exists()
    assert remote.release(file, {"owner": {"token": "t"}})["owner"] is None
    assert not file.exists()


def test_a_lock_is_never_a_link_to_another_file(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        remote.take(tmp_path / "lock", {"owner": {"token": "t"}, "lease": 5})
    assert target.read_text() == "theirs"


def racing(file: Path, tokens: Sequence[str]) -> list[str]:
    """Let a process per token take the lock at the same time; return the tokens that they saw."""
    program = source("cluster_lock").replace("/run/jepsenvm.lock", str(file))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in tokens
    ]
    for process, token in zip(processes, tokens, strict=True):
        assert process.stdin
        process.stdin.write(json.dumps({"act": "take", "owner": {"token": token}, "lease": 60}))
    # A program begins when its standard input ends.
    for process in processes:
        assert process.stdin
        process.stdin.close()
    answers = []
    for process in processes:
        assert process.stdout
        answers.append(json.loads(process.stdout.read())["owner"]["token"])
        process.stdout.close()
        assert process.wait() == 0
    return answers


def test_of_many_processes_exactly_one_gets_a_host(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    seen = racing(file, ["a", "b", "c", "d", "e", "f"])
    assert len(set(seen)) == 1
    assert remote.read(file, {})["owner"]["token"] == seen[0]


def test_a_busy_lock_is_an_error_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BUSY_S", 0.05)
    file = tmp_path / "lock"
    holder = [
        sys.executable,
        "-c",
        f"import fcntl, os, sys; fcntl.flock(os.open({str(file)!r}, 66), 2); print(flush=True); sys.stdin.read()",
    ]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(SystemExit, match="another process keeps"):
            remote.take(file, {"owner": {"token": "t"}, "lease": 5})
        process.communicate()
