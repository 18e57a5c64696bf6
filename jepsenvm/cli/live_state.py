"""The state of a live view: it takes the events of a run, and returns what to show at a moment."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from jepsenvm.experiment.run_events import (
    FaultStep,
    LoadFigures,
    Phase,
    PhaseBegan,
    RunBegan,
    RunEvent,
)
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE
from jepsenvm.history.recent_latencies import Latencies, quantile
from jepsenvm.steps import Step
from jepsenvm.workloads.clients import NO_CLIENTS, ClientCounts

RATE_S: Final = 3.0
"""The acknowledged ops per second are those of the last seconds, this many."""

QUANTILE_S: Final = 10.0
"""The 99th percentile is that of the last seconds, this many: a rare latency needs many ops."""

_PHASES_WITH_CLIENTS: Final = ("load", "heal")
_ENDS_BY_ITSELF: Final = ("load",)
"""The phases that take as long as their limit, unless something ends them early."""


@dataclass(frozen=True)
class Row:
    """What is shown of one node."""

    node: str
    clients: ClientCounts
    rate: float
    """Acknowledged ops per second."""
    p99_s: float | None
    state: str
    """What the faults in force do to it, or how its clients get on."""
    is_good: bool
    """Whether it serves its clients and no fault touches it."""


@dataclass(frozen=True)
class View:
    """What is shown at a moment."""

    title: str
    phase: str
    elapsed_s: float
    left_s: float | None
    """Seconds until the phase ends; None if nobody knows."""
    is_limit: bool
    """Whether ``left_s`` is the most that the phase may take."""
    step: Step | None
    faults: tuple[str, ...]
    rows: tuple[Row, ...]
    """Empty while the run has no clients."""


@dataclass
class _Node:
    clients: ClientCounts = NO_CLIENTS
    recent: deque[tuple[float, Latencies]] = field(default_factory=deque)
    """When figures came, and their latencies."""

    def add(self, now: float, latencies: Latencies) -> None:
        if latencies:
            self.recent.append((now, latencies))
        while self.recent and now - self.recent[0][0] > QUANTILE_S:
            self.recent.popleft()

    def rate(self, now: float, seconds: float) -> float:
        if seconds <= 0:
            return 0.0
        counts = (sum(each.values()) for at, each in self.recent if now - at < seconds)
        return sum(counts) / seconds

    def p99_s(self, now: float) -> float | None:
        counts: Counter[int] = Counter()
        for at, latencies in self.recent:
            if now - at < QUANTILE_S:
                counts.update(latencies)
        return quantile(counts, 0.99)


@dataclass
class LiveState:
    """The events of a run, summed up. All times are seconds of the same clock."""

    _title: str = ""
    _phase: Phase = "prepare"
    _limit_s: float | None = None
    _began: float = 0.0
    _step: Step | None = None
    _nodes: dict[str, _Node] = field(default_factory=dict)
    _faults: dict[int, tuple[FaultStep, float]] = field(default_factory=dict)
    """The last step of each fault that was not healed yet, and its time."""

    def apply(self, event: RunEvent | Step, now: float) -> None:
        """Take over an event that happens now."""
        match event:
            case RunBegan():
                self._title, self._faults = event.title, {}
                self._nodes = {node: _Node() for node in event.nodes}
            case PhaseBegan():
                self._phase, self._limit_s, self._began = event.phase, event.limit_s, now
                self._step = None
                if event.phase not in _PHASES_WITH_CLIENTS:
                    self._faults = {}  # everything is healed
            case FaultStep():
                self._faults[event.number] = (event, now)
                if event.phase == HEALED:
                    del self._faults[event.number]
            case LoadFigures():
                for node in self._nodes.values():
                    node.clients = NO_CLIENTS  # a load process that died tells nothing any more
                for name, figures in event.nodes.items():
                    self._nodes.setdefault(name, _Node()).add(now, figures.latencies)
                    self._nodes[name].clients = figures.clients
            case Step():
                self._step = event

    def view(self, now: float) -> View:
        """Return what is shown now."""
        elapsed = now - self._began
        left = None if self._limit_s is None else max(0.0, self._limit_s - elapsed)
        shows_rows = self._phase in _PHASES_WITH_CLIENTS
        return View(
            title=self._title,
            phase=self._phase,
            elapsed_s=elapsed,
            left_s=left,
            is_limit=self._phase not in _ENDS_BY_ITSELF,
            step=self._step,
            faults=tuple(self._fault_lines(now)),
            rows=tuple(self._rows(now)) if shows_rows else (),
        )

    def _fault_lines(self, now: float) -> Iterator[str]:
        for number, (step, at) in sorted(self._faults.items()):
            left_s = None if step.ends_in_s is None else max(0.0, step.ends_in_s - (now - at))
            if left_s == 0 and step.phase == IN_FORCE and step.error and not step.labels:
                continue  # it could not be injected, so nothing heals it
            doing = {IN_FORCE: "in force", HEAL: "healing"}.get(step.phase, "being injected")
            if step.phase == IN_FORCE and step.error is not None:
                doing = f"NOT PROVEN: {step.error}"
            left = ""
            if left_s is not None and step.phase != HEAL:
                left = f", {left_s:.0f} s left"
            yield f"fault {number}: {step.text} {doing}{left}"

    def _rows(self, now: float) -> Iterator[Row]:
        seconds = min(RATE_S, now - self._began)
        labels = self._labels()
        for name, node in self._nodes.items():
            rate = node.rate(now, seconds) if self._phase == "load" else 0.0
            label = labels.get(name)
            state = label or self._client_state(node, rate, now)
            is_good = label is None and rate > 0
            yield Row(name, node.clients, rate, node.p99_s(now), state, is_good)

    def _client_state(self, node: _Node, rate: float, now: float) -> str:
        """Return how the clients of a node get on that no fault touches."""
        if rate > 0:
            return "serving"
        if self._phase != "load" or now - self._began < RATE_S:
            return ""
        return "no acknowledgements" if node.clients.connected else "no connection"

    def _labels(self) -> Mapping[str, str]:
        """Return what the faults in force do to each node that they touch."""
        labels: dict[str, list[str]] = {}
        for _, (step, _at) in sorted(self._faults.items()):
            for node, label in step.labels.items():
                labels.setdefault(node, []).append(label)
        return {node: ", ".join(each) for node, each in labels.items()}
