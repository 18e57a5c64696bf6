"""The verdict of a run in a sentence for everybody, and what it means for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.verdict import Results, Verdict
from jepsenvm.checkers.wording import counted, in_sequence
from jepsenvm.report.presentation import Presentation

BROKEN: Final[Mapping[str, tuple[str, str]]] = {
    "lost": (
        "lost {count} of the {acknowledged} messages that it had confirmed",
        "A publisher that got these confirms had no reason to send the messages again. "
        "They are gone, and nobody was told.",
    ),
    "corrupted": (
        "delivered {messages} with another content than was sent",
        "A consumer cannot rely on the content of its messages.",
    ),
    "unexpected": (
        "delivered {messages} that nobody had sent",
        "A consumer may act on something that never happened.",
    ),
    "out-of-order": (
        "delivered {messages} out of order",
        "A consumer that relies on the order of messages gets wrong results.",
    ),
    "divergent": (
        "showed different readers different content at {places}",
        "Two readers of the same data can come to different results.",
    ),
    "nonmonotonic": (
        "delivered {messages} at an offset that was read before",
        "A reader that counts on rising offsets handles records twice or in a wrong order.",
    ),
    "doubled": (
        "gave a lock to two holders at once {times}",
        "Whatever the lock protects can be changed by two clients at the same time.",
    ),
    "missing": (
        "forgot {things} (queues, exchanges or bindings) whose declaration it had confirmed",
        "Messages that should arrive there do not, although the set-up was confirmed.",
    ),
}
"""By the figure ``<name>-count``: what the cluster did, and what that means for its users."""

NOUNS: Final = ("message", "place", "thing", "time")
"""What is counted in these clauses."""


@dataclass(frozen=True)
class VerdictSentences:
    """The verdict for a reader who knows nothing about this tool."""

    verdict: str
    meaning: str


def verdict_sentences(
    results: Results, presentation: Presentation, *, proven_faults: int, setting: str
) -> VerdictSentences:
    """Return the verdict as a sentence, and what it means.

    ``setting`` is what was tested, such as ``RabbitMQ 3.10.8 (mirrored queue, autoheal)``.
    """
    build = {
        Verdict.VALID: _valid,
        Verdict.INVALID: _invalid,
        Verdict.UNKNOWN: _unknown,
    }[results.verdict]
    main = results.checkers.get(presentation.main_checker)
    figures = main.figures if main else {}
    faults = counted(proven_faults, "proven fault") if proven_faults else "no proven fault"
    return build(results, figures, faults, setting)


def _valid(
    results: Results,  # noqa: ARG001 - the three have one signature
    figures: Mapping[str, Any],
    faults: str,
    setting: str,
) -> VerdictSentences:
    count = figures.get("load-acknowledged-count", figures.get("acknowledged-count"))
    kept = (
        f"The cluster kept all {count:,} messages that it confirmed"
        if isinstance(count, int)
        else "The cluster kept its promises"
    )
    return VerdictSentences(
        f"{kept}, under {faults}.",
        f"In this run, {setting} did what its confirms promise. This says nothing about faults, "
        "settings and loads that the run did not have.",
    )


def _invalid(
    results: Results, figures: Mapping[str, Any], faults: str, setting: str
) -> VerdictSentences:
    broken = list(_broken(figures))
    if not broken:
        return VerdictSentences(
            "The cluster broke a promise that this run checks.",
            f"It happened with {setting}, under {faults}: "
            f"{_first_reason(results, Verdict.INVALID)}",
        )
    return VerdictSentences(
        f"The cluster {in_sequence([clause for clause, _ in broken])}.",
        f"{' '.join(meaning for _, meaning in broken)} It happened with {setting}, under {faults}.",
    )


def _unknown(
    results: Results, figures: Mapping[str, Any], faults: str, setting: str
) -> VerdictSentences:
    undecided = figures.get("undecided-count")
    doubt = (
        f" {counted(undecided, 'confirmed message', 'confirmed messages')} did not come back, and "
        "may be lost."
        if isinstance(undecided, int) and undecided
        else ""
    )
    return VerdictSentences(
        "This run does not show whether the cluster keeps its promises.",
        f"Don't read it as a pass. The run had {faults}, with {setting}.{doubt} "
        f"The reason: {_first_reason(results, Verdict.UNKNOWN)}",
    )


def _broken(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    acknowledged = figures.get("acknowledged-count", 0)
    for name, (clause, meaning) in BROKEN.items():
        count = figures.get(f"{name}-count")
        if isinstance(count, int) and count:
            nouns = {f"{noun}s": counted(count, noun) for noun in NOUNS}
            yield (
                clause.format(count=f"{count:,}", acknowledged=f"{acknowledged:,}", **nouns),
                meaning,
            )


def _first_reason(results: Results, verdict: Verdict) -> str:
    """Return the first reason of a checker with this verdict, as a sentence."""
    reasons = [
        reason
        for result in results.checkers.values()
        if result.verdict is verdict
        for reason in result.reasons
    ]
    reason = next(iter([*reasons, *results.reasons]), "none was recorded")
    return f"{reason}."


def setting_text(settings: Mapping[str, str]) -> str:
    """Return what was tested, such as ``RabbitMQ 3.10.8 (mirrored queue, autoheal)``."""
    version, queue_type = settings.get("RabbitMQ"), settings.get("queue type")
    details = [
        f"{queue_type} queue" if queue_type else "",
        settings.get("partition handling", ""),
    ]
    known = ", ".join(filter(None, details))
    name = f"RabbitMQ {version}" if version else "this cluster"
    return f"{name} ({known})" if known else name
