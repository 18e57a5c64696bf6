"""The sections of a report. Each is built on its own, so a section that fails is only missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from jepsenvm.checkers.loss_attribution import attribute
from jepsenvm.errors import shorten
from jepsenvm.history.units import SECOND
from jepsenvm.report.chart_data import (
    depth_chart,
    has_times,
    latency_charts,
    outcome_chart,
    throughput_charts,
    violation_data,
)
from jepsenvm.report.fault_evidence import FaultEvidence, fault_evidence
from jepsenvm.report.latencies import latencies
from jepsenvm.report.log_excerpts import LogLine, lines_between, notable_lines
from jepsenvm.report.message_marks import Missing, counts_by_fault, marks, missing_messages
from jepsenvm.report.message_times import MessageTimes, message_times
from jepsenvm.report.op_counts import op_counts
from jepsenvm.report.silences import silences
from jepsenvm.report.stored_run import StoredRun
from jepsenvm.report.time_bins import TimeBins, last_time
from jepsenvm.report.timeline_data import (
    MOST_FAULTS,
    add_log,
    add_marks,
    add_silences,
    timeline_data,
)
from jepsenvm.report.verdict_sentences import (
    VerdictSentences,
    setting_text,
    verdict_sentences,
)

MOST_DETAILS: Final = 60
"""At most this many faults are described one by one."""

LINES_PER_FAULT: Final = 30
AROUND: Final = 10 * SECOND
"""The log lines of a fault are those from its injection to this long after its healing."""

_T = TypeVar("_T")


@dataclass
class Loss:
    """Where messages of one kind were confirmed."""

    missing: Missing
    attribution: str | None
    by_fault: Mapping[str, Counter[str]]
    nodes: Sequence[str]


@dataclass
class Sections:
    """What the template shows beside the plain results."""

    sentences: VerdictSentences
    missing: list[str]
    data: dict[str, Any] = field(default_factory=dict)
    evidence: Sequence[FaultEvidence] = ()
    losses: list[Loss] = field(default_factory=list)
    log_lines: Mapping[int, Sequence[LogLine]] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def sections(run: StoredRun) -> Sections:
    """Return the sections of a run. What could not be built is named in ``missing``."""
    missing = list(run.missing)
    evidence = _built(missing, "The faults", partial(fault_evidence, run.history)) or []
    built = Sections(
        sentences=verdict_sentences(
            run.results,
            run.presentation,
            proven_faults=sum(fault.interval.proven for fault in evidence),
            setting=setting_text(run.settings),
        ),
        missing=missing,
        evidence=evidence,
        figures={name: result.figures for name, result in run.results.checkers.items()},
    )
    if len(evidence) > MOST_DETAILS:
        missing.append(
            f"The run had {len(evidence):,} faults. {MOST_DETAILS} are described, and "
            f"{min(MOST_FAULTS, len(evidence))} are on the timeline."
        )
    _built(missing, "The charts", partial(_add_charts, run, built))
    return built


def _built(missing: list[str], name: str, build: Callable[[], _T]) -> _T | None:
    """Return what ``build`` returns, or None if it fails.

    A failure never hides the verdict: it is named instead.
    """
    try:
        return build()
    except Exception as crash:
        problem = shorten(f"{type(crash).__name__}: {crash}", 200)
        missing.append(f"{name} could not be made: {problem}.")
        return None


def _add_charts(run: StoredRun, built: Sections) -> None:
    history, presentation = run.history, run.presentation
    if not has_times(history):
        built.missing.append("The history has no times, so there is no timeline and no chart.")
        return
    end = last_time(history)
    bins = TimeBins.over(end)
    counts = op_counts(history, bins)
    times = message_times(history)
    waited_for = [f for f in presentation.plots if f not in presentation.not_availability]
    timeline = timeline_data(history, built.evidence, counts, presentation.acknowledgements, end)
    add_silences(timeline, silences(history, presentation.not_availability))
    _add_losses(run, built, timeline, times, bins)
    _add_log_lines(run, built, timeline, end)
    built.data = {
        "end": end / SECOND,
        "width": bins.width / SECOND,
        "timeline": timeline,
        "charts": [
            *throughput_charts(counts, presentation),
            *latency_charts(latencies(history, waited_for, bins), bins, presentation),
            *depth_chart(times, bins),
            *outcome_chart(counts, presentation),
        ],
        "violation": [row for figures in built.figures.values() for row in violation_data(figures)],
    }


def _add_losses(
    run: StoredRun,
    built: Sections,
    timeline: dict[str, Any],
    times: MessageTimes,
    bins: TimeBins,
) -> None:
    history = run.history
    main = built.figures.get(run.presentation.main_checker, {})
    intervals = [fault.interval for fault in built.evidence]
    for missing in missing_messages(history, main, times):
        by_fault = counts_by_fault(history, missing, times, intervals)
        nodes = sorted({node for of_fault in by_fault.values() for node in of_fault})
        attribution = attribute(history, missing.values)
        built.losses.append(Loss(missing, attribution, by_fault, nodes))
        left_out = add_marks(timeline, marks(history, missing, times, bins))
        if left_out:
            built.missing.append(f"{left_out:,} marks of {missing.kind} messages are left out.")
        if missing.count > len(missing.values):
            built.missing.append(
                f"Of {missing.count:,} {missing.kind} messages, {len(missing.values):,} are on the "
                "timeline: the checker does not list the others one by one."
            )


def _add_log_lines(run: StoredRun, built: Sections, timeline: dict[str, Any], end: int) -> None:
    if run.began is None:
        return
    lines = notable_lines(run.logs, run.began)
    add_log(timeline, lines, end)
    built.log_lines = {
        fault.interval.number: lines_between(
            lines,
            fault.interval.injected,
            (end if fault.interval.healed is None else fault.interval.healed) + AROUND,
            LINES_PER_FAULT,
        )
        for fault in built.evidence[:MOST_DETAILS]
    }
