"""The runs of a campaign together: one line for each combination of settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jepsenvm.campaign.interval import Interval, wilson
from jepsenvm.campaign.judgement import Judgement, exit_status, judged
from jepsenvm.campaign.planned import Expansion, LeftOut, PlannedRun
from jepsenvm.campaign.record import Record
from jepsenvm.checkers.outcome import Outcome
from jepsenvm.checkers.verdict import Verdict

Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Result:
    """One run with its outcome."""

    run: PlannedRun
    record: Record

    @property
    def judgement(self) -> Judgement:
        """The outcome beside the expected one."""
        return judged(self.record, self.run.expected, self.run.checkers)

    @property
    def begun(self) -> bool:
        """Whether the run has an attempt, which need not count."""
        return bool(self.record.attempts)

    @property
    def outcome(self) -> Outcome | None:
        """What the attempt that counts found; None if it found nothing."""
        return self.record.last.outcome if self.record.last else None

    @property
    def verdict(self) -> str:
        """The verdict in words: ``not run`` without one."""
        return str(self.record.verdict or Judgement.MISSING)

    @property
    def text(self) -> str:
        """Why the run has its outcome, in one line."""
        last = self.record.last or (self.record.attempts[-1] if self.record.attempts else None)
        if last is None:
            return ""
        reasons = last.outcome.reasons if last.outcome else ()
        return last.error or next(iter(reasons), "")


@dataclass(frozen=True)
class Share:
    """A proportion with its interval."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """The proportion, from 0 to 1; None if there is none."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> Interval | None:
        """Its 95 % interval."""
        return wilson(self.count, self.total)


@dataclass(frozen=True)
class Line:
    """The runs with the same settings."""

    settings: Mapping[str, str]
    results: Sequence[Result]

    @property
    def expected(self) -> str:
        """The verdict that was expected."""
        return self.results[0].run.expected

    @property
    def verdicts(self) -> Mapping[str, int]:
        """How often each verdict occurred, ``not run`` among them."""
        return Counter(result.verdict for result in self.results)

    @property
    def judgements(self) -> Mapping[Judgement, int]:
        """How often each judgement occurred."""
        return Counter(result.judgement for result in self.results)

    @property
    def worst(self) -> Judgement:
        """The judgement that matters most."""
        return next(one for one in Judgement if one in self.judgements)

    @property
    def verdict(self) -> str:
        """The verdict that matters most."""
        order = (Verdict.INVALID, Verdict.UNKNOWN, Judgement.MISSING, Verdict.VALID)
        return str(next(one for one in order if str(one) in self.verdicts))

    @property
    def decided(self) -> Sequence[Outcome]:
        """The outcomes of the runs that proved something. Only they say how much was lost."""
        outcomes = (result.outcome for result in self.results)
        return [one for one in outcomes if one and one.verdict is not Verdict.UNKNOWN]

    @property
    def messages(self) -> Share | None:
        """Lost of acknowledged messages; None if the workload counts neither."""
        counted = [one for one in self.decided if one.acknowledged is not None]
        if not any(one.lost is not None for one in counted):
            return None
        return Share(
            sum(min(one.lost or 0, one.acknowledged or 0) for one in counted),
            sum(one.acknowledged or 0 for one in counted),
        )

    @property
    def failures(self) -> Share:
        """Invalid of decided runs."""
        invalid = sum(one.verdict is Verdict.INVALID for one in self.decided)
        return Share(invalid, len(self.decided))

    @property
    def recovery(self) -> tuple[float, float] | None:
        """The shortest and the longest recovery in seconds."""
        seconds = [one.recovery_seconds for one in self.decided if one.recovery_seconds is not None]
        return (min(seconds), max(seconds)) if seconds else None

    @property
    def restarts(self) -> int:
        """Runs in which a node did not come back by itself."""
        return sum(bool(one.restarted) for one in self.decided)

    @property
    def kinds(self) -> Sequence[str]:
        """What made runs invalid."""
        return sorted({kind for one in self.decided for kind in one.kinds})


@dataclass(frozen=True)
class Summary:
    """A campaign with its outcomes."""

    name: str
    lines: Sequence[Line]
    left_out: Sequence[LeftOut] = ()
    excluded: int = 0

    @property
    def results(self) -> Iterator[Result]:
        """All runs."""
        return (result for line in self.lines for result in line.results)

    @property
    def not_begun(self) -> int:
        """The number of runs without an attempt."""
        return sum(not result.begun for result in self.results)

    @property
    def judgements(self) -> Mapping[Judgement, int]:
        """How often each judgement occurred."""
        return Counter(result.judgement for result in self.results)

    @property
    def exit_status(self) -> int:
        """1 if an outcome is worse than expected, 2 if one is unknown or missing, otherwise 0."""
        return exit_status(self.judgements)

    @property
    def headline(self) -> str:
        """The judgements in one line."""
        total = sum(self.judgements.values())
        counts = [f"{self.judgements[one]} {one}" for one in Judgement if self.judgements[one]]
        return f"{total} runs: {', '.join(counts)}"

    @property
    def keys(self) -> Sequence[str]:
        """The settings that differ between lines; at least one."""
        keys = list(dict.fromkeys(key for line in self.lines for key in line.settings))
        used = [
            key for key in keys if any(line.settings.get(key, "-") != "-" for line in self.lines)
        ]
        differ = [
            key for key in used if len({line.settings.get(key, "-") for line in self.lines}) > 1
        ]
        return differ or used[:1]

    @property
    def common(self) -> Mapping[str, str]:
        """The settings that all lines share."""
        first = self.lines[0].settings
        return {
            key: value
            for key, value in first.items()
            if value != "-" and all(line.settings.get(key) == value for line in self.lines)
        }


def summarized(name: str, expansion: Expansion, records: Mapping[str, Record]) -> Summary:
    """Return the outcomes of planned runs; a run without a record was not run."""
    grouped: dict[Settings, list[Result]] = {}
    for run in expansion.runs:
        result = Result(run, records.get(run.id, Record()))
        grouped.setdefault(tuple(run.settings.items()), []).append(result)
    lines = [Line(dict(settings), results) for settings, results in grouped.items()]
    return Summary(name, lines, expansion.left_out, expansion.excluded)
