"""Labs that are made at the same time: who waits for whom, and whose base stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from jepsenvm.machines.lab import base, locks, topology

PATIENCE = 60
"""Seconds that a thread may take which has to wait for nothing."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a machine without labs."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(topology, "CACHE", folder)
    monkeypatch.setattr(base, "CACHE", folder)
    monkeypatch.setattr(topology, "LAB", tmp_path / "labs" / "lab")
    return folder


@pytest.fixture
def builds(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The suites whose base was built."""
    built: list[str] = []

    def build(suite: str, folder: Path) -> None:
        built.append(suite)
        folder.mkdir()

    monkeypatch.setattr(base, "_build", build)
    return built


def in_thread(task: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=task, daemon=True)
    thread.start()
    return thread


def waits_for(
    first: AbstractContextManager[object],
    second: AbstractContextManager[object],
    caplog: pytest.LogCaptureFixture,
) -> bool:
    """Return whether a second lock has to wait for the first; it gets it afterwards."""
    entered, waiting = threading.Event(), threading.Event()

    def enter() -> None:
        with second:
            entered.set()

    with first:
        thread = in_thread(enter)
        for _ in range(PATIENCE * 100):
            if any(line.startswith("waiting for") for line in caplog.messages):
                waiting.set()
            if entered.wait(0.01) or waiting.is_set():
                break
        waited = not entered.is_set()
    thread.join(PATIENCE)
    assert entered.is_set()
    return waited


def test_commands_wait_for_those_of_the_same_lab_only(caplog: pytest.LogCaptureFixture) -> None:
    one = locks.one_at_a_time
    assert not waits_for(one("a"), one("b"), caplog)
    assert not waits_for(one(), one("a"), caplog)
    assert not waits_for(one("bookworm"), locks.building("bookworm"), caplog)
    assert not waits_for(locks.building("bookworm"), locks.building("trixie"), caplog)
    assert waits_for(one("a"), one("a"), caplog)
    caplog.clear()
    assert waits_for(locks.building("trixie"), locks.building("trixie"), caplog)


def test_two_labs_of_a_suite_build_its_base_once(
    builds: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert waits_for(base.ensured_base("bookworm"), base.ensured_base("bookworm"), caplog)
    assert builds == ["bookworm"]


def test_down_leaves_a_build_in_progress_alone(cache: Path) -> None:
    halves = [cache / f"building-{suite}-0123" for suite in ("bookworm", "trixie")]
    for half in halves:
        half.mkdir()
    with locks.building("bookworm"):
        base.discard_half_built()
        assert [half.exists() for half in halves] == [True, False]
    base.discard_half_built()
    assert not halves[0].exists(), "the process that built it has ended"


def test_a_base_on_which_a_lab_may_run_stays(
    cache: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe changes with the version of jepsenvm."""
    with base.ensured_base("bookworm") as old:
        assert old.is_dir()
    topology.preferred("b").folder.mkdir(parents=True)
    monkeypatch.setattr(base, "HOOKS", ("true",))
    with base.ensured_base("bookworm") as second:
        assert second.is_dir()
    assert sorted(cache.glob("bookworm-*")) == sorted([old, second])
    topology.preferred("b").folder.rmdir()
    monkeypatch.setattr(base, "HOOKS", ("false",))
    with base.ensured_base("bookworm") as third:
        assert list(cache.glob("bookworm-*")) == [third]
    assert len(builds) == 3
